//! Whom the job is for: the ipjob that waits in front of a detached one, and the process that it follows. With either it ends.

use super::Supervisor;
use super::event::Event;
use super::notice::{Notice, Sender};
use crate::here::os::process;
use crate::plan::settings::Followed;
use crate::report::front::Front;
use std::time::Duration;
use tokio::time::sleep;

/// Between two looks at the process that is followed.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells when the ipjob in front is gone, where it is watched.
pub(super) fn watch_front(front: &mut Front, sender: Sender) {
    if let Some(gone) = front.gone() {
        tokio::spawn(async move {
            let _ = gone.await;
            let _ = sender.send(Notice::FrontIsGone);
        });
    }
}

/// Tells when the process that is followed is gone.
pub(super) fn follow(followed: Followed, sender: Sender) {
    tokio::spawn(async move {
        while !process::has_ended(followed.pid, followed.start) {
            if sender.is_closed() {
                return;
            }
            sleep(PAUSE).await;
        }
        let _ = sender.send(Notice::FollowedIsGone(followed));
    });
}

impl Supervisor<'_> {
    /// The ipjob in front is gone: before it was told that the job is ready, nobody knows of the job.
    pub(super) fn front_is_gone(&mut self) -> Option<Event> {
        self.front.as_ref()?;
        Some(self.deserted("the ipjob that waited for it was killed".to_owned()))
    }

    /// The process that was followed is gone.
    pub(super) fn followed_is_gone(&mut self, followed: &Followed) -> Event {
        self.deserted(format!(
            "the process that it followed, {followed}, has ended"
        ))
    }

    fn deserted(&mut self, by: String) -> Event {
        let insists = false;
        self.tenure
            .unless_superseded(Event::StopAsked { by, insists })
    }

    /// Lets go of the ipjob in front once the record says that the job is ready: who waits for that one reads the record next.
    pub(super) fn let_front_go(&mut self) {
        if !self.publisher.shows_it_up() {
            return;
        }
        if let Some(front) = self.front.take_if(|front| front.is_announced()) {
            front.ready(self.plan, self.publisher.record(), self.console);
        }
    }
}
