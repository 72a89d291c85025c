//! A rank that does not lead: it waits for the leader's order, starts one engine, watches over it and ends it when the
//! leader says so, is seen to be dead or to have ended the meeting, or somebody asks for the end. A word that cannot be read, for
//! however long, ends nothing: a home that is away, full or silent, and a job that is suspended, look like that. It stays when its engine
//! ends: a rank that left would have srun or mpiexec end the others, Jupyter among them.

mod engine;
mod failures;

use super::notice::{Notice, Sender};
use super::{Signals, event::Exit};
use crate::failure::Outcome;
use crate::here::meeting::{Seat, Sight};
use crate::here::memory::Memory;
use crate::here::own_time::OwnTime;
use crate::here::patience::{LOOK, within};
use crate::plan::exit::{OutOfMemory, RankEnd};
use crate::plan::incarnation::Incarnation;
use crate::plan::meeting::{LEADER_FIRST, Message, Order, Word, pause};
use crate::plan::ranks::Rank;
use crate::report::console::Console;
use crate::report::record::REFRESH_S;
use nix::sys::signal::Signal;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::timeout;

/// After so long without a leader a rank says that it waits, and where.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a leader that was seen may take beyond the limit of the start: it has the same one, and says why it gave up.
const LEADER_LAST: Duration = Duration::from_secs(10);

/// How long a rank whose engine has ended stays without a new sign of a leader on another host.
const SILENCE: Duration = Duration::from_secs(3 * REFRESH_S);

/// Who we are, for messages and the report.
#[derive(Debug)]
pub struct Place {
    /// Our rank.
    pub rank: Rank,
    /// The node.
    pub node: String,
    /// The step, where Slurm tells it.
    pub step: Option<String>,
    /// The names of our own variables.
    pub variables: Vec<String>,
}

/// A rank at work.
struct Member {
    place: Place,
    seat: Seat,
    notices: UnboundedReceiver<Notice>,
    _sender: Sender,
    /// When a signal asked for the end.
    asked: Option<OwnTime>,
    /// How long the leader then has to speak.
    leader_first: Duration,
    /// What the kernel counts of our memory, where that can be read.
    memory: Option<Memory>,
    /// How the engine ended, while that cannot be written.
    untold: Option<RankEnd>,
}

/// What was found at a look.
enum Look {
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

/// Runs one rank to its end.
pub async fn run(
    place: Place,
    seat: Seat,
    limit: Duration,
    signals: Signals,
    console: &Console,
) -> Outcome<u8> {
    let (sender, notices) = mpsc::unbounded_channel();
    signals.forward(&sender);
    let mut member = Member {
        place,
        seat,
        notices,
        _sender: sender,
        asked: None,
        leader_first: LEADER_FIRST,
        memory: Memory::own(),
        untold: None,
    };
    let Some(message) = member.wait_for_order(limit, console).await? else {
        member.ended(0, Exit::Code(0), false);
        return Ok(0);
    };
    let Some(order) = message.order else {
        return Ok(0);
    };
    member.work(&message.leader, &order).await
}

impl Member {
    /// Waits until an engine may be started; `None` when there will be none.
    async fn wait_for_order(
        &mut self,
        limit: Duration,
        console: &Console,
    ) -> Outcome<Option<Message>> {
        let begin = OwnTime::now();
        let mut seen = None;
        let mut patient = true;
        loop {
            let patience = if seen.is_some() {
                limit + LEADER_LAST
            } else {
                limit
            };
            match self.look().await {
                Look::Word(message) => match message.word {
                    Word::Wait => seen = Some(message.leader),
                    Word::Run => return Ok(Some(*message)),
                    Word::Stop | Word::Kill | Word::Refused => return Ok(None),
                },
                // The leader has ended in order before it came to engines.
                Look::Asked | Look::Over => return Ok(None),
                Look::Dead(leader) if seen.as_ref() == Some(&leader) => {
                    self.seat.dissolve();
                    return Err(self.leaderless(&leader));
                }
                Look::Nothing | Look::Dead(_) | Look::Ended(..) => {}
            }
            if begin.elapsed() > patience {
                return Err(self.nobody_came(limit));
            }
            if patient && seen.is_none() && begin.elapsed() > PATIENCE {
                patient = false;
                console.warning(&format!(
                    "rank {} on {} has waited for rank 0 for {} s in {}: is that on a file system that all nodes share?",
                    self.place.rank.number,
                    self.place.node,
                    PATIENCE.as_secs(),
                    self.seat.place().display()
                ));
            }
        }
    }

    /// From the start of the engine to the end.
    async fn work(&mut self, leader: &Incarnation, order: &Order) -> Outcome<u8> {
        self.leader_first = order.leader_first;
        let mut pid = match engine::start(&self.place, &self.seat, leader, order) {
            Ok(pid) => Some(pid),
            Err(failure) => {
                self.ended(0, Exit::Code(127), false);
                return Err(failure);
            }
        };
        let outcome = loop {
            match self.look().await {
                Look::Ended(ended, exit) if pid == Some(ended) => {
                    pid = None;
                    engine::sweep().await;
                    self.ended(ended, exit, true);
                }
                Look::Word(message) if &message.leader != leader => break Ok(0),
                Look::Word(message) => match message.word {
                    Word::Wait | Word::Run => {}
                    Word::Stop => break Ok(0),
                    Word::Kill | Word::Refused => {
                        engine::signal(pid, Signal::SIGKILL);
                        break Ok(0);
                    }
                },
                Look::Asked | Look::Over => break Ok(0),
                Look::Dead(leader) => {
                    self.seat.dissolve();
                    break Err(self.leaderless(&leader));
                }
                Look::Nothing | Look::Ended(..) => {}
            }
        };
        if let Some(pid) = pid {
            self.end(pid, order.stop_limit).await;
        }
        if outcome.is_ok() {
            self.stay(leader).await;
        }
        outcome
    }

    /// Stays until the leader has ended: of a rank whose engine was killed the starter misses MPI's farewell, and when that
    /// rank ends, it kills all others.
    async fn stay(&mut self, leader: &Incarnation) {
        let mut last = (0, OwnTime::now());
        while last.1.elapsed() < SILENCE {
            match self.sight() {
                Sight::Says(message) if &message.leader == leader => {
                    if message.beat != last.0 {
                        last = (message.beat, OwnTime::now());
                    }
                }
                Sight::Nothing if self.asked.is_none() => {}
                _ => return,
            }
            self.look().await;
        }
    }

    /// Looks at the leader, and tells it what it has not been told yet. A file system that does not answer tells nothing.
    fn sight(&mut self) -> Sight {
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
        sight
    }

    /// Waits for a notice or for the time of the next look at the leader, and tells what there is.
    async fn look(&mut self) -> Look {
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

    /// Ends the engine: asked, then killed after its share, as the leader does with its own.
    async fn end(&mut self, pid: u32, share: Duration) {
        engine::signal(Some(pid), Signal::SIGTERM);
        let begin = OwnTime::now();
        let mut killed = false;
        loop {
            match self.look().await {
                Look::Ended(other, exit) if other == pid => {
                    engine::sweep().await;
                    self.ended(pid, exit, !killed);
                    return;
                }
                Look::Word(message) if message.word == Word::Kill && !killed => {
                    engine::signal(Some(pid), Signal::SIGKILL);
                    killed = true;
                }
                _ if begin.elapsed() > share && !killed => {
                    engine::signal(Some(pid), Signal::SIGKILL);
                    killed = true;
                }
                // A process that SIGKILL does not end: Slurm's own to deal with.
                _ if begin.elapsed() > share + engine::SWEEP_PATIENCE => return,
                _ => {}
            }
        }
    }

    /// Tells how the engine ended; a kill that nobody else can have sent may be the kernel's, for want of memory.
    fn ended(&mut self, pid: u32, exit: Exit, by_itself: bool) {
        let killed =
            matches!(&exit, Exit::Signal { number, .. } if *number == Signal::SIGKILL as i32);
        let node = &self.place.node;
        let memory = self.memory.as_mut().and_then(|memory| {
            let explains = memory.explains(killed && by_itself);
            explains.then(|| OutOfMemory {
                node: node.clone(),
                limit: memory.limit(),
            })
        });
        self.untold = Some(RankEnd { pid, exit, memory });
        let _ = self.sight();
    }
}

/// Whether a word is the end.
fn ends(word: Word) -> bool {
    matches!(word, Word::Stop | Word::Kill | Word::Refused)
}
