//! Whether the profile is still ours. After a node failure two lives of a job can run at once: the later one takes the lock
//! file's place, and the earlier one, wherever it still lives, must notice and touch nothing any more.
//!
//! docs/design/requeue.md explains the design.

use super::lock;
use crate::plan::incarnation::Incarnation;
use crate::plan::profile::Profile;
use crate::record::Record;
use std::fs;
use std::path::PathBuf;

/// Which files tell.
#[derive(Clone, Debug)]
pub struct Ownership {
    own: Incarnation,
    lock: PathBuf,
    record: PathBuf,
}

impl Ownership {
    /// The ownership of a profile whose lock this incarnation holds.
    #[must_use]
    pub fn new(profile: &Profile, own: &Incarnation) -> Self {
        Self {
            own: own.clone(),
            lock: profile.lock(),
            record: profile.record(),
        }
    }

    /// Who has taken over; `None` as long as the profile is ours.
    #[must_use]
    pub fn successor(&self) -> Option<Incarnation> {
        match lock::holder(&self.lock) {
            Some(holder) => (holder.id != self.own.id).then_some(holder),
            // Empty after a successor ended in order, or just being written: then the record tells who wrote last.
            None => self.author().filter(|author| author.succeeds(&self.own)),
        }
    }

    /// Whether the record in the profile is another life's: a write of one that was frozen can come late.
    #[must_use]
    pub fn record_is_foreign(&self) -> bool {
        self.author().is_some_and(|author| author.id != self.own.id)
    }

    fn author(&self) -> Option<Incarnation> {
        let text = fs::read(&self.record).ok()?;
        Record::of_profile(&text)?.author()
    }
}
