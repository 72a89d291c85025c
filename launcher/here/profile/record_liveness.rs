//! Whether a life of ipjob still writes its record: the only sign of it on a host that we do not see.

use crate::plan::incarnation::Incarnation;
use jiff::Timestamp;
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// So many times what lies between two writes may pass without one: a busy file system, clocks that differ.
const MISSES: u64 = 3;

/// A record that is young enough for its writer to live.
#[derive(Clone, Copy, Debug)]
pub struct Pulse {
    /// How long ago it was written.
    pub age_s: u64,
    /// How long until it is too old to count.
    pub rest_s: u64,
}

/// The part of a record that tells.
#[derive(Deserialize)]
struct Signs {
    incarnation: Incarnation,
    state: String,
    updated: String,
    refresh_s: u64,
}

impl Pulse {
    /// The pulse of that life, by the record that lies beside the lock; `None` once it ended or has not written for long.
    #[must_use]
    pub fn of(lock: &Path, life: &Incarnation) -> Option<Self> {
        let text = fs::read(lock.with_file_name("ipjob.json")).ok()?;
        let signs: Signs = serde_json::from_slice(&text).ok()?;
        if signs.incarnation.id != life.id || signs.state == "ended" {
            return None;
        }
        let updated: Timestamp = signs.updated.parse().ok()?;
        let age = Timestamp::now().duration_since(updated).as_secs();
        // What comes from the future was written by a clock that goes before ours.
        let age_s = u64::try_from(age).unwrap_or(0);
        let limit = signs.refresh_s.saturating_mul(MISSES);
        (age_s < limit).then(|| Self {
            age_s,
            rest_s: limit - age_s,
        })
    }
}
