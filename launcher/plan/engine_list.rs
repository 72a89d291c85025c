//! The hub's list of its engines, which it writes at every registration and loss (hub.py) and reads with `--restore`. PURE.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// `{"engines": {"0": "uuid"}, "next_id": 1}`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineList {
    engines: BTreeMap<u32, String>,
    /// The id of the next engine that does not ask for one.
    next_id: u32,
}

impl EngineList {
    /// Reads the file; `None` while it is cut: hub.py rewrites it in place.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// How many engines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.engines.len()
    }

    /// The ids of the engines.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<u32> {
        self.engines.keys().copied().collect()
    }

    /// The names of the engines with ids below this one, by their ids.
    pub fn names(&self, below: u32) -> impl Iterator<Item = (u32, &str)> {
        let ours = self.engines.range(..below);
        ours.map(|(id, name)| (*id, name.as_str()))
    }

    /// Takes the place of an earlier list. The next id never falls: a hub that has read its list writes it again with 0 there,
    /// and would give the ids of living engines to new ones after the next `--restore`.
    pub fn follow(&mut self, newer: Self) {
        let next_id = self.next_id.max(newer.next_id);
        *self = Self { next_id, ..newer };
    }

    /// The file for a hub that is to read it, without engines that have ended meanwhile: the hub would wait for the first beat
    /// of their hearts for ever.
    #[must_use]
    pub fn without(&self, ended: &BTreeSet<u32>) -> String {
        let mut list = self.clone();
        list.engines.retain(|id, _| !ended.contains(id));
        // Numbers as keys and text as values: there is nothing that JSON cannot say.
        serde_json::to_string(&list).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"engines": {"1": "7acd", "0": "f7dd"}, "next_id": 2}"#;

    #[test]
    fn the_file_is_read_whole_or_not_at_all() {
        let list = EngineList::read(TEXT).expect("whole");
        assert_eq!(list.ids(), BTreeSet::from([0, 1]));
        for cut in 0..TEXT.len() {
            assert_eq!(EngineList::read(&TEXT[..cut]), None);
        }
    }

    #[test]
    fn a_restored_hub_gives_no_id_twice_and_knows_no_dead_engine() {
        let mut list = EngineList::read(TEXT).expect("whole");
        let restored = EngineList::read(&TEXT.replace("2}", "0}")).expect("whole");
        list.follow(restored);
        assert_eq!(
            list.without(&BTreeSet::from([1])),
            r#"{"engines":{"0":"f7dd"},"next_id":2}"#
        );
    }
}
