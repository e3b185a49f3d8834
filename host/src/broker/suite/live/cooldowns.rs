//! Cooldowns as Leases: shared by whoever acts on the cluster, taken by exactly one, and refused where they cannot be kept.

use infraagent_guard::call::{Scalable::Deployment as ScaleDeployment, Workload::Deployment};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::DeleteParams;
use tokio::task::JoinSet;

use super::{proxy::Proxy, *};
use crate::broker::cooldown::{CooldownKey, Cooldowns, LABEL, Leases, NotNow};

async fn leases(live: &Live, run: &str) -> Cooldowns {
    Cooldowns::Leases(Box::new(kept(&live.config, &live.shop, run)))
}

fn kept(config: &kube::Config, namespace: &str, run: &str) -> Leases {
    let mut config = config.clone();
    config.default_retry = false;
    Leases::new(kube::Client::try_from(config).unwrap(), ns(namespace), run)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// The key of a restart of `web`, from a decision.
async fn key(live: &Live, effect: Effect) -> CooldownKey {
    let bench = Bench::new(live);
    let permit = bench.permit(effect).await.unwrap();
    CooldownKey::new(&live.scope().cluster, permit.call(), permit.observed())
}

#[tokio::test]
async fn two_agents_share_the_cooldown_of_a_target() {
    let live = ApiServer.load("shop").await;
    let (one, other) = (leases(&live, "run-a").await, leases(&live, "run-b").await);
    let restart_web = key(&live, restart(Deployment, "web")).await;
    let _kept = one.take(restart_web.clone(), 300, at(0)).await.unwrap();
    assert_eq!(other.check(&restart_web, 300, at(100)).await, Err(NotNow::Cooling { seconds: 200 }));
    assert_eq!(other.take(restart_web.clone(), 300, at(299)).await.unwrap_err(), NotNow::Cooling { seconds: 1 });
    // The other agent's facts say so too.
    let bench = Bench { cooldown_seconds: 300, cooldowns: leases(&live, "run-c").await, now: Timestamp::now(), ..Bench::new(&live) };
    let _kept = one.take(key(&live, restart(Deployment, "api")).await, 300, Timestamp::now()).await.unwrap();
    assert_eq!(bench.permit(restart(Deployment, "api")).await, Err("Cooldown ".to_owned()));

    // Neighbours: another verb, another target, and the same later.
    assert_eq!(other.check(&key(&live, scale(ScaleDeployment, "web", 3)).await, 300, at(100)).await, Ok(()));
    assert_eq!(other.check(&key(&live, restart(Deployment, "stuck")).await, 300, at(100)).await, Ok(()));
    let _kept = other.take(restart_web.clone(), 300, at(300)).await.unwrap();
    assert_eq!(one.check(&restart_web, 300, at(301)).await, Err(NotNow::Cooling { seconds: 299 }));
    let label = format!("{}={}", LABEL.0, LABEL.1);
    let kept = Api::<Lease>::namespaced(live.plane.admin().await, &live.shop)
        .list(&kube::api::ListParams::default().labels(&label))
        .await
        .unwrap();
    let spec =
        kept.items.iter().find_map(|lease| lease.spec.clone().filter(|spec| spec.holder_identity.as_deref() == Some("run-b"))).unwrap();
    assert_eq!(spec.lease_duration_seconds, Some(300));
}

#[tokio::test]
async fn of_many_that_take_the_same_cooldown_exactly_one_does() {
    let live = ApiServer.load("shop").await;
    let restart_web = key(&live, restart(Deployment, "web")).await;
    // First nobody has used it, then somebody did long ago: a creation, then a replacement.
    for second in [0, 1000] {
        let mut takers = JoinSet::new();
        for run in 0..12 {
            let (cooldowns, key) = (leases(&live, &format!("run-{run}")).await, restart_web.clone());
            takers.spawn(async move { cooldowns.take(key, 300, at(second)).await });
        }
        let outcomes = takers.join_all().await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        assert!(outcomes.iter().all(|outcome| outcome.is_ok() || matches!(outcome, Err(NotNow::Cooling { seconds: 300 }))), "{outcomes:?}");
    }
}

#[tokio::test]
async fn what_is_given_back_is_as_it_was_unless_somebody_took_it_since() {
    let live = ApiServer.load("shop").await;
    let cooldowns = leases(&live, "run-a").await;
    let restart_web = key(&live, restart(Deployment, "web")).await;
    let first = cooldowns.take(restart_web.clone(), 300, at(0)).await.unwrap();
    cooldowns.give_back(first).await;
    assert_eq!(cooldowns.check(&restart_web, 300, at(1)).await, Ok(()));
    let _kept = cooldowns.take(restart_web.clone(), 300, at(0)).await.unwrap();
    let second = cooldowns.take(restart_web.clone(), 300, at(400)).await.unwrap();
    cooldowns.give_back(second).await;
    assert_eq!(cooldowns.check(&restart_web, 300, at(200)).await, Err(NotNow::Cooling { seconds: 100 }));
    // Taken by another in between: theirs stays.
    let mine = cooldowns.take(restart_web.clone(), 300, at(1000)).await.unwrap();
    let _theirs = leases(&live, "run-b").await.take(restart_web.clone(), 300, at(2000)).await.unwrap();
    cooldowns.give_back(mine).await;
    assert_eq!(cooldowns.check(&restart_web, 300, at(2100)).await, Err(NotNow::Cooling { seconds: 200 }));
}

#[tokio::test]
async fn where_a_cooldown_cannot_be_kept_nothing_is_done() {
    let live = ApiServer.load("shop").await;
    let restart_web = key(&live, restart(Deployment, "web")).await;
    let refused = async |cooldowns: &Cooldowns| match cooldowns.take(restart_web.clone(), 300, at(0)).await.unwrap_err() {
        NotNow::Unknown(why) => why,
        NotNow::Cooling { seconds } => panic!("cooling for {seconds} s"),
    };
    let nowhere = Cooldowns::Leases(Box::new(kept(&live.config, "no-such-namespace", "run-a")));
    assert!(refused(&nowhere).await.contains("`no-such-namespace`, which keeps cooldowns, does not exist"));

    let poor = config_of(&live.plane.kubeconfig_for(&live.shop, "poor").await).await;
    let poor = Cooldowns::Leases(Box::new(kept(&poor, &live.shop, "run-a")));
    assert_eq!(refused(&poor).await, format!("missing permission to get leases.coordination.k8s.io in namespace `{}`", live.shop));

    let proxy = Proxy::before(&live.config).await;
    let behind = Cooldowns::Leases(Box::new(kept(&proxy.config(&live.config), &live.shop, "run-a")));
    proxy.cut().await;
    assert_eq!(refused(&behind).await, "get leases.coordination.k8s.io: the API server does not answer");

    // Neighbour: an action without a cooldown keeps nothing, so it needs no place for it.
    nowhere.give_back(nowhere.take(restart_web.clone(), 0, at(0)).await.unwrap()).await;
    let leases = Api::<Lease>::namespaced(live.plane.admin().await, &live.shop);
    assert_eq!(leases.list(&Default::default()).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn a_cooldown_lasts_seven_days_at_most_and_survives_its_run() {
    let live = ApiServer.load("shop").await;
    let restart_web = key(&live, restart(Deployment, "web")).await;
    let _kept = leases(&live, "run-a").await.take(restart_web.clone(), u32::MAX, at(0)).await.unwrap();
    let day = 24 * 60 * 60;
    let later = leases(&live, "run-b").await;
    assert_eq!(later.check(&restart_web, u32::MAX, at(6 * day)).await, Err(NotNow::Cooling { seconds: u64::try_from(day).unwrap() }));
    assert_eq!(later.check(&restart_web, u32::MAX, at(7 * day)).await, Ok(()));
    // Whoever may delete the Lease ends it: that is an administrator's business.
    let leases = Api::<Lease>::namespaced(live.plane.admin().await, &live.shop);
    leases.delete_collection(&DeleteParams::default(), &Default::default()).await.unwrap();
    assert_eq!(later.check(&restart_web, u32::MAX, at(6 * day)).await, Ok(()));
}
