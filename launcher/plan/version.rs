//! Versions of Python packages, as far as ipjob must tell them apart.

use crate::failure::{Failure, Outcome};
use std::fmt;

/// A version by its numbers: `9.2.0` is [9, 2, 0].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    numbers: Vec<u32>,
    text: String,
}

impl Version {
    /// Reads the leading numbers of `text`: `9.2.0`, `7.0.0b1`; `None` where it does not begin with a number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let mut numbers = Vec::new();
        for part in text.split('.') {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            match digits.parse() {
                Ok(number) => numbers.push(number),
                Err(_) => break,
            }
            if digits.len() < part.len() {
                break;
            }
        }
        (!numbers.is_empty()).then(|| Self {
            numbers,
            text: text.to_owned(),
        })
    }

    /// The version of these numbers.
    #[must_use]
    pub fn of(numbers: &[u32]) -> Self {
        Self {
            numbers: numbers.to_vec(),
            text: String::new(),
        }
    }

    /// The first number.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.numbers[0]
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// Refuses an ipyparallel below 7: its controller has other processes, ports and option names.
pub fn check_ipyparallel(version: &Version) -> Outcome<()> {
    if version.major() >= 7 {
        return Ok(());
    }
    Err(
        Failure::missing(format!("ipyparallel {version} is too old for ipjob"))
            .hint("ipyparallel 8 and 9 are supported, 7.1 in part: `pip install -U ipyparallel`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_far_as_they_are_numbers() {
        assert_eq!(
            Version::parse("9.2.0\n").map(|v| v.numbers),
            Some(vec![9, 2, 0])
        );
        assert_eq!(
            Version::parse("7.0.0b1").map(|v| v.numbers),
            Some(vec![7, 0, 0])
        );
        assert_eq!(
            Version::parse("10.1.dev3").map(|v| v.numbers),
            Some(vec![10, 1])
        );
        assert_eq!(Version::parse("Traceback"), None);
        assert_eq!(Version::parse("99999999999.1"), None);
    }

    #[test]
    fn below_seven_is_refused_by_name() {
        let old = Version::parse("6.3.0").map(|v| check_ipyparallel(&v));
        assert!(
            matches!(old, Some(Err(failure)) if failure.message == "ipyparallel 6.3.0 is too old for ipjob")
        );
        assert!(matches!(
            Version::parse("7.1.0").map(|v| check_ipyparallel(&v)),
            Some(Ok(()))
        ));
    }
}
