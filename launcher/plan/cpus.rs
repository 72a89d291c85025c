//! A set of CPUs, as Linux writes it: `0-3,8`. PURE.

use core::fmt;
use std::collections::BTreeSet;

/// More CPUs than any kernel counts.
const MOST: u32 = 1 << 16;

/// CPUs by the kernel's numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cpus(BTreeSet<u32>);

impl Cpus {
    /// Reads a list as the kernel shows it; an empty one has none. `None` for any other text.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number < MOST);
        let mut cpus = BTreeSet::new();
        for part in text.trim().split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return None;
            }
            cpus.extend(first..=last);
        }
        Some(Self(cpus))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn contains(&self, cpu: u32) -> bool {
        self.0.contains(&cpu)
    }

    /// Those that are among the others as well.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        Self(self.0.intersection(&others.0).copied().collect())
    }
}

impl FromIterator<u32> for Cpus {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        Self(numbers.into_iter().collect())
    }
}

impl Extend<u32> for Cpus {
    fn extend<I: IntoIterator<Item = u32>>(&mut self, numbers: I) {
        self.0.extend(numbers);
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut numbers = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = numbers.next() {
            let mut last = first;
            while let Some(next) = numbers.next_if_eq(&(last + 1)) {
                last = next;
            }
            match last - first {
                0 => write!(out, "{separator}{first}")?,
                _ => write!(out, "{separator}{first}-{last}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        for (text, number) in [("0-3,8\n", 5), ("7", 1), ("\n", 0), ("0-63,128-191", 128)] {
            let cpus = Cpus::read(text).expect(text);
            assert_eq!(cpus.len(), number, "{text}");
            assert_eq!(cpus.to_string(), text.trim());
        }
        for other in ["3-0", "a", "1-", "0-4000000000", "-1", "0 1"] {
            assert_eq!(Cpus::read(other), None, "{other}");
        }
    }
}

#[cfg(test)]
mod fuzz {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_set_is_read_as_it_is_shown(numbers in prop::collection::btree_set(0..MOST, 0..40)) {
            let cpus: Cpus = numbers.into_iter().collect();
            prop_assert_eq!(Cpus::read(&cpus.to_string()), Some(cpus));
        }

        #[test]
        fn no_text_is_more_cpus_than_there_are(text in "[0-9,-]{0,24}|\\PC{0,10}") {
            if let Some(cpus) = Cpus::read(&text) {
                prop_assert!(cpus.iter().all(|cpu| cpu < MOST));
            }
        }
    }
}
