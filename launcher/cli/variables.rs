//! Variables that look like ours and are not: a typo would otherwise be ignored in silence.

use super::Cli;
use crate::here::os::guard;
use crate::plan::environment::{CLIENT_PROFILE_VARIABLE, READY_RECORD, READY_URL, USERS_STARTUP};
use crate::plan::incarnation::{INCARNATION_VARIABLE, SERVICE_VARIABLE};
use crate::plan::ranks::MEETING_VARIABLE;
use clap::CommandFactory;

/// What all of them begin with.
const PREFIX: &str = "IPJOB_";

/// Variables that belong to no option: ipjob sets them for what it starts, and may itself be started there.
const INNER: &[&str] = &[
    CLIENT_PROFILE_VARIABLE,
    READY_RECORD,
    READY_URL,
    USERS_STARTUP,
    INCARNATION_VARIABLE,
    SERVICE_VARIABLE,
    MEETING_VARIABLE,
    guard::VARIABLE,
];

/// The variables of the main command's options.
fn options() -> Vec<String> {
    let command = Cli::command();
    let variables = command.get_arguments().filter_map(clap::Arg::get_env);
    variables
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// Whether a variable sets an option of any command.
#[must_use]
pub fn is_an_options(name: &str) -> bool {
    if !name.starts_with(PREFIX) {
        return false;
    }
    let command = Cli::command();
    let commands = std::iter::once(&command).chain(command.get_subcommands());
    let mut variables = commands
        .flat_map(clap::Command::get_arguments)
        .filter_map(clap::Arg::get_env);
    variables.any(|known| known == name)
}

/// One line for each variable that nobody reads, with the one that was most likely meant.
#[must_use]
pub fn unknown_variables(environment: &[(String, String)]) -> Vec<String> {
    let options = options();
    environment
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| name.starts_with(PREFIX))
        .filter(|name| !INNER.contains(name) && !options.iter().any(|known| known == name))
        .map(|name| {
            let nearest = options.iter().min_by_key(|known| distance(name, known));
            let meant =
                nearest.map_or_else(String::new, |known| format!("; did you mean {known}?"));
            format!("{name} is set, but ipjob has no such variable{meant}")
        })
        .collect()
}

/// The name that was most likely meant by a word: the nearest one, if it differs in no more than half its letters.
pub(super) fn meant<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (far, nearest) = names
        .map(|name| (distance(word, name), name))
        .min_by_key(|(far, _)| *far)?;
    (2 * far <= nearest.len().min(word.len())).then_some(nearest)
}

/// How many letters must be put in, taken out or changed to make one word of the other (Levenshtein's distance).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut next = vec![line + 1];
        let mut left = line + 1;
        for ((above_left, above), other_letter) in row.iter().zip(row.iter().skip(1)).zip(&other) {
            let changed = above_left + usize::from(letter != *other_letter);
            left = changed.min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_letters() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("engine", "engines", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn a_word_that_is_like_no_name_means_none() {
        let meant = |word| meant(word, ["connect", "status", "stop", "ssh"].into_iter());
        for (word, name) in [
            ("conect", Some("connect")),
            ("conenct", Some("connect")),
            ("stauts", Some("status")),
            ("stpo", Some("stop")),
            ("sto", Some("stop")),
            ("shs", None),
            ("driver.py", None),
            ("--connect", Some("connect")),
            ("", None),
        ] {
            assert_eq!(meant(word), name, "{word}");
        }
    }

    #[test]
    fn every_variable_that_nobody_reads_is_named_with_its_nearest() {
        let set = |name: &str| (name.to_owned(), "1".to_owned());
        let environment = [
            "IPJOB_ENGINE",
            "IPJOB_ENGINES",
            "IPJOB_GUARD",
            "IPJOB_PORT_RNAGE",
            "PATH",
        ]
        .map(set);
        let lines = unknown_variables(&environment);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].ends_with("did you mean IPJOB_ENGINES?"),
            "{lines:?}"
        );
        assert!(
            lines[1].ends_with("did you mean IPJOB_PORT_RANGE?"),
            "{lines:?}"
        );
    }
}
