//! What a rank that does not lead sees and hears: its leader, its engine's end, a signal.

use super::Member;
use crate::here::os::own_time::OwnTime;
use crate::here::os::time_limited::{LOOK, within};
use crate::here::profile::rendezvous::Sight;
use crate::plan::incarnation::Incarnation;
use crate::plan::rendezvous::{Message, Word, pause};
use crate::supervisor::event::Exit;
use crate::supervisor::notice::Notice;
use tokio::time::timeout;

/// What was found at a look.
pub(super) enum Look {
    Word(Box<Message>),
    /// A signal asks for the end and the leader had its time to speak.
    Asked,
    /// The engine, or a child of it, ended.
    Ended(u32, Exit),
    /// Nothing new.
    Nothing,
    /// The leader has ended the meeting.
    Over,
    Dead(Incarnation),
}

impl Member {
    /// Looks at the leader, and tells it what it has not been told yet. A file system that does not answer tells nothing.
    pub(super) fn sight(&mut self) -> Sight {
        let (mut seat, untold) = (self.seat.clone(), self.untold.clone());
        let seen = within(LOOK, move || {
            let untold = untold.filter(|end| seat.ended(end).is_err());
            let sight = seat.look();
            (sight, seat, untold)
        });
        let Some((sight, seat, untold)) = seen else {
            return Sight::Nothing;
        };
        (self.seat, self.untold) = (seat, untold);
        if let Sight::Says(message) = &sight
            && message.beat != self.beat.0
        {
            self.beat = (message.beat, OwnTime::now());
        }
        sight
    }

    /// Waits for a notice or for the time of the next look at the leader, and tells what there is.
    pub(super) async fn look(&mut self) -> Look {
        match timeout(pause(self.place.rank.size), self.notices.recv()).await {
            Ok(Some(Notice::Exited { pid, exit })) => return Look::Ended(pid, exit),
            Ok(Some(Notice::StopRequested { .. })) => {
                self.asked.get_or_insert_with(OwnTime::now);
            }
            _ => {}
        }
        match self.sight() {
            Sight::Says(message) if ends(message.word) => Look::Word(message),
            _ if self
                .asked
                .is_some_and(|at| at.elapsed() > self.leader_first) =>
            {
                Look::Asked
            }
            Sight::Says(message) => Look::Word(message),
            Sight::Nothing => Look::Nothing,
            Sight::Over => Look::Over,
            Sight::Dead(leader) => Look::Dead(leader),
        }
    }

    /// Whether the leader has shown no new beat for so long that a rank without an engine leaves.
    pub(super) fn is_left_alone(&self) -> bool {
        self.beat.1.elapsed() >= self.silence
    }
}

/// Whether a word is the end.
fn ends(word: Word) -> bool {
    matches!(word, Word::Stop | Word::Kill | Word::Refused)
}
