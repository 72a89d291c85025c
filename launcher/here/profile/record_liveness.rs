//! Whether a life of ipjob still writes its record: the only sign of it on a host that we do not see.

use crate::plan::incarnation::Incarnation;
use crate::record::Record;
use jiff::Timestamp;
use std::fs;
use std::path::Path;

/// A record that is young enough for its writer to live.
#[derive(Clone, Copy, Debug)]
pub struct Pulse {
    /// How long ago it was written.
    pub age_s: u64,
    /// How long until it is too old to count.
    pub rest_s: u64,
}

impl Pulse {
    /// The pulse of that life, by the record that lies beside the lock; `None` once it ended or has not written for long.
    #[must_use]
    pub fn of(lock: &Path, life: &Incarnation) -> Option<Self> {
        let text = fs::read(lock.with_file_name("ipjob.json")).ok()?;
        let record = Record::of_profile(&text)?;
        if record.incarnation.id.as_deref() != Some(life.id.as_str()) || record.has_ended() {
            return None;
        }
        let age_s = record.age_s(Timestamp::now())?;
        let limit = record.limit_s();
        (age_s < limit).then(|| Self {
            age_s,
            rest_s: limit - age_s,
        })
    }
}
