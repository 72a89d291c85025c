//! A rank that does not lead: it waits for the leader's order, starts one engine, and ends it when the leader says so, is seen to be
//! dead or to have ended the meeting, or somebody asks for the end. A word that cannot be read, for however long, ends nothing: a home
//! that is away, full or silent, and a job that is suspended, look like that. It stays when its engine ends: a rank that left would
//! have srun or mpiexec end the others, Jupyter among them. So it does not become its engine either.
//!
//! docs/design/ranks.md explains the design.

mod engine;

use super::event::Exit;
use super::notice::{Notice, Sender};
use super::probes;
use crate::failure::{Failure, Outcome};
use crate::here::os::memory::Memory;
use crate::here::os::own_time::OwnTime;
use crate::here::os::signals::Signals;
use crate::here::os::time_limited::{LOOK, within};
use crate::here::profile::rendezvous::{Seat, Sight};
use crate::plan::exit::{OutOfMemory, RankEnd};
use crate::plan::incarnation::Incarnation;
use crate::plan::ranks::Rank;
use crate::plan::rendezvous::{LEADER_FIRST, Message, Order, Word, pause};
use crate::record::REFRESH_S;
use crate::report::console::Console;
use nix::sys::signal::Signal;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::timeout;

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
    /// Our own variables, by name and text.
    pub environment: Vec<(String, String)>,
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

/// What came while a rank waited.
enum Heard {
    /// A child has ended.
    Ended(u32, Exit),
    /// Nothing: it was time to look at the leader.
    Leader(Sight),
}

/// Why a rank's work is over.
#[derive(Debug, PartialEq, Eq)]
enum WorkEnd {
    /// The meeting has ended, or a signal asked for the end and the leader cannot be heard.
    Over,
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
    probes::cut_logs(
        probes::TOTAL / u64::from(place.rank.size.max(1)),
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
    let Some((leader, order)) = member.wait_for_order(limit, console).await? else {
        member.ended(0, Exit::Code(0), false);
        return Ok(0);
    };
    member.leader_first = order.leader_first;
    let pid = match engine::start(&member.place, &member.seat, &leader, &order) {
        Ok(pid) => pid,
        Err(failure) => {
            member.ended(0, Exit::Code(127), false);
            return Err(failure);
        }
    };
    match member.tend(Some(pid), &leader, order.stop_limit).await {
        WorkEnd::Over => {}
        WorkEnd::Leaderless(leader) => return Err(member.leaderless(&leader)),
        WorkEnd::Silence => console.warning(&member.left_alone(&leader)),
    }
    Ok(0)
}

impl Member {
    /// Waits until an engine may be started; `None` when there will be none.
    async fn wait_for_order(
        &mut self,
        limit: Duration,
        console: &Console,
    ) -> Outcome<Option<(Incarnation, Order)>> {
        let begin = OwnTime::now();
        let mut seen = None;
        let mut patient = true;
        loop {
            match self.hear().await {
                Heard::Leader(Sight::Says(message)) => {
                    let Message {
                        word,
                        leader,
                        order,
                        ..
                    } = *message;
                    match order {
                        _ if word != Word::Run => return Ok(None),
                        Some(order) if !self.must_end() => return Ok(Some((leader, order))),
                        _ => seen = Some(leader),
                    }
                }
                // It has ended in order before it came to engines.
                Heard::Leader(Sight::Over) => return Ok(None),
                Heard::Leader(Sight::Dead(leader)) if seen.as_ref() == Some(&leader) => {
                    self.seat.dissolve();
                    return Err(self.leaderless(&leader));
                }
                _ => {}
            }
            if self.must_end() {
                return Ok(None);
            }
            let more = seen.as_ref().map_or(Duration::ZERO, |_| LEADER_LAST);
            if begin.elapsed() > limit + more {
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

    /// From the start of the engine to the end: asked, an engine has so long before it is killed, as the leader's own has.
    async fn tend(
        &mut self,
        mut engine: Option<u32>,
        leader: &Incarnation,
        stop_limit: Duration,
    ) -> WorkEnd {
        let mut over = None;
        let mut asked: Option<OwnTime> = None;
        let mut killed = false;
        loop {
            let sight = match self.hear().await {
                Heard::Ended(pid, exit) => {
                    if engine == Some(pid) {
                        engine = None;
                        engine::sweep().await;
                        self.ended(pid, exit, !killed);
                        self.beat.1 = OwnTime::now();
                    }
                    continue;
                }
                Heard::Leader(sight) => sight,
            };
            let mut word = Word::Run;
            match sight {
                Sight::Says(message) if &message.leader == leader => word = message.word,
                Sight::Says(_) | Sight::Over => over = over.or(Some(WorkEnd::Over)),
                Sight::Dead(leader) => {
                    self.seat.dissolve();
                    over = over.or(Some(WorkEnd::Leaderless(leader)));
                }
                Sight::Nothing if self.must_end() => over = over.or(Some(WorkEnd::Over)),
                Sight::Nothing => {}
            }
            if over.is_some() || word != Word::Run || self.must_end() {
                if asked.is_none() && word != Word::Kill {
                    engine::signal(engine, Signal::SIGTERM);
                }
                let used = asked.get_or_insert_with(OwnTime::now).elapsed();
                if !killed && (word == Word::Kill || used > stop_limit) {
                    engine::signal(engine, Signal::SIGKILL);
                    killed = true;
                }
                // A process that SIGKILL does not end is Slurm's own to deal with.
                if used > stop_limit + engine::SWEEP_PATIENCE {
                    engine = None;
                }
            }
            if engine.is_some() {
                continue;
            }
            if let Some(end) = over {
                return end;
            }
            // Its host may be gone with it, and then nobody ends the meeting: the starter would wait for us until the job's limit.
            if self.beat.1.elapsed() >= self.silence {
                return WorkEnd::Silence;
            }
        }
    }

    /// Waits for the end of a child, or for the time of the next look at the leader.
    async fn hear(&mut self) -> Heard {
        match timeout(pause(self.place.rank.size), self.notices.recv()).await {
            Ok(Some(Notice::Exited { pid, exit })) => return Heard::Ended(pid, exit),
            Ok(Some(Notice::StopRequested { .. })) => {
                self.asked.get_or_insert_with(OwnTime::now);
            }
            _ => {}
        }
        Heard::Leader(self.sight())
    }

    /// Whether a signal has asked for the end and the leader, which got it too, had its time to speak.
    fn must_end(&self) -> bool {
        let asked = self.asked.as_ref();
        asked.is_some_and(|at| at.elapsed() > self.leader_first)
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
        if let Sight::Says(message) = &sight
            && message.beat != self.beat.0
        {
            self.beat = (message.beat, OwnTime::now());
        }
        sight
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

    fn leaderless(&self, leader: &Incarnation) -> Failure {
        Failure::service(format!(
            "rank 0 (ipjob, pid {} on {}) has died: engine {} on {} ends",
            leader.pid, leader.host, self.place.rank.number, self.place.node
        ))
    }

    fn left_alone(&self, leader: &Incarnation) -> String {
        format!(
            "rank {} on {} leaves: its engine has ended, and rank 0 (ipjob, pid {} on {}) has shown no sign of life in {} for {} s",
            self.place.rank.number,
            self.place.node,
            leader.pid,
            leader.host,
            self.seat.place().display(),
            self.silence.as_secs()
        )
    }

    fn nobody_came(&self, limit: Duration) -> Failure {
        Failure::not_ready(format!(
            "rank {} of {} on {} found no rank 0 within {} s",
            self.place.rank.number,
            self.place.rank.size,
            self.place.node,
            limit.as_secs_f64()
        ))
        .because(format!(
            "{} names none",
            self.seat.place().display()
        ))
        .hint("is the IPython directory on a file system that all nodes share? --ipython-dir chooses another")
        .hint("did rank 0 start at all? its lines say more; --start-timeout gives more time")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::here::profile::rendezvous::Leader;
    use tokio::time::timeout;

    /// A rank beside a leader on another host, as it is after its first look.
    fn member(dir: &std::path::Path, silence: Duration) -> (Leader, Incarnation, Member) {
        let rank = Rank {
            number: 1,
            size: 2,
            key: "lab.13.0.0 40001".to_owned(),
            world: false,
            needs_guard: false,
            one_host: false,
            leftovers: Vec::new(),
        };
        let own = Incarnation {
            id: "lab.13.0.77".to_owned(),
            host: "node1".to_owned(),
            boot: "another".to_owned(),
            pid: 117,
            pid_start: 5,
        };
        let mut leader = Leader::call(dir, &rank, &own).expect("writable");
        leader.say(Word::Run).expect("writable");
        let (sender, notices) = mpsc::unbounded_channel();
        let seat = Seat::new(dir.to_owned(), &rank);
        let member = Member {
            place: Place {
                rank,
                node: "node2".to_owned(),
                step: None,
                environment: Vec::new(),
            },
            seat,
            notices,
            _sender: sender,
            asked: None,
            leader_first: LEADER_FIRST,
            memory: None,
            untold: None,
            beat: (0, OwnTime::now()),
            silence,
        };
        (leader, own, member)
    }

    /// What comes of it within so long.
    fn within(limit: Duration, watch: impl Future<Output = WorkEnd>) -> Option<WorkEnd> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        runtime.block_on(async { timeout(limit, watch).await.ok() })
    }

    #[test]
    fn a_rank_without_an_engine_leaves_a_leader_whose_host_is_gone() {
        let home = tempfile::tempdir().expect("a directory");
        let silence = Duration::from_millis(600);
        let (_leader, own, mut member) = member(&home.path().join("ipython/meeting"), silence);
        let end = within(Duration::from_secs(60), member.tend(None, &own, silence));
        assert_eq!(end, Some(WorkEnd::Silence));
        assert!(
            member
                .left_alone(&own)
                .contains("pid 117 on node1) has shown no sign of life")
        );
    }

    #[test]
    fn a_rank_with_an_engine_or_a_leader_that_beats_stays() {
        let home = tempfile::tempdir().expect("a directory");
        let silence = Duration::from_millis(600);
        let (mut leader, own, mut member) = member(&home.path().join("ipython/meeting"), silence);
        // A process that is no child: nobody tells of its end.
        let engine = Some(u32::MAX);
        assert_eq!(
            within(3 * silence, member.tend(engine, &own, silence)),
            None
        );
        member.silence = Duration::from_secs(2);
        member.beat.1 = OwnTime::now();
        let beats = std::thread::spawn(move || {
            for _ in 0..40 {
                leader.beat().expect("writable");
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let stay = member.tend(None, &own, silence);
        assert_eq!(within(Duration::from_secs(4), stay), None);
        beats.join().expect("it beats");
    }
}
