//! What the machine hears and what it answers. PURE.

pub use super::asked::{Answer, Asked};
pub use super::end::End;
use crate::failure::Failure;
pub use crate::plan::exit::{Exit, OutOfMemory};
use crate::plan::name::{Name, ProcessId};
use crate::plan::task_lines::{Report, Words, World};
use core::time::Duration;
use std::collections::BTreeSet;

/// A time limit that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The whole start.
    Start,
    /// The start of one service.
    Service {
        /// Which.
        service: Name,
        /// Which of its starts: 0 is the first.
        start: u32,
    },
    /// Slurm, which is ending the job, is about to kill what is left.
    SlurmKills,
    /// What is left of a service that is to be started again is being killed.
    Clear {
        /// Which.
        service: Name,
        /// Which of its starts comes next.
        start: u32,
    },
    /// The pause before a service is started again.
    Rest {
        /// Which.
        service: Name,
        /// Which of its starts comes next.
        start: u32,
    },
    /// A service that was started again has worked for so long that its earlier ends count no more.
    Healthy {
        /// Which.
        service: Name,
        /// Which of its starts it was.
        start: u32,
    },
    /// The pause before an engine is started again.
    Replace {
        /// Its id.
        engine: u32,
        /// Which of its starts comes next: 0 was the first.
        start: u32,
    },
    /// The start of an engine that was started again.
    Arrive {
        /// Its id.
        engine: u32,
        /// Which of its starts it is.
        start: u32,
    },
    /// An engine that was started again has worked for so long that an earlier end counts no more.
    Settled {
        /// Its id.
        engine: u32,
        /// Which of its starts it was.
        start: u32,
    },
    /// A set of engines has ended, and nannies that are left of it have had the time to tell the hub.
    Nannies {
        /// Which of its starts comes next.
        start: u32,
    },
    /// The hub has had the time to drop the ids of a set of engines that ended.
    Forgotten {
        /// Which of its starts comes next.
        start: u32,
    },
    /// A controller that was started again has had the time to tell which engines it knows.
    Recount {
        /// Which of its starts it was.
        start: u32,
    },
    /// A service was asked to end.
    Terminate(Name),
    /// A service was killed.
    Kill(Name),
    /// What a service left is being ended.
    Sweep(Name),
    /// The last look for anything left.
    LastSweep,
    /// All engines are registered, and none has told the size of its MPI world.
    World,
    /// An engine left the hub's list although its process seems to live.
    Dropped,
    /// srun said that Slurm takes the job down, and Slurm's signal to us has not come.
    JobEnds,
    /// An engine that a client has asked to end has had the time to do so.
    Heeded {
        /// Its id.
        engine: u32,
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
        process: ProcessId,
        /// Why.
        failure: Failure,
    },
    /// A process ended.
    Exited {
        /// Which.
        process: ProcessId,
        /// Its process id.
        pid: u32,
        /// How.
        exit: Exit,
        /// The last lines of its log.
        tail: Vec<String>,
        /// Whether memory was short, where that is known.
        memory: Option<OutOfMemory>,
    },
    /// A service's readiness was observed, or that it lacks nothing any more.
    Ready {
        /// Which.
        service: Name,
        /// What is worth knowing: `on 127.0.0.1 (18 ports)`.
        detail: String,
    },
    /// A probe looked at a service, and this is what it still lacks to be ready, or lacks although it was.
    Lacks {
        /// Which.
        service: Name,
        /// What: `ipcontroller-client.json is missing or empty`, `1,024 of 1,024 descriptors in use`; nothing when it lacks what a
        /// probe can tell no more.
        what: String,
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
    /// Slurm says that it takes the job down, and not for its time.
    Cancelled,
    /// Whether Slurm takes the job's nodes for another one, as far as it tells.
    Preempted(bool),
    /// A kernel, an engine or a client has done something since the last look.
    Active,
    /// Nothing was done since the last look, which was so long ago.
    Idle(Duration),
    /// A time limit ran out.
    TimeUp(Timer),
    /// It was looked whether what this limit is for still makes progress with its start.
    Progress {
        /// Which.
        timer: Timer,
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

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start all processes of a service and, where its readiness is observed, begin to watch for it.
    Spawn(Name),
    /// Start all processes of a service again after they have ended: with the wiring, port and token of the start before.
    Restart(Name),
    /// Start the engine of this id again, after it has ended.
    Replace(u32),
    /// Kill one process: it lives, and is of no use any more.
    KillOne(ProcessId),
    /// Have Slurm kill the engines' step on all of its nodes.
    EndStep,
    /// A service is not started again: the record forgets how to reach it.
    GiveUp(Name),
    /// Ask a service's processes to end.
    Terminate(Name),
    /// Kill a service's processes and their groups.
    Kill(Name),
    /// End what still carries the incarnation: a service's, or with `None` all; answered by `Swept`.
    Sweep {
        /// Whose.
        service: Option<Name>,
        /// How long after the service was asked to end what it left is killed; `None` kills at once, without asking.
        limit: Option<Duration>,
    },
    /// Let a time limit run.
    SetTimer(Timer, Duration),
    /// Ask whether Slurm takes the job's nodes for another one; answered by `Preempted`.
    AskForPreemption,
    /// Look whether the job is in use; answered by `Active` or `Idle`.
    LookForUse,
    /// Look whether what this limit is for still makes progress with its start; answered by `Progress`.
    LookForProgress(Timer),
    /// Say what of a service (or, with `None`, of the whole job) SIGKILL has not ended, as it is seen, and what comes of that.
    SayWhatLives {
        /// Whose.
        service: Option<Name>,
        /// What comes of it.
        then: &'static str,
    },
    /// Show a line.
    Say(Level, String),
    /// Show the last lines of a process's log.
    ShowLog(ProcessId),
    /// Show the last lines of one task of the engines' step.
    ShowTask(u32),
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
    /// The record is to be written anew.
    Publish,
    /// All is done.
    Finish(End),
}
