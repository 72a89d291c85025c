//! A rank that does not lead: it waits for the leader's order, starts one engine, watches over it and ends it when the
//! leader says so, is gone, or somebody asks for it. It stays when its engine ends: a rank that left would have srun or
//! mpiexec end the others, Jupyter among them.

mod engine;

use super::notice::{Notice, Sender};
use super::{Signals, event::Exit};
use crate::failure::{Failure, Outcome};
use crate::here::meeting::{Seat, Sight};
use crate::here::memory::Memory;
use crate::plan::exit::{OutOfMemory, RankEnd};
use crate::plan::incarnation::Incarnation;
use crate::plan::meeting::{LEADER_FIRST, Message, Order, Word, pause};
use crate::plan::ranks::Rank;
use crate::report::console::Console;
use crate::report::record::REFRESH_S;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::timeout;

/// After so long without a leader a rank says that it waits, and where.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a leader that was seen may take beyond the limit of the start: it has the same one, and says why it gave up.
const LEADER_LAST: Duration = Duration::from_secs(10);

/// How long a leader on another host may be silent.
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
    asked: Option<Instant>,
    /// How long the leader then has to speak.
    leader_first: Duration,
    /// What the kernel counts of our memory, where that can be read.
    memory: Option<Memory>,
    /// The leader's last beat, and when it was new.
    beat: (u64, Instant),
}

/// What was found at a look.
enum Look {
    Word(Box<Message>),
    /// A signal asks for the end and the leader had its time to speak.
    Asked,
    /// The engine, or a child of it, ended.
    Ended(u32, Exit),
    /// There is no leader: none yet, or no longer.
    Nobody,
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
        beat: (0, Instant::now()),
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
        let begin = Instant::now();
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
                Look::Asked => return Ok(None),
                // A leader that was there and is not: it has ended in order before it came to engines.
                Look::Nobody if seen.is_some() => return Ok(None),
                Look::Dead(leader) if seen.as_ref() == Some(&leader) => {
                    self.seat.dissolve();
                    return Err(self.leaderless(&leader));
                }
                Look::Nobody | Look::Dead(_) | Look::Ended(..) => {}
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
                    Word::Wait | Word::Run => {
                        if self.leader_is_silent(&message) {
                            break Err(self.leaderless(leader));
                        }
                    }
                    Word::Stop => break Ok(0),
                    Word::Kill | Word::Refused => {
                        engine::signal(pid, Signal::SIGKILL);
                        break Ok(0);
                    }
                },
                Look::Asked | Look::Nobody => break Ok(0),
                Look::Dead(leader) => {
                    self.seat.dissolve();
                    break Err(self.leaderless(&leader));
                }
                Look::Ended(..) => {}
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
        loop {
            match self.seat.look() {
                Sight::Says(message)
                    if &message.leader == leader && !self.leader_is_silent(&message) => {}
                _ => return,
            }
            self.look().await;
        }
    }

    /// Waits for a notice or for the time of the next look at the leader, and tells what there is.
    async fn look(&mut self) -> Look {
        match timeout(pause(self.place.rank.size), self.notices.recv()).await {
            Ok(Some(Notice::Exited { pid, exit })) => return Look::Ended(pid, exit),
            Ok(Some(Notice::StopRequested { .. })) => {
                self.asked.get_or_insert_with(Instant::now);
            }
            _ => {}
        }
        match self.seat.look() {
            Sight::Says(message) if ends(message.word) => Look::Word(message),
            _ if self
                .asked
                .is_some_and(|at| at.elapsed() > self.leader_first) =>
            {
                Look::Asked
            }
            Sight::Says(message) => Look::Word(message),
            Sight::Nobody => Look::Nobody,
            Sight::Dead(leader) => Look::Dead(leader),
        }
    }

    /// Ends the engine: asked, then killed after its share, as the leader does with its own.
    async fn end(&mut self, pid: u32, share: Duration) {
        engine::signal(Some(pid), Signal::SIGTERM);
        let begin = Instant::now();
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
        self.seat.ended(&RankEnd { pid, exit, memory });
    }

    /// Whether a leader that cannot be seen from here has stopped to show that it lives.
    fn leader_is_silent(&mut self, message: &Message) -> bool {
        if message.beat != self.beat.0 {
            self.beat = (message.beat, Instant::now());
        }
        self.beat.1.elapsed() > SILENCE
    }

    fn leaderless(&self, leader: &Incarnation) -> Failure {
        Failure::service(format!(
            "rank 0 (ipjob, pid {} on {}) has died: engine {} on {} ends",
            leader.pid, leader.host, self.place.rank.number, self.place.node
        ))
    }

    fn nobody_came(&self, limit: Duration) -> Failure {
        Failure::not_ready(format!(
            "rank {} of {} on {} met no rank 0 within {} s",
            self.place.rank.number,
            self.place.rank.size,
            self.place.node,
            limit.as_secs_f64()
        ))
        .because(format!(
            "{} tells of none",
            self.seat.place().display()
        ))
        .hint("is the IPython directory on a file system that all nodes share? --ipython-dir chooses another")
        .hint("did rank 0 start at all? its lines say more; --start-timeout gives more time")
    }
}

/// Whether a word is the end.
fn ends(word: Word) -> bool {
    matches!(word, Word::Stop | Word::Kill | Word::Refused)
}
