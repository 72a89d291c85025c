//! A rank that does not lead: it waits for the leader's order, starts one engine, watches over it and ends it when the
//! leader says so, is seen to be dead or to have ended the meeting, or somebody asks for the end. A word that cannot be read, for
//! however long, ends nothing: a home that is away, full or silent, and a job that is suspended, look like that. It stays when its engine
//! ends: a rank that left would have srun or mpiexec end the others, Jupyter among them.
//!
//! docs/design/ranks.md explains the design.

mod engine;
mod failures;
mod look;
#[cfg(test)]
mod tests;

use super::event::Exit;
use super::notice::{Notice, Sender};
use super::probes::logs;
use crate::failure::Outcome;
use crate::here::os::memory::Memory;
use crate::here::os::own_time::OwnTime;
use crate::here::os::signals::Signals;
use crate::here::profile::rendezvous::{Seat, Sight};
use crate::plan::exit::{OutOfMemory, RankEnd};
use crate::plan::incarnation::Incarnation;
use crate::plan::ranks::Rank;
use crate::plan::rendezvous::{LEADER_FIRST, Message, Order, Word};
use crate::report::console::Console;
use crate::report::record::REFRESH_S;
use look::Look;
use nix::sys::signal::Signal;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver};

/// After so long without a leader a rank says that it waits, and where.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a leader that was seen may take beyond the limit of the start: it has the same one, and says why it gave up.
const LEADER_LAST: Duration = Duration::from_secs(10);

/// How long a rank whose engine has ended stays without a new sign of a leader on another host: three of the record's writes, by which
/// readers take that for dead.
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
    /// The leader's last beat, and when it was first seen.
    beat: (u64, OwnTime),
    /// [`SILENCE`].
    silence: Duration,
}

/// Why a rank's work is over.
#[derive(Debug, PartialEq, Eq)]
enum WorkEnd {
    /// The leader or a signal asks for the end, or the meeting has ended.
    Asked,
    /// The leader is seen to be dead.
    Leaderless(Incarnation),
    /// The engine has ended, and the leader has shown no sign of life since.
    Silence,
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
    // Each rank has one log.
    logs::watch(
        logs::TOTAL / u64::from(place.rank.size.max(1)),
        sender.clone(),
    );
    let mut member = Member {
        place,
        seat,
        notices,
        _sender: sender,
        asked: None,
        leader_first: LEADER_FIRST,
        memory: Memory::own(),
        untold: None,
        beat: (0, OwnTime::now()),
        silence: SILENCE,
    };
    let Some(message) = member.wait_for_order(limit, console).await? else {
        member.ended(0, Exit::Code(0), false);
        return Ok(0);
    };
    let Some(order) = message.order else {
        return Ok(0);
    };
    member.work(&message.leader, &order, console).await
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
    async fn work(
        &mut self,
        leader: &Incarnation,
        order: &Order,
        console: &Console,
    ) -> Outcome<u8> {
        self.leader_first = order.leader_first;
        let mut pid = match engine::start(&self.place, &self.seat, leader, order) {
            Ok(pid) => Some(pid),
            Err(failure) => {
                self.ended(0, Exit::Code(127), false);
                return Err(failure);
            }
        };
        let end = self.watch(&mut pid, leader).await;
        if let Some(pid) = pid {
            self.end(pid, order.stop_limit).await;
        }
        match end {
            WorkEnd::Asked => self.stay(leader).await,
            WorkEnd::Leaderless(leader) => return Err(self.leaderless(&leader)),
            WorkEnd::Silence => console.warning(&self.left_alone(leader)),
        }
        Ok(0)
    }

    /// Watches over the engine until the work is over; `pid` is the engine while it runs.
    async fn watch(&mut self, pid: &mut Option<u32>, leader: &Incarnation) -> WorkEnd {
        loop {
            match self.look().await {
                Look::Ended(ended, exit) if *pid == Some(ended) => {
                    *pid = None;
                    engine::sweep().await;
                    self.ended(ended, exit, true);
                    self.beat.1 = OwnTime::now();
                }
                Look::Word(message) if &message.leader != leader => return WorkEnd::Asked,
                Look::Word(message) => match message.word {
                    Word::Wait | Word::Run => {}
                    Word::Stop => return WorkEnd::Asked,
                    Word::Kill | Word::Refused => {
                        engine::signal(*pid, Signal::SIGKILL);
                        return WorkEnd::Asked;
                    }
                },
                Look::Asked | Look::Over => return WorkEnd::Asked,
                Look::Dead(leader) => {
                    self.seat.dissolve();
                    return WorkEnd::Leaderless(leader);
                }
                Look::Nothing | Look::Ended(..) => {}
            }
            // Its host may be gone with it, and then nobody ends the meeting: the starter would wait for us until the job's limit.
            if pid.is_none() && self.is_left_alone() {
                return WorkEnd::Silence;
            }
        }
    }

    /// Stays until the leader has ended: of a rank whose engine was killed the starter misses MPI's farewell, and when that
    /// rank ends, it kills all others.
    async fn stay(&mut self, leader: &Incarnation) {
        self.beat.1 = OwnTime::now();
        while !self.is_left_alone() {
            match self.sight() {
                Sight::Says(message) if &message.leader == leader => {}
                Sight::Nothing if self.asked.is_none() => {}
                _ => return,
            }
            self.look().await;
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
