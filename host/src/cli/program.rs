//! What this program is called where it is used: `infraagent`, or `kubectl infraagent` when kubectl found it as the plugin `kubectl-infraagent`.
//!
//! Help, examples and errors name the command that people can type.

use std::{ffi::OsStr, path::Path};

use clap::Command;

/// The program.
const OWN: &str = "infraagent";
/// The name under which kubectl finds it.
const PLUGIN: &str = "kubectl-infraagent";
/// What people type then.
const THROUGH_KUBECTL: &str = "kubectl infraagent";

/// What people type to get this program.
pub fn name() -> String {
    name_of(std::env::args_os().next().as_deref()).to_owned()
}

/// The same for a program that was started as `called`.
fn name_of(called: Option<&OsStr>) -> &'static str {
    let stem = called.and_then(|called| Path::new(called).file_stem()).and_then(OsStr::to_str);
    if stem == Some(PLUGIN) { THROUGH_KUBECTL } else { OWN }
}

/// The command line under that name: usage lines and examples say what can be typed.
pub fn named(command: Command, name: &str) -> Command {
    if name == OWN {
        return command;
    }
    let words: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    renamed(command.bin_name(name).display_name(name), name, &words)
}

fn renamed(mut command: Command, name: &str, words: &[String]) -> Command {
    let text = |text: Option<&clap::builder::StyledStr>| text.map(|text| said(&text.ansi().to_string(), name, words));
    let (short, long) = (text(command.get_after_help()), text(command.get_after_long_help()));
    if let Some(short) = short {
        command = command.after_help(short);
    }
    if let Some(long) = long {
        command = command.after_long_help(long);
    }
    command.mut_subcommands(|command| renamed(command, name, words))
}

/// Text in which this program is called by that name, wherever it names one of its subcommands.
fn said(text: &str, name: &str, words: &[String]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OWN) {
        out.push_str(before);
        let next = after.strip_prefix(' ').and_then(|after| after.split(|letter: char| !letter.is_alphanumeric() && letter != '-').next());
        // `kubectl annotate infraagent forge` is not about this program.
        let is_called = next.is_some_and(|next| words.iter().any(|word| word == next)) && !out.ends_with(['/', '-', '.']);
        out.push_str(if is_called { name } else { OWN });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_called_as_it_was_found() {
        for (called, expected) in [
            ("/usr/bin/infraagent", OWN),
            ("infraagent", OWN),
            ("/usr/local/bin/kubectl-infraagent", THROUGH_KUBECTL),
            ("kubectl-infraagent.exe", THROUGH_KUBECTL),
            ("my-infraagent", OWN),
        ] {
            assert_eq!(name_of(Some(OsStr::new(called))), expected, "{called}");
        }
        assert_eq!(name_of(None), OWN);
    }

    #[test]
    fn only_what_calls_the_program_is_renamed() {
        let words = ["run".to_owned(), "runs".to_owned()];
        let text =
            "infraagent runs list | infraagent run -; kubectl annotate infraagent forge; infraagent.io/run, ./infraagent run infraagent";
        let renamed = "kubectl infraagent runs list | kubectl infraagent run -; kubectl annotate infraagent forge; infraagent.io/run, ./infraagent run infraagent";
        assert_eq!(said(text, THROUGH_KUBECTL, &words), renamed);
    }

    #[test]
    fn every_help_of_the_plugin_names_what_can_be_typed() {
        let mut command = named(super::super::command(), THROUGH_KUBECTL);
        command.build();
        let mut seen = 0;
        let mut open = vec![command];
        while let Some(mut command) = open.pop() {
            let help = command.render_long_help().to_string();
            for line in help
                .lines()
                .filter(|line| line.contains("infraagent runs") || line.contains("infraagent agents") || line.starts_with("Usage:"))
            {
                assert!(line.contains("kubectl infraagent"), "{}: {line}", command.get_name());
                seen += 1;
            }
            assert!(!help.contains("kubectl kubectl"), "{help}");
            open.extend(command.get_subcommands().cloned());
        }
        assert!(seen > 30, "{seen}");
    }
}
