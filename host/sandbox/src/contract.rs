//! The contract's interfaces and functions, and the strict reading of the names by which components ask for them.
//!
//! The engine's linker matches versions leniently (a component that wants 0.1.9 is given 0.1.0), so names are read here, exactly, before it sees any.

use crate::manifest::CONTRACT;

/// Interfaces that every skill may import.
pub(crate) const AMBIENT: [&str; 4] = ["clock", "log", "report", "site"];
/// The interface that a sheet asks for with `state: true`.
pub(crate) const STATE: &str = "state";
/// The only export of a skill.
pub(crate) const SKILL: &str = "skill";
/// The only export of a describer.
pub(crate) const DESCRIPTION: &str = "description";
/// Types only.
pub(crate) const TYPES: &str = "types";

/// Every function of the contract that can be imported.
const FUNCTIONS: [(&str, &[&str]); 12] = [
    ("clock", &["now-unix-ms", "remaining"]),
    ("http-mutation", &["send"]),
    ("http-read", &["send"]),
    ("kubernetes-destructive-mutation", &["delete", "rollback"]),
    ("kubernetes-read", &["get", "list", "logs", "wait"]),
    ("kubernetes-service-mutation", &["cordon", "evict", "pause", "request-sync", "restart", "scale"]),
    ("log", &["emit"]),
    ("mcp-mutation", &["call-tool"]),
    ("mcp-read", &["call-tool"]),
    ("report", &["finding"]),
    ("site", &["describe"]),
    ("state", &["get", "keys", "put", "remove"]),
];

/// The compat profile: package and interfaces.
const COMPAT: [(&str, &[&str]); 5] = [
    ("io", &["error", "poll", "streams"]),
    ("clocks", &["monotonic-clock", "wall-clock"]),
    ("random", &["random", "insecure", "insecure-seed"]),
    (
        "cli",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("filesystem", &["preopens", "types"]),
];
/// The newest 0.2 of WASI that the profile knows.
const COMPAT_PATCH: u32 = 12;

/// What the name of an import or export stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named<'a> {
    /// An interface of the contract, known or not.
    Contract(&'a str),
    /// An interface of the compat profile.
    Compat,
}

/// Reads a name. The error says what is wrong with it.
pub(crate) fn classify(name: &str) -> Result<Named<'_>, &'static str> {
    const SHAPE: &str = "it is not of the form `namespace:package/interface@version`";
    let (path, version) = name.split_once('@').ok_or("it has no version")?;
    let (package, interface) = path.split_once('/').ok_or(SHAPE)?;
    let (namespace, package) = package.split_once(':').ok_or(SHAPE)?;
    if ![namespace, package, interface].iter().all(|part| is_kebab(part)) {
        return Err(SHAPE);
    }
    let [major, minor, patch] = numbers(version).ok_or("its version is not three plain numbers")?;
    match (namespace, package) {
        ("infraagent", "skill") => {
            let ours = numbers(CONTRACT).map_or(0, |[_, _, patch]| patch);
            match (major, minor) {
                (0, 1) if patch <= ours => Ok(Named::Contract(interface)),
                (0, 1) => Err("this version of the contract is newer than the host; upgrade the host"),
                (_, _) => Err("this host speaks version 0.1 of the contract"),
            }
        }
        ("wasi", "sockets" | "http") => Err("a skill has no network of its own: use http-read and http-mutation"),
        ("wasi", package) => {
            let known = COMPAT.iter().any(|(name, interfaces)| *name == package && interfaces.contains(&interface));
            match (known, major, minor) {
                (true, 0, 2) if patch <= COMPAT_PATCH => Ok(Named::Compat),
                (true, _, _) => Err("the compat profile knows WASI 0.2.0 to 0.2.12"),
                (false, _, _) => Err("it is not part of the compat profile"),
            }
        }
        (_, _) => Err("nothing of this namespace exists here, not even types"),
    }
}

/// The functions of an interface.
pub(crate) fn functions(interface: &str) -> Option<&'static [&'static str]> {
    FUNCTIONS.iter().find(|(name, _)| *name == interface).map(|(_, functions)| *functions)
}

fn is_kebab(part: &str) -> bool {
    !part.is_empty() && part.len() <= 64 && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Three decimal numbers without leading zeros, and nothing else.
fn numbers(version: &str) -> Option<[u32; 3]> {
    let number = |text: &str| {
        let plain = (1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        if plain { text.parse().ok() } else { None }
    };
    let mut parts = version.split('.').map(number);
    let found = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::{Named, classify};

    #[test]
    fn only_exact_names_of_the_contract_and_the_profile_are_read() {
        assert_eq!(classify("infraagent:skill/kubernetes-read@0.1.0"), Ok(Named::Contract("kubernetes-read")));
        assert_eq!(
            classify("infraagent:skill/data-mutation@0.1.0"),
            Ok(Named::Contract("data-mutation")),
            "unknown ones are refused later, by name"
        );
        for known in
            ["wasi:io/streams@0.2.6", "wasi:cli/stdout@0.2.0", "wasi:filesystem/preopens@0.2.12", "wasi:random/insecure-seed@0.2.6"]
        {
            assert_eq!(classify(known), Ok(Named::Compat), "{known}");
        }
        for foreign in [
            "infraagent:skill/log",
            "infraagent:skill/log@0.1.999",
            "infraagent:skill/log@0.1",
            "infraagent:skill/log@0.1.00",
            "infraagent:skill/log@0.1.0-rc1",
            "infraagent:skill/log@0.2.0",
            "infraagent:skill/log@1.0.0",
            "infraagent:skill/Log@0.1.0",
            "infraagent:skills/log@0.1.0",
            "evil:skill/log@0.1.0",
            "infraagent:skill/log/x@0.1.0",
            "infraagent:skill/lоg@0.1.0",
            "wasi:sockets/tcp@0.2.6",
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:cli/run@0.2.6",
            "wasi:cli/stdout@0.3.0",
            "wasi:cli/stdout@0.2.99",
            "wasi:keyvalue/store@0.2.0",
            "log",
            "",
        ] {
            assert!(classify(foreign).is_err(), "{foreign}");
        }
    }
}
