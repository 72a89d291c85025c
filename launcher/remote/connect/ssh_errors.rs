//! What ssh's own words mean. PURE.

use super::event::{DeadEnd, Words};
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

/// Why forwards cannot be made, by all that was said meanwhile, and by the ssh that asked for them: the one that was asked says more.
#[must_use]
pub fn of_forwards(all: &[String], asking: &[String]) -> DeadEnd {
    let telling = |line: &&String| line.starts_with("bind ") || line.contains("cannot listen");
    let line = all.iter().rev().find(telling).or(asking.last());
    line.map_or_else(
        || DeadEnd::from("ssh did not say why".to_owned()),
        |line| of_line(line),
    )
}

/// Why nothing answers through a forward, where ssh told: `channel 3: open failed: administratively prohibited: open failed`.
#[must_use]
pub fn of_channels(lines: &[String]) -> Option<DeadEnd> {
    let mut lines = lines.iter().rev();
    lines
        .find(|line| line.contains("open failed"))
        .map(|line| of_line(line))
}

fn of_line(line: &str) -> DeadEnd {
    DeadEnd {
        words: line.to_owned(),
        forbidden: line.contains("prohibited"),
    }
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
    fn the_telling_line_is_found_among_ssh_s_words() {
        let lines = |lines: &[&str]| {
            lines
                .iter()
                .map(|line| (*line).to_owned())
                .collect::<Vec<_>>()
        };
        let listen = lines(&[
            "bind [127.0.0.1]:8000: Address already in use",
            "mux_client_forward: forwarding request failed: Port forwarding failed",
        ]);
        assert_eq!(of_forwards(&listen, &[]), DeadEnd::from(listen[0].clone()));
        assert_eq!(of_forwards(&[], &listen), DeadEnd::from(listen[1].clone()));
        assert_eq!(of_channels(&listen), None);
        let open = lines(&["channel 3: open failed: administratively prohibited: open failed"]);
        assert!(of_channels(&open).is_some_and(|end| end.forbidden));
        let refused = lines(&["channel 3: open failed: connect failed: Connection refused"]);
        assert!(of_channels(&refused).is_some_and(|end| !end.forbidden));
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
