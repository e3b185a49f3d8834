//! From the state of one pod and its events to the cause why it is not ready.

use skills_sdk::kinds::{Condition, Container, ContainerStatus, Event, Pod, PodSpec, Terminated, Waiting};

use crate::cause::{Cause, Kind, brief};

/// How much of a message is told.
const MESSAGE: usize = 240;

/// How often a container may end before that is a crash loop, although it runs right now.
const MANY_RESTARTS: u32 = 3;

/// How long a container may run without being ready, if no probe says why.
const PATIENCE_MS: u64 = 5 * 60 * 1000;

/// Whether there is nothing to explain: the pod is ready, has done its work, or is on its way out.
pub(crate) fn may_be_well(pod: &Pod) -> bool {
    pod.is_ready() || pod.phase() == "Succeeded" || pod.metadata.deletion_timestamp.is_some()
}

/// Why the pod is not ready. None if it only needs time. `events` are the pod's, the latest last; `template` fills in what the pod was read without.
pub(crate) fn cause(pod: &Pod, template: &PodSpec, events: &[&Event], now_unix_ms: u64) -> Option<Cause> {
    if let Some(cause) = not_started(pod, events) {
        return Some(cause);
    }
    let containers =
        [(&pod.status.init_container_statuses, &pod.spec.init_containers), (&pod.status.container_statuses, &pod.spec.containers)];
    for (statuses, specs) in containers {
        for status in statuses {
            let mut known = specs.iter().chain(&template.init_containers).chain(&template.containers);
            let spec = known.find(|spec| spec.name == status.name);
            if let Some(Cause { kind, line, at: _ }) = of_container(status, spec, events, now_unix_ms) {
                let line = ["container ", &status.name, ": ", &line].concat();
                return Some(Cause::new(kind, line).at(&pod.metadata.name, &status.name));
            }
        }
    }
    None
}

/// What keeps a whole pod from starting.
fn not_started(pod: &Pod, events: &[&Event]) -> Option<Cause> {
    if pod.phase() == "Failed" && pod.status.reason.as_deref() == Some("Evicted") {
        return Some(Cause::new(Kind::Evicted, brief(pod.status.message.as_deref().unwrap_or("evicted"), MESSAGE)));
    }
    let scheduled = Condition::find(&pod.status.conditions, "PodScheduled");
    if let Some(Condition { reason: Some(reason), message, .. }) = scheduled.filter(|condition| !condition.is_true())
        && reason == "Unschedulable"
    {
        return Some(Cause::new(Kind::Unschedulable, brief(message.as_deref().unwrap_or("no node takes the pod"), MESSAGE)));
    }
    let starting = |status: &ContainerStatus| {
        status
            .state
            .waiting
            .as_ref()
            .is_some_and(|waiting| matches!(waiting.reason.as_deref(), Some("ContainerCreating" | "PodInitializing")))
    };
    if pod.status.container_statuses.iter().all(starting) {
        let failed = events.iter().rev().find(|event| {
            matches!(event.reason.as_deref(), Some("FailedMount" | "FailedAttachVolume" | "FailedCreatePodSandBox")) && event.is_warning()
        })?;
        let message = failed.message.as_deref().unwrap_or_default();
        let kind = if is_missing_reference(message) { Kind::MissingReference } else { Kind::VolumeNotReady };
        let kind = if failed.reason.as_deref() == Some("FailedCreatePodSandBox") { Kind::CannotStart } else { kind };
        return Some(Cause::new(kind, brief(message, MESSAGE)));
    }
    None
}

fn of_container(status: &ContainerStatus, spec: Option<&Container>, events: &[&Event], now: u64) -> Option<Cause> {
    let state = &status.state;
    if let Some(waiting) = &state.waiting {
        return of_waiting(status, waiting, spec, events);
    }
    if let Some(ended) = &state.terminated {
        let init_is_done = ended.exit_code == 0 && ended.reason.as_deref() == Some("Completed");
        return (!init_is_done).then(|| of_end(status, ended, spec, events));
    }
    // The compact projection leaves out that a container runs.
    if status.ready {
        return None;
    }
    if let Some(ended) = status.last_state.terminated.as_ref().filter(|_| status.restart_count >= MANY_RESTARTS) {
        return Some(of_end(status, ended, spec, events));
    }
    if status.started != Some(true)
        && let Some(answer) = probe(status, events, "Startup")
    {
        return Some(Cause::new(Kind::StartupProbe, ["does not pass its startup probe: ", &answer].concat()));
    }
    if let Some(answer) = probe(status, events, "Readiness") {
        return Some(Cause::new(Kind::ReadinessProbe, ["runs, but does not pass its readiness probe: ", &answer].concat()));
    }
    let since = state.running.as_ref()?.started_at.as_ref()?;
    (since.unix_ms()? + PATIENCE_MS < now)
        .then(|| Cause::new(Kind::ReadinessProbe, ["runs since ", &since.0, ", and is not ready"].concat()))
}

/// A container that does not run: the kubelet says why.
fn of_waiting(status: &ContainerStatus, waiting: &Waiting, spec: Option<&Container>, events: &[&Event]) -> Option<Cause> {
    let message = waiting.message.as_deref().unwrap_or_default();
    match waiting.reason.as_deref()? {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" | "RegistryUnavailable" | "ImageInspectError" => {
            let image = spec.map_or(status.image.as_str(), |spec| spec.image.as_str());
            Some(of_image(image, waiting, events))
        }
        "CreateContainerConfigError" if is_missing_reference(message) => Some(Cause::new(Kind::MissingReference, brief(message, MESSAGE))),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" | "StartError" => {
            Some(Cause::new(Kind::CannotStart, ["cannot be started: ", &brief(message, MESSAGE)].concat()))
        }
        "CrashLoopBackOff" => match &status.last_state.terminated {
            Some(ended) => Some(of_end(status, ended, spec, events)),
            None => Some(Cause::new(Kind::CrashLoop, ["ends again and again", &restarts(status)].concat())),
        },
        _ => None,
    }
}

/// An image that cannot be pulled. "Back-off pulling image" alone does not say why; the event of the first attempt does.
fn of_image(image: &str, waiting: &Waiting, events: &[&Event]) -> Cause {
    let failed = events.iter().rev().filter(|event| event.reason.as_deref() == Some("Failed")).filter_map(|event| event.message.as_deref());
    let told = failed.chain(waiting.message.as_deref()).find(|message| refusal(message).is_some());
    let why = told.and_then(refusal);
    if waiting.reason.as_deref() == Some("InvalidImageName") {
        return Cause::new(Kind::ImageNotFound, ["the image name ", image, " is not valid"].concat());
    }
    match why {
        Some(Kind::ImageNotFound) => Cause::new(Kind::ImageNotFound, ["the image ", image, " does not exist in the registry"].concat()),
        Some(Kind::ImageRefused) => Cause::new(
            Kind::ImageRefused,
            ["the registry refuses the image ", image, ": credentials are missing or wrong, or the repository does not exist"].concat(),
        ),
        _ => {
            let message = brief(waiting.message.as_deref().unwrap_or("the registry does not answer as it should"), MESSAGE);
            Cause::new(Kind::ImagePull, ["the image ", image, " cannot be pulled: ", &message].concat())
        }
    }
}

/// What the words of registries and container runtimes mean. Refusals come first: "repository does not exist or may require authorization".
fn refusal(message: &str) -> Option<Kind> {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["unauthorized", "authentication required", "authorization", "access denied", "denied:", "forbidden", "no basic auth"]) {
        Some(Kind::ImageRefused)
    } else if says(&["not found", "manifest unknown", "name unknown", "does not exist"]) {
        Some(Kind::ImageNotFound)
    } else if says(&["no such host", "timeout", "connection refused", "tls", "toomanyrequests", "too many requests", "500", "503"]) {
        Some(Kind::ImagePull)
    } else {
        None
    }
}

/// How a container ended: by the kernel, by a probe, or by itself.
fn of_end(status: &ContainerStatus, ended: &Terminated, spec: Option<&Container>, events: &[&Event]) -> Cause {
    let restarts = restarts(status);
    if ended.reason.as_deref() == Some("OOMKilled") {
        let line = match spec.and_then(|spec| spec.resources.limits.get("memory")) {
            Some(limit) => ["killed at its memory limit of ", &limit.0, &restarts].concat(),
            None => ["killed for want of memory", &restarts].concat(),
        };
        return Cause::new(Kind::OutOfMemory, line);
    }
    // A probe ends a container by a signal: 137 is SIGKILL, 143 is SIGTERM. A process that handles SIGTERM ends with a code of its own.
    let killed_by = |what: &str| {
        let killed = events.iter().any(|event| {
            event.reason.as_deref() == Some("Killing")
                && event.message.as_deref().is_some_and(|message| message.contains(&[what, " probe"].concat()) && names(message, status))
        });
        killed.then(|| probe(status, events, what).unwrap_or_else(|| "no answer recorded".to_owned()))
    };
    if let Some(answer) = killed_by("liveness") {
        return Cause::new(Kind::LivenessProbe, ["killed by its liveness probe: ", &answer, &restarts].concat());
    }
    if let Some(answer) = killed_by("startup") {
        return Cause::new(Kind::StartupProbe, ["killed by its startup probe: ", &answer, &restarts].concat());
    }
    let code = ended.exit_code.to_string();
    let meaning = match ended.exit_code {
        0 => ": it ends well, where it should run on",
        126 => ": the command cannot be run",
        127 => ": the command does not exist",
        134 => ": it aborted",
        137 => ": killed by a signal, not for its memory",
        139 => ": segmentation fault",
        143 => ": told to stop",
        _ => "",
    };
    let message = ended.message.as_deref().map(|message| brief(message, MESSAGE)).filter(|message| !message.is_empty());
    let message = message.map(|message| [": ", &message].concat()).unwrap_or_default();
    Cause::new(Kind::CrashLoop, ["exits with code ", &code, meaning, &message, &restarts].concat())
}

/// What the probe answered last: `Readiness probe failed: HTTP probe failed with statuscode: 503`.
fn probe(status: &ContainerStatus, events: &[&Event], which: &str) -> Option<String> {
    let failed = events.iter().rev().filter(|event| event.reason.as_deref() == Some("Unhealthy")).find_map(|event| {
        let here = event.involved_object.field_path.as_deref().is_none_or(|path| names(path, status));
        let message = event.message.as_deref().filter(|_| here)?;
        let (probe, answer) = message.split_once(" probe failed:").or_else(|| message.split_once(" probe errored:"))?;
        probe.eq_ignore_ascii_case(which).then_some(answer)
    });
    failed.map(|answer| brief(answer, MESSAGE))
}

/// Whether a text like `spec.containers{app}` or `Container app failed liveness probe` names the container.
fn names(text: &str, status: &ContainerStatus) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).any(|word| word == status.name)
}

/// `configmap "x" not found`, `secret "x" not found`, `couldn't find key k in ConfigMap ns/x`.
fn is_missing_reference(message: &str) -> bool {
    let lower = message.to_ascii_lowercase();
    let of_a_kind = lower.contains("configmap") || lower.contains("secret");
    of_a_kind && (lower.contains("not found") || lower.contains("couldn't find key") || lower.contains("references non-existent"))
}

fn restarts(status: &ContainerStatus) -> String {
    match status.restart_count {
        0 => String::new(),
        1 => " (1 restart)".to_owned(),
        many => [" (", &many.to_string(), " restarts)"].concat(),
    }
}
