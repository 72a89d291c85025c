//! What the machine hears and what it answers. PURE.

use crate::failure::Failure;
pub use crate::plan::exit::{Exit, OutOfMemory};
use crate::plan::name::{Name, Unit};
use crate::plan::task_lines::{Report, Words, World};
use core::time::Duration;
use std::collections::BTreeSet;

/// Where a unit is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It has not been started: an engine not by itself, it lives as its group does.
    #[default]
    Waiting,
    /// It was started, and is not ready.
    Starting,
    /// It works.
    Ready,
    /// It is lost, and nannies that are left of it have the time to tell a hub that does not hear us.
    Draining,
    /// It is lost, and what is left of it is being killed.
    Clearing,
    /// The pause before its next start.
    Resting,
    /// It starts as soon as the hub has dropped its ids: a hub that still knows one gives the new engine another.
    Due,
    /// It was asked to end, with the job.
    Terminating,
    /// It was killed, with the job.
    Killing,
    /// What it left is being ended, with the job.
    Sweeping,
    /// Nothing of it runs, and it does not start by itself.
    Ended,
}

/// A time limit that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The whole start.
    Start,
    /// A unit is to be in a stage of its life for no longer than that; in [`Stage::Ready`] it has worked for so long that an earlier end
    /// counts no more.
    Stage {
        /// Which.
        unit: Unit,
        /// Which of its starts this is, or comes next: 0 is the first.
        generation: u32,
        /// Which stage.
        stage: Stage,
    },
    /// A controller that was started again has had the time to tell which engines it knows.
    Recount {
        /// Which of its starts it was.
        generation: u32,
    },
    /// Slurm, which is ending the job, is about to kill what is left.
    SlurmKills,
    /// The last look for anything left.
    LastSweep,
    /// All engines are registered, and none has told the size of its MPI world.
    World {
        /// Which of their starts it is.
        generation: u32,
    },
    /// An engine left the hub's list although its process seems to live. One that is of an earlier engine only has the facts looked at
    /// sooner.
    Dropped,
    /// srun said that Slurm takes the job down, and Slurm's signal to us has not come.
    JobEnds {
        /// Which start of the engines it ended.
        generation: u32,
    },
    /// An engine that a client has asked to end has had the time to do so.
    Heeded {
        /// Its id.
        engine: u32,
        /// Which of its starts it is, all of the engines' included.
        generation: u32,
    },
    /// It is to be looked again whether the job is in use.
    Look,
    /// So many minutes are left of the job's time.
    Warn {
        /// Which telling of the end it belongs to.
        telling: u32,
        /// How many.
        minutes: u32,
    },
    /// The end of the job's time is so near that Slurm sends its own signal.
    Near {
        /// Which telling of the end it belongs to.
        telling: u32,
    },
    /// The stop must begin to be done before the end of the job's time.
    Deadline {
        /// Which telling of the end it belongs to.
        telling: u32,
    },
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first event.
    Begin,
    /// A process could not be started.
    SpawnFailed {
        /// Which.
        unit: Unit,
        /// Why.
        failure: Failure,
    },
    /// A process that was to be started never was, and is not any more.
    NeverStarted(Unit),
    /// A unit that was to start again was not: it could not write its log.
    OnHold {
        /// Which.
        unit: Unit,
        /// What keeps it from that.
        why: String,
    },
    /// Engines that were to be forked are not, and none of them has been.
    NotForked,
    /// A process ended.
    Exited {
        /// Which.
        unit: Unit,
        /// Its process id.
        pid: u32,
        /// How.
        exit: Exit,
        /// The last lines of its log.
        tail: Vec<String>,
        /// Whether memory was short, where that is known.
        memory: Option<OutOfMemory>,
    },
    /// A service's readiness was observed.
    Ready {
        /// Which.
        service: Name,
        /// What is worth knowing: `on 127.0.0.1 (18 ports)`.
        detail: String,
    },
    /// A probe looked at a service that starts, and this is what it still lacks to be ready.
    Lacks {
        /// Which.
        service: Name,
        /// What: `ipcontroller-client.json is missing or empty`; nothing when it lacks what a probe can tell no more.
        what: String,
    },
    /// A service that is ready lacks something that it needs to hear anybody new.
    Hindered {
        /// Which.
        service: Name,
        /// What: `1,024 of 1,024 descriptors in use`.
        what: String,
    },
    /// That is over.
    Unhindered {
        /// Which.
        service: Name,
        /// How: `(960 of 1,024 descriptors in use)`.
        detail: String,
    },
    /// A probe found a service that cannot work.
    Broken {
        /// Which.
        service: Name,
        /// Why.
        failure: Failure,
    },
    /// The hub's engine file lists other engines than before.
    Registered(BTreeSet<u32>),
    /// A task of the engines' step told who it is.
    Placed(Report),
    /// A task of the engines' step told the size of its MPI world.
    World(World),
    /// The engines' srun said that something is wrong.
    SrunSaid(Words),
    /// The engines' srun waits for its place in the job; the text tells why, and what holds the nodes.
    SrunWaits(String),
    /// The end of the job's time is known, or has moved.
    TimeLeft {
        /// So much is left.
        left: Duration,
        /// So much it was in all.
        limit: Duration,
    },
    /// The end of the job's time was known, and there is none any more.
    NoTimeLimit,
    /// Slurm, asked for the end of the job's time, says that it takes the job down, and not for its time.
    Cancelled,
    /// Slurm, asked why engines have ended, says whether it takes the job's nodes.
    Taken(Taken),
    /// A kernel, an engine or a client has done something since the last look.
    Active,
    /// Nothing was done since the last look, which was so long ago.
    Idle(Duration),
    /// A time limit ran out.
    TimeUp(Timer),
    /// It was looked whether a unit still makes progress with its start.
    Progress {
        /// Which.
        unit: Unit,
        /// Which of its starts it is.
        generation: u32,
        /// What shows that it does; `None` when nothing does.
        seen: Option<String>,
    },
    /// Slurm is ending the job, and in so long it is about to kill what is left.
    SlurmKillsIn(Duration),
    /// Somebody asked for the end.
    StopAsked {
        /// Who, for the record: `SIGTERM`.
        by: String,
        /// Whether a repeated request means "now".
        insists: bool,
    },
    /// A later life of the job has taken over; the text says which.
    Superseded(String),
    /// Nothing of a service (or, with `None`, of the whole job) runs any more.
    Swept(Option<Name>),
    /// The hub drops the engines of which we tell it that they have ended.
    HubHears,
    /// A client has asked an engine or the hub to end, and it does so in a moment.
    ClientAsked(Asked),
    /// The user asks for the engines that are lost.
    RestartAsked {
        /// The request's id, for the answer.
        request: String,
        /// Whether those that live are to be ended and started again too.
        all: bool,
    },
}

/// Whether Slurm takes the job's nodes, as far as it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// For another job.
    ForAnother,
    /// The job ends: it was cancelled, for one. No signal will tell of it.
    ForGood,
    /// It does not, or its signal will tell of it.
    Not,
}

/// How a line is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Only with -v.
    Detail,
    /// A step of the job.
    Step,
    /// Something that a person should look at; also kept in the record.
    Warning,
}

/// What is looked at, beside the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Whether Slurm takes the job's nodes; answered by `Taken`.
    Preemption,
    /// Whether the job is in use; answered by `Active` or `Idle`.
    Use,
    /// Whether a unit still makes progress with its start; answered by `Progress`.
    Progress {
        /// Which.
        unit: Unit,
        /// Which of its starts it is.
        generation: u32,
    },
    /// What of a service (or, with `None`, of the whole job) SIGKILL has not ended: it is said, with what comes of that.
    Survivors {
        /// Whose.
        service: Option<Name>,
        /// What comes of it.
        then: &'static str,
    },
}

/// Something to do. Whatever it is, the record is written when its turn comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start all processes of a unit and, where its readiness is observed, begin to watch for it.
    Start {
        /// Which.
        unit: Unit,
        /// Whether it has ended before: then it has the wiring, port, token and place of the start before.
        again: bool,
    },
    /// Ask a unit's processes to end.
    Ask(Unit),
    /// Kill a unit's processes and their groups.
    Kill(Unit),
    /// Have Slurm kill the engines' steps on all of their nodes.
    EndSteps,
    /// Have the hub drop these engines, which have ended, and fail what was theirs to do.
    TellHub(Vec<u32>),
    /// A unit is not started again: the record forgets how to reach it.
    GiveUp(Unit),
    /// End what still carries the incarnation: a service's, or with `None` all; answered by `Swept`.
    Sweep {
        /// Whose.
        service: Option<Name>,
        /// How long after the service was asked to end what it left is killed; `None` kills at once, without asking.
        limit: Option<Duration>,
    },
    /// Let a time limit run.
    SetTimer(Timer, Duration),
    /// Look at something.
    Look(Look),
    /// Show a line.
    Say(Level, String),
    /// Show the last lines of a unit's log, or of its task in the log of its group.
    ShowLog(Unit),
    /// Keep this moment in the record's timeline.
    Mark(String),
    /// Tell people how to reach the job: it is ready.
    Announce,
    /// Tell what has become of a request.
    Answer {
        /// Its id.
        request: String,
        /// What.
        answer: Answer,
    },
    /// All is done.
    Finish(End),
}

/// Whom a client has asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The engine of this id.
    Engine(u32),
    /// The hub, and with it the controller.
    Hub,
}

/// What has become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is being seen to.
    Running,
    /// It is done; the text tells what is there.
    Done(String),
    /// Nothing more comes of it; the text tells why.
    Failed(String),
}

/// How the job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The exit code.
    pub code: u8,
    /// The first reason, one line.
    pub reason: String,
    /// What is shown as the error, where it is one.
    pub failure: Option<Failure>,
}

/// How the job ends.
impl End {
    /// The end that a failure is.
    #[must_use]
    pub fn of(failure: Failure) -> Self {
        Self {
            code: failure.exit_code(),
            reason: failure.to_string(),
            failure: Some(failure),
        }
    }

    /// An end that somebody asked for.
    #[must_use]
    pub fn orderly(reason: impl Into<String>) -> Self {
        Self {
            code: 0,
            reason: reason.into(),
            failure: None,
        }
    }
}
