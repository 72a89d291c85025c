//! Slurm's short form of many node names: `node[1,3-5],gpu[001-002]n[0-1]`.

use crate::failure::{Failure, Outcome};

/// The most names that a list may stand for: far beyond any cluster, and a bound for garbage such as `n[0-4000000000]`.
pub const MOST: usize = 200_000;

/// The longest name, in bytes: that of the domain name system. With it garbage is bounded too in what its names add up to.
const LONGEST_NAME: usize = 253;

/// All names of a list, in its order.
pub fn expand(list: &str) -> Outcome<Vec<String>> {
    if list.contains(|char: char| char.is_control() || char.is_whitespace()) {
        return Err(unreadable(
            list,
            "it has a character that host names cannot have",
        ));
    }
    let mut names = Vec::new();
    for part in split(list).ok_or_else(|| unreadable(list, "its brackets do not match"))? {
        if part.is_empty() {
            return Err(unreadable(list, "it has an empty name"));
        }
        let room = MOST - names.len();
        names.extend(expand_part(part, room).map_err(|why| unreadable(list, why))?);
    }
    Ok(names)
}

const TOO_LONG: &str = "it expands to a name that is longer than any host name";

fn unreadable(list: &str, why: &str) -> Failure {
    let start: String = list.chars().take(80).collect();
    Failure::missing(format!("the node list {start:?} cannot be read: {why}"))
        .hint("SLURM_JOB_NODELIST is set by Slurm; is this environment really a job's? --launcher local ignores it")
}

/// The parts between commas that are in no brackets; `None` where brackets do not match.
fn split(list: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut begin, mut inside) = (0, false);
    for (at, char) in list.char_indices() {
        match (char, inside) {
            ('[', false) => inside = true,
            (']', true) => inside = false,
            ('[', true) | (']', false) => return None,
            (',', false) => {
                parts.push(&list[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[begin..]);
    (!inside).then_some(parts)
}

/// The names of one part, at most `room`: every combination of its brackets, the first one slowest.
fn expand_part(part: &str, room: usize) -> Result<Vec<String>, &'static str> {
    let mut names = vec![String::new()];
    let mut rest = part;
    while let Some(open) = rest.find('[') {
        let close = rest.find(']').ok_or("its brackets do not match")?;
        let numbers = numbers(&rest[open + 1..close], room)?;
        if names.len().saturating_mul(numbers.len()) > room {
            return Err("it expands to too many names");
        }
        if longest(&names) + open + longest(&numbers) > LONGEST_NAME {
            return Err(TOO_LONG);
        }
        names = names
            .iter()
            .flat_map(|name| {
                let head = format!("{name}{}", &rest[..open]);
                numbers.iter().map(move |number| format!("{head}{number}"))
            })
            .collect();
        rest = &rest[close + 1..];
    }
    if longest(&names) + rest.len() > LONGEST_NAME {
        return Err(TOO_LONG);
    }
    for name in &mut names {
        name.push_str(rest);
    }
    if names.len() > room {
        return Err("it expands to too many names");
    }
    Ok(names)
}

/// The length in bytes of the longest of these.
fn longest(names: &[String]) -> usize {
    names.iter().map(String::len).max().unwrap_or(0)
}

/// The numbers of one bracket as text: `1,3-5` is 1, 3, 4, 5; leading zeros are kept: `008-010` is 008, 009, 010.
fn numbers(text: &str, room: usize) -> Result<Vec<String>, &'static str> {
    let mut found = Vec::new();
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| text.parse::<u64>().ok())
                .flatten()
                .ok_or("a range has something that is not a number")
        };
        let (low, high) = (number(first)?, number(last)?);
        if high < low {
            return Err("a range is reversed");
        }
        if high - low >= (room - found.len().min(room)) as u64 {
            return Err("it expands to too many names");
        }
        let width = first.len();
        if width > LONGEST_NAME {
            return Err(TOO_LONG);
        }
        found.extend((low..=high).map(|number| format!("{number:0width$}")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<String> {
        expand(list).unwrap_or_default()
    }

    #[test]
    fn lists_of_real_clusters_are_expanded() {
        assert_eq!(names("node1"), ["node1"]);
        assert_eq!(names("node[1,3-4]"), ["node1", "node3", "node4"]);
        assert_eq!(names("nid[001008-001010]").len(), 3);
        assert_eq!(names("nid[008-010]"), ["nid008", "nid009", "nid010"]);
        assert_eq!(
            names("a[1-2]-ib[0-1],login"),
            ["a1-ib0", "a1-ib1", "a2-ib0", "a2-ib1", "login"]
        );
        assert_eq!(names("rack[0-1]node[0-1]x").len(), 4);
    }

    #[test]
    fn garbage_is_refused() {
        for garbage in [
            "",
            ",",
            "node[",
            "node]",
            "node[1-",
            "node[]",
            "node[2-1]",
            "node[a-b]",
            "n[0-4000000000]",
            "n[0-999][0-999]",
            "n[[1]]",
            "n[1-2-3]",
            "n[+1]",
            "n 1",
            "n\u{1b}[1]",
            &format!("n[{}0-199999]", "0".repeat(1000)),
            &format!("{}[0-199999]", "n".repeat(1000)),
            &format!("n{}", "[0]".repeat(1000)),
            &format!("n[0-199999]{}", "x".repeat(1000)),
        ] {
            assert!(expand(garbage).is_err(), "{garbage}");
        }
    }
}
