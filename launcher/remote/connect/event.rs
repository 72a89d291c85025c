//! What connect's machine hears and what it answers. PURE.

use super::endpoints::Reach;
use crate::failure::Failure;
use core::time::Duration;

/// A way from the laptop to the services of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The login node connects to the address of the compute node.
    Forward,
    /// A second ssh, through the first, to the compute node itself.
    Jump,
    /// `srun` on the login node carries the bytes.
    Srun,
}

/// A time that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Until the next try to log in again.
    Login,
    /// Until the next try to reach the job's services.
    Bridge,
    /// For a job whose record has ended while Slurm still runs it.
    LastWords,
    /// For a job that was used and is not found any more.
    Doubt,
}

/// The state of a job by its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not every service is ready.
    Starting,
    /// It can be used.
    Ready,
    /// It is being taken down.
    Stopping,
    /// Nothing runs any more.
    Ended,
}

/// What a record tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The incarnation's id: a requeued job has another.
    pub life: String,
    /// Its state.
    pub phase: Phase,
    /// How far the start is: `engines 7/24`.
    pub progress: String,
    /// Why it stops or has ended.
    pub reason: Option<String>,
    /// ipjob's exit code, once it has ended.
    pub exit: Option<u8>,
    /// When the record was written, in seconds since 1970 by the clock of the job's host.
    pub updated: i64,
    /// Whether it is a scheduler's job.
    pub scheduled: bool,
    /// Where its services are, once they are ready.
    pub reach: Option<Reach>,
}

/// What Slurm says of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queued {
    /// It does not know the job, or the job has ended; the state where it tells one.
    Gone(Option<String>),
    /// It waits, in Slurm's words: `pending (Priority), expected to start 14:02`.
    Waiting(String),
    /// It runs, since this moment (seconds since 1970).
    Running(i64),
    /// Its end is not over: epilogs run, or a requeue is about to be.
    Completing,
    /// squeue could not be asked, in its own words.
    Unknown(String),
    /// There is no squeue.
    NoSlurm,
}

/// How a program ended that was to stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// What it wrote to stderr, the last lines of it.
    pub lines: Vec<String>,
    /// Its exit code; 255 is ssh's own failure.
    pub code: Option<i32>,
}

/// Why a way does not lead to the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadEnd {
    /// In the words of whoever tried it.
    pub words: String,
    /// Whether an ssh server on the way forbids forwarding.
    pub forbidden: bool,
}

impl From<String> for DeadEnd {
    /// One of which nothing but words is known.
    fn from(words: String) -> Self {
        Self {
            words,
            forbidden: false,
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The first event.
    Begin,
    /// The remote end has begun to tell.
    Opened,
    /// No record of the job was found.
    Absent,
    /// A record was read.
    Seen(Box<Seen>),
    /// The record has not been written for longer than a living job lets pass, in seconds.
    Stale(u64),
    /// squeue answered.
    Queued(Queued),
    /// What the remote end tells shows that the job is none that can be reached.
    Refused(Failure),
    /// The record is there and cannot be used; the next one may be better.
    Unusable(Failure),
    /// The ssh to HOST ended.
    LinkEnded(Words),
    /// The forwards were made; or not.
    Bridged(Result<(), DeadEnd>),
    /// What carried the forwards ended, and the ssh to HOST goes on; its last words.
    BridgeEnded(String),
    /// A service answered through the tunnel; or none did.
    Tried(Result<(), DeadEnd>),
    /// Something on the laptop cannot be done.
    Local(Failure),
    /// Somebody asked for the end: `SIGINT`.
    StopAsked(String),
    /// A time ran out.
    TimeUp(Timer),
}

impl Event {
    /// What has happened, for those who want to know all.
    #[must_use]
    pub fn told(&self) -> &'static str {
        match self {
            Self::Begin => "looking for the job",
            Self::Opened => "logged in; the remote end reports",
            Self::Absent => "no record yet",
            Self::Seen(_) => "the record is read",
            Self::Stale(_) => "the record is old",
            Self::Queued(_) => "Slurm's queue is read",
            Self::Refused(_) | Self::Unusable(_) => "what the remote end reports cannot be used",
            Self::LinkEnded(_) => "the ssh has ended",
            Self::Bridged(Ok(())) => "forwards are made",
            Self::Bridged(Err(_)) => "forwards cannot be made",
            Self::BridgeEnded(_) => "what carried the forwards has ended",
            Self::Tried(Ok(())) => "a service answers",
            Self::Tried(Err(_)) => "no service answers",
            Self::Local(_) => "something cannot be done here",
            Self::StopAsked(_) => "the end is asked for",
            Self::TimeUp(_) => "a pause is over",
        }
    }
}

/// How a line is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A step.
    Step,
    /// Something that a person should look at.
    Warning,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Start the ssh to HOST, with or without questions at the terminal.
    OpenLink {
        /// Whether it may ask.
        may_ask: bool,
    },
    /// Choose local ports, where that has not been done, and make the forwards.
    Bridge {
        /// How.
        way: Way,
        /// To what.
        reach: Box<Reach>,
        /// Whether a second ssh may ask at the terminal.
        may_ask: bool,
    },
    /// Take the forwards away.
    Unbridge(Way),
    /// Look whether the services answer through the tunnel.
    Try(Box<Reach>),
    /// Write the local client file.
    Settle(Box<Reach>),
    /// Tell people how to use it.
    Announce {
        /// What is reached.
        reach: Box<Reach>,
        /// Whether an earlier life of the job was announced: what was told of that one leads nowhere now.
        again: bool,
    },
    /// What is waited for: shown once, or on a live line.
    Progress(String),
    /// Show a line.
    Say(Level, String),
    /// Let a time run.
    SetTimer(Timer, Duration),
    /// All is done; what was started and made here goes.
    Finish(Result<(), Failure>),
}
