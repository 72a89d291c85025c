//! What ssh's own words mean. PURE.

use super::event::Words;
use crate::remote::ssh;

/// Why ssh did not log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server did not take what ssh had to show, or wanted what only a person has.
    Authentication,
    /// The host key is unknown, or another than before.
    HostKey,
    /// No such name.
    UnknownHost,
    /// ssh's own configuration or command line.
    Configuration,
    /// The program that was asked for does not run there.
    Remote,
    /// The network, or a server that is not there now: what another try may find better.
    Unreachable,
}

/// What is looked for in ssh's words; the first that is found counts.
const SIGNS: &[(&str, Refusal)] = &[
    ("Host key verification failed", Refusal::HostKey),
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", Refusal::HostKey),
    ("host key is known for", Refusal::HostKey),
    ("Permission denied", Refusal::Authentication),
    ("Too many authentication failures", Refusal::Authentication),
    (
        "No supported authentication methods",
        Refusal::Authentication,
    ),
    ("Account locked", Refusal::Authentication),
    ("account has expired", Refusal::Authentication),
    ("Could not resolve hostname", Refusal::UnknownHost),
    ("Bad configuration option", Refusal::Configuration),
    ("terminating,", Refusal::Configuration),
    ("Bad owner or permissions", Refusal::Configuration),
];

/// What the words of an ssh that ended mean.
#[must_use]
pub fn of(words: &Words) -> Refusal {
    let sign = SIGNS
        .iter()
        .find(|(sign, _)| words.lines.iter().any(|line| line.contains(sign)));
    match sign {
        Some((_, refusal)) => *refusal,
        None if words.code.is_some_and(|code| code != ssh::FAILED) => Refusal::Remote,
        None => Refusal::Unreachable,
    }
}

/// Whether another try by itself may be made.
#[must_use]
pub fn may_pass(refusal: Refusal) -> bool {
    // On a laptop without a network no name is resolved; nobody is knocked at then.
    matches!(refusal, Refusal::Unreachable | Refusal::UnknownHost)
}

/// The last thing that was said.
#[must_use]
pub fn last_words(words: &Words) -> String {
    match (words.lines.last(), words.code) {
        (Some(line), _) => line.clone(),
        (None, Some(code)) => format!("it said nothing and ended with exit code {code}"),
        (None, None) => "it said nothing and was ended by a signal".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: i32, lines: &[&str]) -> Words {
        Words {
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            code: Some(code),
        }
    }

    #[test]
    fn ssh_s_words_are_understood() {
        for (line, expected) in [
            (
                "alice@login: Permission denied (publickey).",
                Refusal::Authentication,
            ),
            (
                "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures",
                Refusal::Authentication,
            ),
            ("Host key verification failed.", Refusal::HostKey),
            (
                "ssh: Could not resolve hostname nowhere: Name or service not known",
                Refusal::UnknownHost,
            ),
            (
                "ssh: connect to host login port 22: Connection refused",
                Refusal::Unreachable,
            ),
            (
                "Timeout, server login not responding.",
                Refusal::Unreachable,
            ),
            (
                "Connection closed by 10.78.0.2 port 22",
                Refusal::Unreachable,
            ),
            (
                "/home/a/.ssh/config: line 1: Bad configuration option: x",
                Refusal::Configuration,
            ),
        ] {
            assert_eq!(of(&said(255, &[line])), expected, "{line}");
        }
        assert_eq!(of(&said(127, &["sh: not found"])), Refusal::Remote);
    }
}
