//! From the state of one pod and its events to the cause why it is not ready.

use skills_sdk::kinds::Time;

use crate::cause::{Cause, Kind, brief, contains};
use crate::view::View;

/// How much of a message is told.
const MESSAGE: usize = 240;

/// How often a container may end before that is a crash loop, although it runs right now.
const MANY_RESTARTS: u64 = 3;

/// How old a pod may be without being ready, if no probe says why.
const PATIENCE_MS: u64 = 5 * 60 * 1000;

/// Whether the pod takes traffic.
pub(crate) fn is_ready(pod: View<'_>) -> bool {
    pod.condition("/status/conditions", "Ready", "True").is_some()
}

/// Whether there is nothing to explain: the pod is ready, has done its work, or is on its way out.
pub(crate) fn may_be_well(pod: View<'_>) -> bool {
    is_ready(pod) || pod.text("/status/phase") == "Succeeded" || pod.has("/metadata/deletionTimestamp")
}

/// Why the pod is not ready. None if it only needs time. `events` are the pod's, the latest last; `template` is the pod spec of its workload, which fills
/// in what the pod was read without.
pub(crate) fn cause(pod: View<'_>, template: View<'_>, events: &[View<'_>], now_unix_ms: u64) -> Option<Cause> {
    if let Some(cause) = not_started(pod, events) {
        return Some(cause);
    }
    for (statuses, specs) in [("/status/initContainerStatuses", "/initContainers"), ("/status/containerStatuses", "/containers")] {
        for status in pod.items(statuses) {
            let name = status.text("/name");
            let of_this_name = |spec: &View<'_>| spec.text("/name") == name;
            let own = pod.at("/spec").items(specs).into_iter().find(of_this_name);
            let spec = own.or_else(|| template.items(specs).into_iter().find(of_this_name));
            let container = Container { pod, status, spec, name, events };
            if let Some(Cause { kind, line, at: _ }) = container.cause(now_unix_ms) {
                return Some(Cause::new(kind, ["container ", name, ": ", &line].concat()).at(pod.name(), name));
            }
        }
    }
    None
}

/// What keeps a whole pod from starting.
fn not_started(pod: View<'_>, events: &[View<'_>]) -> Option<Cause> {
    if pod.text("/status/phase") == "Failed" && pod.text("/status/reason") == "Evicted" {
        return Some(Cause::new(Kind::Evicted, brief(pod.text("/status/message"), MESSAGE)));
    }
    if let Some(scheduled) = pod.condition("/status/conditions", "PodScheduled", "False")
        && scheduled.text("/reason") == "Unschedulable"
    {
        return Some(Cause::new(Kind::Unschedulable, brief(scheduled.text("/message"), MESSAGE)));
    }
    let starting = |status: &View<'_>| matches!(status.text("/state/waiting/reason"), "ContainerCreating" | "PodInitializing");
    if !pod.items("/status/containerStatuses").iter().all(starting) {
        return None;
    }
    let failed = events.iter().rev().find_map(|event| {
        let kind = match event.text("/reason") {
            "FailedMount" if is_missing_reference(event.text("/message")) => Kind::MissingReference,
            "FailedMount" | "FailedAttachVolume" => Kind::VolumeNotReady,
            "FailedCreatePodSandBox" => Kind::CannotStart,
            _ => return None,
        };
        Some((kind, event.text("/message")))
    });
    failed.map(|(kind, message)| Cause::new(kind, brief(message, MESSAGE)))
}

/// A container of a pod: what it does, what it should do, and what happened to its pod.
struct Container<'a> {
    pod: View<'a>,
    status: View<'a>,
    spec: Option<View<'a>>,
    name: &'a str,
    events: &'a [View<'a>],
}

impl Container<'_> {
    fn cause(&self, now_unix_ms: u64) -> Option<Cause> {
        let state = self.status.at("/state");
        if state.has("/waiting") {
            return self.waiting(state.at("/waiting"));
        }
        if state.has("/terminated") {
            let is_done = state.number("/terminated/exitCode") == 0 && state.text("/terminated/reason") == "Completed";
            return (!is_done).then(|| self.end(state.at("/terminated")));
        }
        // It runs. The compact projection leaves that out.
        if self.status.flag("/ready") {
            return None;
        }
        if self.status.has("/lastState/terminated") && self.status.number("/restartCount") >= MANY_RESTARTS {
            return Some(self.end(self.status.at("/lastState/terminated")));
        }
        if !self.status.flag("/started")
            && let Some(answer) = self.probe("Startup")
        {
            return Some(Cause::new(Kind::StartupProbe, ["does not pass its startup probe: ", &answer].concat()));
        }
        if let Some(answer) = self.probe("Readiness") {
            return Some(Cause::new(Kind::ReadinessProbe, ["runs, but does not pass its readiness probe: ", &answer].concat()));
        }
        let created = self.pod.text("/metadata/creationTimestamp");
        let waited = now_unix_ms.saturating_sub(Time(created.to_owned()).unix_ms()?);
        (waited > PATIENCE_MS)
            .then(|| Cause::new(Kind::ReadinessProbe, ["is not ready, and no probe says why; its pod is from ", created].concat()))
    }

    /// It does not run: the kubelet says why.
    fn waiting(&self, waiting: View<'_>) -> Option<Cause> {
        let message = waiting.text("/message");
        match waiting.text("/reason") {
            "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "RegistryUnavailable"
            | "ImageInspectError" => Some(self.image(waiting)),
            "CreateContainerConfigError" if is_missing_reference(message) => {
                Some(Cause::new(Kind::MissingReference, brief(message, MESSAGE)))
            }
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" | "StartError" => {
                Some(Cause::new(Kind::CannotStart, ["cannot be started: ", &brief(message, MESSAGE)].concat()))
            }
            "CrashLoopBackOff" if self.status.has("/lastState/terminated") => Some(self.end(self.status.at("/lastState/terminated"))),
            "CrashLoopBackOff" => Some(Cause::new(Kind::CrashLoop, ["ends again and again", &self.restarts()].concat())),
            _ => None,
        }
    }

    /// An image that cannot be pulled. "Back-off pulling image" alone does not say why; the event of the first attempt does.
    fn image(&self, waiting: View<'_>) -> Cause {
        let image = self.spec.map_or("", |spec| spec.text("/image"));
        let failed = self.events.iter().rev().filter(|event| event.text("/reason") == "Failed").map(|event| event.text("/message"));
        let message = waiting.text("/message");
        let (kind, line) = match failed.chain([message]).find_map(refusal) {
            _ if waiting.text("/reason") == "InvalidImageName" => {
                (Kind::ImageNotFound, ["the image name ", image, " is not valid"].concat())
            }
            Some(Kind::ImageNotFound) => (Kind::ImageNotFound, ["the image ", image, " does not exist in the registry"].concat()),
            Some(Kind::ImageRefused) => (
                Kind::ImageRefused,
                ["the registry refuses the image ", image, ": credentials are missing or wrong, or the repository does not exist"].concat(),
            ),
            _ => (Kind::ImagePull, ["the image ", image, " cannot be pulled: ", &brief(message, MESSAGE)].concat()),
        };
        Cause::new(kind, line)
    }

    /// How it ended: by the kernel, by a probe, or by itself.
    fn end(&self, ended: View<'_>) -> Cause {
        let restarts = self.restarts();
        if ended.text("/reason") == "OOMKilled" {
            let limit = self.spec.map_or("", |spec| spec.text("/resources/limits/memory"));
            let line = if limit.is_empty() { "killed for want of memory" } else { "killed at its memory limit of " };
            return Cause::new(Kind::OutOfMemory, [line, limit, &restarts].concat());
        }
        if let Some(answer) = self.killed_by("liveness") {
            return Cause::new(Kind::LivenessProbe, ["killed by its liveness probe: ", &answer, &restarts].concat());
        }
        if let Some(answer) = self.killed_by("startup") {
            return Cause::new(Kind::StartupProbe, ["killed by its startup probe: ", &answer, &restarts].concat());
        }
        let code = ended.number("/exitCode");
        let meaning = match code {
            0 => ": it ends well, where it should run on",
            126 => ": the command cannot be run",
            127 => ": the command does not exist",
            134 => ": it aborted",
            137 => ": killed by a signal, not for its memory",
            139 => ": segmentation fault",
            143 => ": told to stop",
            _ => "",
        };
        let message = brief(ended.text("/message"), MESSAGE);
        let colon = if message.is_empty() { "" } else { ": " };
        Cause::new(Kind::CrashLoop, ["exits with code ", &code.to_string(), meaning, colon, &message, &restarts].concat())
    }

    /// Whether the kubelet killed it because of this probe, and what the probe had answered. The exit code does not tell: a process that handles the
    /// signal ends with a code of its own.
    fn killed_by(&self, probe: &str) -> Option<String> {
        let killed = self.events.iter().any(|event| {
            let message = event.text("/message");
            event.text("/reason") == "Killing" && contains(message, &[probe, " probe"].concat()) && self.is_named_in(message)
        });
        killed.then(|| self.probe(probe).unwrap_or_else(|| "no answer recorded".to_owned()))
    }

    /// What the probe answered last: `Readiness probe failed: HTTP probe failed with statuscode: 503`.
    fn probe(&self, which: &str) -> Option<String> {
        let failed = self.events.iter().rev().filter(|event| event.text("/reason") == "Unhealthy").find_map(|event| {
            let place = event.text("/involvedObject/fieldPath");
            let (probe, answer) = event.text("/message").split_once(':')?;
            let (probe, _) = probe.split_once(' ')?;
            (probe.eq_ignore_ascii_case(which) && (place.is_empty() || self.is_named_in(place))).then_some(answer)
        });
        failed.map(|answer| brief(answer, MESSAGE))
    }

    /// Whether a text like `spec.containers{app}` or `Container app failed liveness probe` names it.
    fn is_named_in(&self, text: &str) -> bool {
        words(text).any(|word| word == self.name)
    }

    fn restarts(&self) -> String {
        match self.status.number("/restartCount") {
            0 => String::new(),
            1 => " (1 restart)".to_owned(),
            many => [" (", &many.to_string(), " restarts)"].concat(),
        }
    }
}

/// The words of a text, names of objects being words: `api` is not found in `rapid-api`.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.')).map(|word| word.trim_matches('.'))
}

/// What the words of registries and container runtimes mean. Refusals come first: "repository does not exist or may require authorization".
fn refusal(message: &str) -> Option<Kind> {
    const MEANINGS: [(Kind, &[&str]); 3] = [
        (
            Kind::ImageRefused,
            &["unauthorized", "authentication required", "authorization", "access denied", "denied:", "forbidden", "no basic auth"],
        ),
        (Kind::ImageNotFound, &["not found", "manifest unknown", "name unknown", "does not exist"]),
        (Kind::ImagePull, &["no such host", "timeout", "connection refused", "tls", "toomanyrequests", "too many requests"]),
    ];
    let message = message.to_ascii_lowercase();
    MEANINGS.iter().find(|(_, words)| words.iter().any(|word| contains(&message, word))).map(|(kind, _)| *kind)
}

/// `configmap "x" not found`, `secret "x" not found`, `couldn't find key k in ConfigMap ns/x`.
fn is_missing_reference(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let says = |word: &str| contains(&message, word);
    (says("configmap") || says("secret")) && (says("not found") || says("couldn't find key") || says("references non-existent"))
}
