//! The engines' part of the record. PURE.

use super::field::{Field, OrNull, or_default};
use super::word::{Seconds, Text};
use crate::plan::bind::Gpus;
use crate::plan::cpus::Cpus;
use crate::plan::services::Creation;
use crate::plan::share::Share;
use serde::{Deserialize, Serialize};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// The engines as the record tells them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Engines {
    /// How many were asked for.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub expected: Field<u32>,
    /// How many are in the hub's list and live.
    pub registered: Field<u32>,
    /// Ids that are not.
    #[serde(deserialize_with = "or_default")]
    #[cfg_attr(test, schemars(extend("uniqueItems" = true)))]
    pub missing: Vec<u32>,
    /// How many are in the hub's list beside them: others started them.
    pub guests: Field<u32>,
    /// How they come to be.
    pub start: Field<EngineStart>,
    /// Why they, or those of a node, are not forked.
    pub not_forked: OrNull<Text>,
    /// Those that were started.
    #[serde(deserialize_with = "or_default")]
    pub list: Vec<Engine>,
    /// When the hub's list had each for the first time.
    #[serde(skip)]
    registered_at: BTreeMap<u32, Seconds>,
}

/// How engines come to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum EngineStart {
    /// One Python per node forks those of its node.
    Fork,
    /// Each is a Python of its own.
    Exec,
}

/// One engine as the record tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Engine {
    /// Its id in the hub.
    pub id: u32,
    /// Its rank among the engines.
    pub rank: u32,
    /// Where it runs.
    pub node: Text,
    /// Its process id there.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub pid: u32,
    /// When the hub's list had it for the first time.
    #[serde(default)]
    pub registered_at: OrNull<Seconds>,
    /// How many threads its libraries were told to use.
    #[serde(default)]
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub threads: OrNull<u32>,
    /// The CPUs that ipjob has bound it to: `0-3,8`.
    #[serde(default)]
    #[cfg_attr(test, schemars(regex(pattern = "^[0-9,-]+$")))]
    pub cpus: OrNull<Text>,
    /// The GPUs that ipjob has bound it to: `CUDA_VISIBLE_DEVICES=1`.
    #[serde(default)]
    #[cfg_attr(test, schemars(regex(pattern = "^[A-Z_]+=.+$")))]
    pub gpus: OrNull<Text>,
    /// Whether it sees these CPUs and GPUs and no others, as it has told itself.
    #[serde(default)]
    pub confirmed: OrNull<bool>,
}

impl Engine {
    /// What it was given of its node.
    #[must_use]
    pub fn share(&self) -> Share {
        Share {
            threads: *self.threads,
            cpus: self.cpus.as_deref().and_then(Cpus::read),
            gpus: self.gpus.as_deref().and_then(Gpus::read),
        }
    }
}

impl Engines {
    /// So many, none of which has been started.
    pub(super) fn new(expected: u32, creation: &Creation) -> Self {
        let start = match creation {
            Creation::Fork(_) => EngineStart::Fork,
            Creation::Exec(_) => EngineStart::Exec,
        };
        Self {
            expected: expected.into(),
            start: start.into(),
            not_forked: creation.hindrance().map(Text::ours).into(),
            registered: 0.into(),
            missing: (0..expected).collect(),
            guests: 0.into(),
            list: Vec::new(),
            registered_at: BTreeMap::new(),
        }
    }

    /// Keeps that they, or those of a node, are no forks after all.
    pub fn are_not_forked(&mut self, all: bool, why: &str) {
        if all {
            self.start = EngineStart::Exec.into();
        }
        self.not_forked = Some(Text::ours(why)).into();
    }

    /// Keeps an engine that told who it is, in the place of what was known of its rank.
    pub fn place(&mut self, mut engine: Engine) {
        engine.registered_at = self.registered_at.get(&engine.id).copied().into();
        match self.place_of(engine.id) {
            Ok(place) => self.list[place] = engine,
            Err(place) => self.list.insert(place, engine),
        }
    }

    /// Keeps when engines were in the hub's list for the first time, in seconds since the start: a step's may be there before
    /// they told who they are.
    pub fn listed(&mut self, at: f64, ids: &BTreeSet<u32>) {
        // Others come and go in the hub's list as well, each with a new id.
        let expected = self.expected.unwrap_or_default();
        for id in ids.iter().filter(|id| **id < expected) {
            if let Entry::Vacant(entry) = self.registered_at.entry(*id) {
                let at = *entry.insert(Seconds::new(at));
                if let Ok(place) = self.place_of(*id) {
                    self.list[place].registered_at = at.into();
                }
            }
        }
    }

    /// The engine of this id, if it has told who it is.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<&Engine> {
        self.list.get(self.place_of(id).ok()?)
    }

    /// Keeps whether the engine of this id sees what it was bound to; true where that was known.
    pub fn confirm(&mut self, id: u32, sees: bool) -> bool {
        let Ok(place) = self.place_of(id) else {
            return false;
        };
        let confirmed = Some(sees).into();
        std::mem::replace(&mut self.list[place].confirmed, confirmed) == confirmed
    }

    fn place_of(&self, id: u32) -> Result<usize, usize> {
        self.list.binary_search_by_key(&id, |engine| engine.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(id: u32, pid: u32) -> Engine {
        Engine {
            id,
            rank: id,
            node: Text::ours("here"),
            pid,
            registered_at: OrNull::default(),
            threads: OrNull::default(),
            cpus: OrNull::default(),
            gpus: OrNull::default(),
            confirmed: OrNull::default(),
        }
    }

    #[test]
    fn engines_are_dated_by_their_first_sight_whichever_comes_first() {
        let mut engines = Engines::new(3, &Creation::Exec(None));
        engines.place(engine(2, 7));
        engines.listed(1.0, &BTreeSet::from([0, 2]));
        engines.listed(2.0, &BTreeSet::from([0, 1, 2]));
        engines.place(engine(0, 8));
        engines.place(engine(2, 9));
        let seen: Vec<_> = engines
            .list
            .iter()
            .map(|engine| {
                (
                    engine.id,
                    engine.pid,
                    engine.registered_at.map(Seconds::get),
                )
            })
            .collect();
        assert_eq!(seen, [(0, 8, Some(1.0)), (2, 9, Some(1.0))]);
    }
}
