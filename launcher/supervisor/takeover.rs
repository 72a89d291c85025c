//! A later life of the same job may take the profile over while we still live: on a node that was cut off and came back. From
//! then on nothing here is ours: no file is written or removed, no step is signalled (the later life's steps have the
//! same numbers), and our own processes are killed, because ipcontroller and Jupyter remove files on their way out.
//!
//! docs/design/requeue.md explains the design.

use super::event::Event;
use super::file_thread;
use super::notice::{Notice, Sender};
use crate::here::os::time_limited::{LOOK, within};
use crate::here::profile::ownership::Ownership;
use crate::plan::incarnation::Incarnation;
use std::time::Duration;
use tokio::time::sleep;

/// Between two looks: two small files, read from a file system that thousands share.
const PAUSE: Duration = Duration::from_secs(5);

/// Looks again and again whether the profile is ours, and the record in it is.
pub fn watch(ownership: Ownership, sender: Sender) {
    file_thread::spawn(async move {
        while !sender.is_closed() {
            sleep(PAUSE).await;
            if let Some(successor) = ownership.successor() {
                let _ = sender.send(Notice::Event(superseded(&successor)));
                return;
            }
            if ownership.record_is_foreign() {
                let _ = sender.send(Notice::Refresh);
            }
        }
    });
}

/// Whether this life of the job is the last one.
#[derive(Debug)]
pub(super) struct Tenure {
    /// Tells whether the profile is still ours.
    ownership: Ownership,
    /// Who has taken the profile over.
    successor: Option<Incarnation>,
    sender: Sender,
}

impl Tenure {
    /// The profile is ours, as far as that tells.
    pub fn new(ownership: Ownership, sender: Sender) -> Self {
        Self {
            ownership,
            successor: None,
            sender,
        }
    }

    /// What tells whether the profile is ours.
    pub fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// Whether the profile is still ours; once it is not, it never is again.
    pub fn is_ours(&mut self) -> bool {
        if self.successor.is_none() {
            let ownership = self.ownership.clone();
            // A file system that does not answer has no news: as long as nobody else is seen, the profile is ours.
            self.successor = within(LOOK, move || ownership.successor()).flatten();
            if let Some(successor) = &self.successor {
                let _ = self.sender.send(Notice::Event(superseded(successor)));
            }
        }
        self.successor.is_none()
    }

    /// The event that a request to stop is: Slurm's own word for the end of a life that it gave up.
    pub fn unless_superseded(&mut self, event: Event) -> Event {
        self.is_ours();
        self.successor.as_ref().map_or(event, superseded)
    }
}

fn superseded(successor: &Incarnation) -> Event {
    Event::Superseded(format!(
        "a newer incarnation of this job, {} (pid {} on {}), has taken over the profile",
        successor.id, successor.pid, successor.host
    ))
}
