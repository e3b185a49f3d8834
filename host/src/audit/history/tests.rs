use super::*;
use crate::audit::AuditKey;

fn report(head: &str) -> Report {
    Report {
        entries: 0,
        open: Vec::new(),
        closed: true,
        head: Some(head.to_owned()),
        consistent: Answer::Yes(String::new()),
        authentic: Answer::Yes(String::new()),
        complete: Answer::NotChecked(String::new()),
        first_bad: None,
        never_checked: Vec::new(),
    }
}

/// The records with these numbers, each linked with the one before it.
fn links(numbers: impl IntoIterator<Item = i64>) -> Vec<Link> {
    let link = |number: i64| Link {
        name: format!("run-{number}"),
        uid: format!("uid-{number}"),
        agent_uid: Some("agent".to_owned()),
        sequence: Some(number),
        previous: (number > 1).then(|| Previous { uid: format!("uid-{}", number - 1), head: format!("head-{}", number - 1) }),
        ended: true,
        report: report(&format!("head-{number}")),
    };
    numbers.into_iter().map(link).collect()
}

fn floor(sequence: i64) -> Result<Floor, Forged> {
    Ok(Floor {
        namespace: "n".to_owned(),
        agent: "a".to_owned(),
        agent_uid: "agent".to_owned(),
        sequence,
        run_uid: format!("uid-{sequence}"),
        head: format!("head-{sequence}"),
        breaks: 0,
    })
}

/// Which of content, order, completeness and signature hold.
fn told(links: &[Link], floor: Option<Result<Floor, Forged>>, counted: Option<i64>) -> String {
    let key = AuditKey::generate().unwrap().public();
    let History { content, order, completeness, signature, .. } = History::of("agent", links, floor.as_ref(), Some(&key), counted);
    [("content", content), ("order", order), ("completeness", completeness), ("signature", signature)]
        .into_iter()
        .filter(|(_, answer)| answer.is_no())
        .map(|(word, _)| word)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn records_from_the_first_or_from_the_floor_on_prove_that_none_is_missing() {
    assert_eq!(told(&links(1..=5), None, Some(5)), "");
    assert_eq!(told(&links(4..=9), Some(floor(3)), Some(9)), "");
    assert_eq!(told(&links(2..=9), Some(floor(3)), Some(9)), "", "retention was interrupted");
    assert_eq!(told(&[], None, Some(0)), "");
    let mut shuffled = links(1..=5);
    shuffled.reverse();
    assert_eq!(told(&shuffled, None, None), "", "they are read in any order");
}

#[test]
fn what_is_missing_is_missed() {
    assert_eq!(told(&links([1, 2, 4]), None, None), "completeness");
    assert_eq!(told(&links(3..=5), None, None), "completeness", "no floor says so");
    assert_eq!(told(&links(5..=6), Some(floor(3)), None), "completeness", "an older floor of the same agent");
    assert_eq!(told(&links([2, 4, 5]), Some(floor(3)), None), "completeness");
    assert_eq!(told(&links(1..=5), None, Some(6)), "completeness", "the newest was cut off");
    let forged = Err(Forged::Signature("key".to_owned()));
    assert_eq!(told(&links(4..=5), Some(forged), None), "completeness signature");
}

#[test]
fn what_was_exchanged_or_put_elsewhere_is_found() {
    let mut other = links(1..=4);
    other[1].uid = "another".to_owned();
    assert_eq!(told(&other, None, None), "order");
    let mut edited = links(1..=4);
    edited[1].report = report("another head");
    assert_eq!(told(&edited, None, None), "order");
    let mut twice = links(1..=4);
    twice[3].sequence = Some(3);
    assert_eq!(told(&twice, None, None), "order");
    let mut replaced = links(3..=5);
    replaced[0].uid = "another".to_owned();
    assert!(told(&replaced, Some(floor(3)), None).contains("order"));
    let mut broken = links(1..=4);
    broken[2].report.consistent = Answer::No("edited".to_owned());
    broken[2].report.authentic = Answer::No("edited".to_owned());
    assert_eq!(told(&broken, None, None), "content signature");
    let mut unsigned = links(1..=4);
    unsigned[2].report.authentic = Answer::NotChecked("it has no signature".to_owned());
    assert_eq!(told(&unsigned, None, None), "signature");
}

#[test]
fn breaks_that_retention_signed_are_told() {
    let with = floor(3).map(|floor| Floor { breaks: 2, ..floor });
    let history = History::of("agent", &links(4..=5), Some(&with), None, None);
    assert!(history.never_checked.iter().any(|what| what.contains("2 breaks")), "{history:?}");
    assert!(!history.refuted());
}

#[test]
fn an_order_that_names_no_agent_belongs_to_those_that_it_is_linked_with() {
    let mut all = links(1..=4);
    for index in [0, 1, 3] {
        all[index].agent_uid = None;
    }
    let lonely = Link { uid: "lonely".to_owned(), previous: None, agent_uid: None, sequence: Some(1), ..all[0].clone() };
    let sorted = by_agent(all.into_iter().chain([lonely]).collect(), "current");
    assert_eq!(sorted["agent"].len(), 4);
    assert_eq!(sorted["current"].iter().map(|link| link.uid.as_str()).collect::<Vec<_>>(), ["lonely"]);
}
