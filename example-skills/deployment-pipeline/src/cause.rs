//! Why a rollout does not get anywhere, and what helps.

/// What is wrong. The order is that of explanatory power: where several apply, the first explains the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Paused,
    QuotaExceeded,
    PodsRefused,
    Unschedulable,
    MissingReference,
    VolumeNotReady,
    ImageNotFound,
    ImageRefused,
    ImagePull,
    CannotStart,
    OutOfMemory,
    LivenessProbe,
    StartupProbe,
    CrashLoop,
    Evicted,
    ReadinessProbe,
    ProgressDeadline,
}

/// A cause, with the one line that tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) kind: Kind,
    pub(crate) line: String,
    /// Where it shows, if it shows in one container of one pod: what to read the log of.
    pub(crate) at: Option<(String, String)>,
}

impl Kind {
    /// The word that SKILL.md uses.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::QuotaExceeded => "quota-exceeded",
            Self::PodsRefused => "pods-refused",
            Self::Unschedulable => "unschedulable",
            Self::MissingReference => "missing-reference",
            Self::VolumeNotReady => "volume-not-ready",
            Self::ImageNotFound => "image-not-found",
            Self::ImageRefused => "image-refused",
            Self::ImagePull => "image-pull",
            Self::CannotStart => "cannot-start",
            Self::OutOfMemory => "out-of-memory",
            Self::LivenessProbe => "liveness-probe",
            Self::StartupProbe => "startup-probe",
            Self::CrashLoop => "crash-loop",
            Self::Evicted => "evicted",
            Self::ReadinessProbe => "readiness-probe",
            Self::ProgressDeadline => "progress-deadline",
        }
    }

    /// What to do next.
    pub(crate) fn next_step(self) -> &'static str {
        match self {
            Self::Paused => "leave it: somebody paused it on purpose; report it if nobody knows why",
            Self::QuotaExceeded => "do not restart; report what is requested, used and allowed: the quota or the requests have to change",
            Self::PodsRefused => "do not restart; report the message: the API server refuses the pod as it is written",
            Self::Unschedulable => "do not restart; report the scheduler's reason: no node takes the pod as it is written",
            Self::MissingReference => "do not restart; report what is missing and who wants it: the pod starts by itself once it exists",
            Self::VolumeNotReady => "do not restart; report the volume and the message: a new pod would wait for it as well",
            Self::ImageNotFound => {
                "do not restart, it would pull the same image; report the image, and propose roll_back to the revision before"
            }
            Self::ImageRefused => "do not restart; report that the pull secret or the name of the repository is wrong",
            Self::ImagePull => "do not restart; report it if it lasts: the registry does not answer as it should",
            Self::CannotStart => "do not restart; report the command and the message, and propose roll_back to the revision before",
            Self::OutOfMemory => {
                "do not restart, it would fill up again; report the limit, and propose roll_back if only the newest revision is killed"
            }
            Self::LivenessProbe => {
                "read the log: if the container is slow or stuck and a fresh start clears that, restart_workload once; else report the probe"
            }
            Self::StartupProbe => {
                "read the log: if it needs more time, report the probe; if what it waited for is there by now, restart_workload once"
            }
            Self::CrashLoop => {
                "read the log: if what it lacked exists by now, restart_workload once; if only the newest revision crashes, propose roll_back; else report"
            }
            Self::Evicted => "report which node ran out of what; the controller has made new pods already",
            Self::ReadinessProbe => {
                "read the log: restart_workload once if a fresh start clears the state that it shows; else report what the probe says"
            }
            Self::ProgressDeadline => "look again; if there is still no other cause, report it",
        }
    }
}

impl Cause {
    pub(crate) fn new(kind: Kind, line: impl Into<String>) -> Self {
        Self { kind, line: line.into(), at: None }
    }

    pub(crate) fn at(mut self, pod: &str, container: &str) -> Self {
        self.at = Some((pod.to_owned(), container.to_owned()));
        self
    }
}

/// Whether a text says this. The search of the standard library is made for long texts, and is 4 KB of WebAssembly.
pub(crate) fn contains(text: &str, words: &str) -> bool {
    text.as_bytes().windows(words.len()).any(|window| window == words.as_bytes())
}

/// The first line, and at most `most` bytes of it: messages of the kubelet can be long.
pub(crate) fn brief(text: &str, most: usize) -> String {
    let line = text.trim_ascii().split('\n').next().unwrap_or_default().trim_ascii_end();
    if line.len() <= most {
        return line.to_owned();
    }
    let end = (0..=most).rev().find(|&end| line.is_char_boundary(end)).unwrap_or_default();
    [line.get(..end).unwrap_or_default(), "..."].concat()
}
