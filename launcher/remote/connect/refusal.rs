//! What ssh's own words mean. PURE.

use super::event::Words;
use crate::failure::{Failure, Kind};

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
    ("No supported authentication methods", Refusal::Authentication),
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
        // On a laptop without a network no name is resolved; nobody is knocked at then.
        Some((_, Refusal::UnknownHost)) => Refusal::UnknownHost,
        Some((_, refusal)) => *refusal,
        None if words.code.is_some_and(|code| code != 255) => Refusal::Remote,
        None => Refusal::Unreachable,
    }
}

/// Whether another try by itself may be made.
#[must_use]
pub fn may_pass(refusal: Refusal) -> bool {
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

/// The failure of an ssh that did not log in, in its own words, with what to do.
#[must_use]
pub fn failure(message: &str, words: &Words, host: &str) -> Failure {
    let refusal = of(words);
    let telling = words.lines.iter().rev().find(|line| {
        SIGNS.iter().any(|(sign, _)| line.contains(sign))
    });
    let cause = telling.cloned().unwrap_or_else(|| last_words(words));
    let failure = Failure::new(Kind::Ssh, message).because(cause);
    match refusal {
        Refusal::Authentication => failure
            .hint(format!("try `ssh {host}` by hand: a password or a code needs a terminal, a key needs to be loaded (`ssh-add`), and certificates last a day"))
            .hint("do not repeat it blindly: sites block hosts that knock too often"),
        Refusal::HostKey => failure
            .hint(format!("compare the key with what the site publishes; `ssh {host}` by hand shows all of it, and `ssh-keygen -R {host}` forgets the old one")),
        Refusal::UnknownHost => failure
            .hint(format!("HOST is what `ssh HOST` takes: a name, user@name, or an alias of ~/.ssh/config; {host} is none that is known here")),
        Refusal::Configuration => failure.hint("look at ~/.ssh/config"),
        Refusal::Remote => failure.hint(format!("try `ssh {host} true` by hand: nothing but a plain shell is needed there")),
        Refusal::Unreachable => failure.hint(format!("try `ssh {host}` by hand: the network or the host may be down, or a VPN missing")),
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
            ("alice@login: Permission denied (publickey).", Refusal::Authentication),
            ("Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures", Refusal::Authentication),
            ("Host key verification failed.", Refusal::HostKey),
            ("ssh: Could not resolve hostname nowhere: Name or service not known", Refusal::UnknownHost),
            ("ssh: connect to host login port 22: Connection refused", Refusal::Unreachable),
            ("Timeout, server login not responding.", Refusal::Unreachable),
            ("Connection closed by 10.78.0.2 port 22", Refusal::Unreachable),
            ("/home/a/.ssh/config: line 1: Bad configuration option: x", Refusal::Configuration),
        ] {
            assert_eq!(of(&said(255, &[line])), expected, "{line}");
        }
        assert_eq!(of(&said(127, &["sh: not found"])), Refusal::Remote);
    }

    #[test]
    fn a_failure_shows_the_line_that_tells_most() {
        let words = said(255, &["Host key verification failed.", "lost connection"]);
        let failure = failure("ssh to x failed", &words, "x");
        assert_eq!(failure.cause.as_deref(), Some("Host key verification failed."));
        assert_eq!(failure.hints.len(), 1);
    }
}
