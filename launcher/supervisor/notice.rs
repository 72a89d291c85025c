//! What arrives in the loop's one channel.

use super::event::{Event, Exit};
use crate::failure::Failure;
use crate::here::os::cpu_time::Computed;
use crate::here::os::own_time::OwnTime;
use crate::here::os::signals::Caught;
use crate::here::os::sockets::Held;
use crate::here::profile::connection_files::Change;
use crate::plan::connection::Endpoint;
use crate::plan::engine_list::EngineList;
use crate::plan::exit::RankEnd;
use crate::plan::name::Name;
use crate::plan::services::Said;
use crate::plan::settings::Followed;
use crate::plan::task_lines::{NotForked, NotImported, Report, Rest, Sight, Unbound};
use crate::record::State;
use crate::report::writer::Written;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// Where every source sends to.
pub type Sender = UnboundedSender<Notice>;

/// A signal that a client sends to an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signalling {
    /// The engine's id.
    pub engine: u32,
    /// The signal's number.
    pub signal: i32,
    /// The number of the request, for the answer.
    pub request: u64,
}

/// Something that happened, before it is an event for the machine: some of it carries facts for the record.
#[derive(Debug)]
pub enum Notice {
    /// An event as the machine hears it.
    Event(Event),
    /// A child ended; only the loop knows which process of which service it was.
    Exited {
        /// Its process id.
        pid: u32,
        /// How it ended.
        exit: Exit,
    },
    /// A signal asks for the end.
    StopRequested {
        /// The signal's name.
        by: &'static str,
        /// Whether a person sends it: then a repetition at once is meant.
        personal: bool,
    },
    /// The ipjob in front of this one is gone.
    FrontIsGone,
    /// The process that the job follows is gone.
    FollowedIsGone(Followed),
    /// The controller is ready.
    ControllerWired(Wired),
    /// A client sends a signal to an engine that has no nanny.
    SignalSent(Signalling),
    /// What forks the engines told something.
    ForkingSaid(Said),
    /// What forks the engines tells nothing more.
    ForkingIsSilent,
    /// An engine told what it sees of its node.
    EngineSees(Sight),
    /// A task of the engines' step told why it is bound to no CPUs.
    Unbound(Unbound),
    /// A task of the engines' step told why it is not forked.
    NotForked(NotForked),
    /// A module could not be imported beforehand.
    NotImported(NotImported),
    /// A probe found that a service cannot work.
    Broken {
        /// Which.
        service: Name,
        /// The process that it looked at: what is said of an earlier one counts no more.
        pid: u32,
        /// Whether that is the end of one of its processes, which is not a child of ours.
        ended: bool,
        /// Why.
        failure: Failure,
    },
    /// Others wrote over connection files, or removed them.
    FilesChanged(Vec<Change>),
    /// The hub's list of engines changed.
    EnginesListed(EngineList),
    /// A task of the engines' step told who it is.
    EngineReported(Report),
    /// A node told whether its engines are at rest.
    NodeTold(Rest),
    /// An engine that was started again as a step of its own told who it is.
    EngineIsBack {
        /// Its srun: what is said of an earlier one counts no more.
        srun: u32,
        /// Who it is.
        report: Report,
    },
    /// Another rank's engine ended.
    RankEnded {
        /// Which.
        rank: u32,
        /// How.
        end: RankEnd,
    },
    /// The engines' step was to be asked to end by scancel a while ago.
    ScancelIsLate,
    /// What Slurm says of the job's end.
    JobEnds(Option<String>),
    /// The host that the job was submitted on is a node of this Slurm.
    SubmittedOnNode,
    /// How long Slurm waits from its signal to a job to the kill.
    KillWait(Duration),
    /// It was looked whether the job is in use.
    UseSeen(Seen),
    /// Jupyter is ready.
    JupyterAnswers(Answer),
    /// What is new in the record may be written.
    RecordIsDue,
    /// What came of writing the record.
    RecordWritten {
        /// The state that it tells.
        told: State,
        /// How long it took.
        took: Duration,
        /// Whether it was written.
        written: Written,
    },
    /// A log had grown too long: its middle was left out.
    LogCut(PathBuf),
    /// The record is to be refreshed, so that a reader can tell a dead one.
    Refresh,
}

impl From<Caught> for Notice {
    fn from(caught: Caught) -> Self {
        match caught {
            Caught::Exited { pid, exit } => Self::Exited { pid, exit },
            Caught::StopRequested { by, personal } => Self::StopRequested { by, personal },
        }
    }
}

/// What a controller that is ready looks like.
#[derive(Debug)]
pub struct Wired {
    /// The controller's main process.
    pub pid: u32,
    /// What the connection files of clients and engines say.
    pub files: [String; 2],
    /// The address that clients connect to.
    pub address: String,
    /// TCP ports that its processes listen on.
    pub ports: usize,
    /// The processes that hold the ports of the connection files, each with the ports that it alone holds.
    pub holders: BTreeMap<u32, Vec<Endpoint>>,
    /// The listening sockets of the connection files' ports.
    pub sockets: Vec<(Endpoint, Held)>,
}

/// What a Jupyter that is ready looks like.
#[derive(Debug)]
pub struct Answer {
    /// Its process.
    pub pid: u32,
    /// The port it listens on.
    pub port: u16,
    /// The path below which everything is, with a slash at both ends.
    pub base_url: String,
}

/// What one look has seen.
#[derive(Debug)]
pub struct Seen {
    /// When.
    pub at: OwnTime,
    /// Nanoseconds of each scheduler.
    pub schedulers: BTreeMap<u32, Option<u64>>,
    /// What computes for the user, as far as it can be seen from here.
    pub ran: Computed,
    /// What Jupyter tells; `None` where it was asked in vain.
    pub jupyter: Option<Use>,
}

/// What is seen of the job's use, at one look.
impl Seen {
    /// Whether the job was used since an earlier look.
    pub fn differs(&self, before: &Self) -> bool {
        let Some(jupyter) = &self.jupyter else {
            return true;
        };
        let told = jupyter.busy || self.jupyter != before.jupyter;
        let passed =
            self.schedulers != before.schedulers || self.schedulers.values().any(Option::is_none);
        let seconds = self.at.since(before.at).as_secs();
        let ran = self.ran.exceeds(&before.ran, seconds);
        told || passed || ran
    }
}

/// What Jupyter tells of its use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// When it was used last, as text: only whether it changes is of interest, because clocks jump.
    pub last: String,
    /// Whether a kernel computes.
    pub busy: bool,
}
