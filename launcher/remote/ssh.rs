//! The user's own ssh program: how it is called, and what is said when it fails.

use crate::failure::{Failure, Outcome};
use crate::here::os::run_program;
use crate::here::os::text::printable;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What is overruled of the user's configuration: no terminal there, no X11, none of the user's own forwards, which may be taken by another
/// ssh, and no command in the place of ours.
const OPTIONS: [&str; 6] = [
    "-T",
    "-x",
    "-o",
    "ClearAllForwardings=yes",
    "-o",
    "RemoteCommand=none",
];

/// The same for what an ssh before [`FIRST_WITH_STDIN`] has no words for, and would refuse: what we tell goes over its stdin, and its end
/// is the end of the whole.
const STAYS: [&str; 4] = ["-o", "StdinNull=no", "-o", "ForkAfterAuthentication=no"];

/// The first version of OpenSSH whose configuration has these two.
const FIRST_WITH_STDIN: (u32, u32) = (8, 7);

/// The longest that a silent connection is believed, in seconds: so many unanswered questions, so far apart.
const ALIVE: [&str; 4] = ["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"];

/// ssh's own exit code for a failure of its own.
pub const FAILED: i32 = 255;

/// How long `ssh -G` may take, which only reads files.
const CONFIGURATION_LIMIT: Duration = Duration::from_secs(10);

/// Lines of its errors that are shown.
const MOST_LINES: usize = 30;

/// The user's ssh program.
pub fn program() -> Outcome<PathBuf> {
    which::which("ssh").map_err(|_| {
        Failure::missing("ssh is not on PATH")
            .hint("install OpenSSH's client, or put the directory of ssh into PATH")
            .hint("on the cluster itself leave HOST out: no ssh is needed then")
    })
}

/// The user as whom this ssh logs in to a host, by its configuration.
#[must_use]
pub fn user_of(ssh: &Path, host: &str) -> Option<String> {
    let mut command = Command::new(ssh);
    // It may have been reaped already where children are waited for elsewhere: its output is what counts.
    let answer = run_program::ask(command.args(["-G", "--", host]), CONFIGURATION_LIMIT);
    setting(&answer.output, "user").map(str::to_owned)
}

/// The options of every ssh of ours that reads the user's configuration.
#[must_use]
pub fn options(ssh: &Path) -> Vec<&'static str> {
    let answer = run_program::ask(Command::new(ssh).arg("-V"), CONFIGURATION_LIMIT);
    let mut options = [OPTIONS.as_slice(), &ALIVE].concat();
    if version(&answer.errors).is_some_and(|version| version >= FIRST_WITH_STDIN) {
        options.extend(STAYS);
    }
    options
}

/// The version in `OpenSSH_9.2p1 Debian-2+deb12u3, OpenSSL 3.0.15`.
fn version(told: &str) -> Option<(u32, u32)> {
    let number = told.split("OpenSSH_").nth(1)?;
    let mut parts = number.split(|char: char| !char.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// A setting of `ssh -G`.
fn setting<'a>(shown: &'a str, name: &str) -> Option<&'a str> {
    shown
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim())
}

/// The last lines of errors, fit for a terminal.
#[must_use]
pub fn words_of(errors: &str) -> String {
    let lines: Vec<String> = errors
        .lines()
        .map(|line| printable(line.trim()))
        .filter(|line| !line.is_empty())
        .collect();
    if lines.is_empty() {
        return "it said nothing".to_owned();
    }
    lines[lines.len().saturating_sub(MOST_LINES)..].join("\n       ")
}

/// What to do where the other side began, and did not tell all that it has to.
#[must_use]
pub fn must_be_silent(host: Option<&str>) -> String {
    let file = "a start-up file of the login shell there may end it";
    match host {
        Some(host) => format!("{file}; `ssh {host} true` must print nothing and succeed"),
        None => file.to_owned(),
    }
}

/// What is said when ssh itself failed, with its own words.
#[must_use]
pub fn failed(host: &str, errors: &str) -> Failure {
    let failure = Failure::ssh(format!("ssh to {host} failed")).because(words_of(errors));
    let says = |text: &str| errors.contains(text);
    let hint = if says("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        "somebody may listen in: ask the centre for its new host key before you remove the old one (`ssh-keygen -R`)".to_owned()
    } else if says("Host key verification failed") {
        format!("log in once with `ssh {host}` and compare the key that it shows with the centre's")
    } else if says("Could not resolve hostname") {
        "check the name, or give it an alias with HostName in ~/.ssh/config".to_owned()
    } else if says("Permission denied") || says("Too many authentication failures") {
        format!(
            "log in with `ssh {host}` by hand first: ipjob uses the same keys, certificates (renewed daily at some centres) and agent"
        )
    } else {
        format!("`ssh {host} true` must work; `ssh -v {host} true` shows what it tries")
    };
    failure.hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read() {
        let shown = "host login\nuser ada\nproxyjump none\n";
        assert_eq!(setting(shown, "user"), Some("ada"));
        assert_eq!(setting(shown, "port"), None);
    }

    #[test]
    fn the_version_is_read() {
        for (told, expected) in [
            (
                "OpenSSH_9.2p1 Debian-2+deb12u3, OpenSSL 3.0.15 3 Sep 2024\n",
                Some((9, 2)),
            ),
            ("OpenSSH_10.0p2, LibreSSL 3.3.6", Some((10, 0))),
            ("OpenSSH_for_Windows_9.5p1", None),
            ("dropbear", None),
            ("", None),
        ] {
            assert_eq!(version(told), expected, "{told}");
        }
    }

    #[test]
    fn sshs_own_words_decide_the_hint() {
        for (words, hint) in [
            (
                "ssh: Could not resolve hostname x: Name or service not known",
                "check the name",
            ),
            ("x@y: Permission denied (publickey).", "by hand"),
            ("Host key verification failed.", "compare the key"),
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
                "listen in",
            ),
            ("", "must work"),
        ] {
            let failure = failed("daint", words);
            assert_eq!(failure.exit_code(), 6);
            assert!(failure.hints[0].contains(hint), "{failure:?}");
        }
    }
}
