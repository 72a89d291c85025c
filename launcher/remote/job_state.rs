//! How a job is, judged from its record, from Slurm and from the process that the record names. PURE.
//!
//! docs/design/jobs.md explains the design.

use super::find::{Found, RecordFile, Trace};
use super::queue::{Line, Phase, Queue};
use crate::here::os::process::parse_stat;
use crate::record::{self, Record};
use jiff::Timestamp;

/// How a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits in the queue, for the first time or again.
    Pending,
    /// Not every service is ready.
    Starting,
    /// All of it can be used.
    Ready,
    /// It can be used, with fewer engines.
    Degraded,
    /// It is being taken down.
    Stopping,
    /// Nothing runs any more.
    Ended,
    /// Its record does not say that it ended, but nobody is there who would.
    Dead,
    /// There is no telling.
    Unknown,
}

impl State {
    /// The word for it: the record's own, or one for what no record can tell.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Starting => record::State::Starting.word(),
            Self::Ready => record::State::Ready.word(),
            Self::Degraded => record::State::Degraded.word(),
            Self::Stopping => record::State::Stopping.word(),
            Self::Ended => record::State::Ended.word(),
            Self::Dead => "dead",
            Self::Unknown => "unknown",
        }
    }

    /// Whether nothing more is to be expected of it.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Ended | Self::Dead)
    }

    fn of(record: &Record) -> Self {
        match *record.state {
            Some(record::State::Starting) => Self::Starting,
            Some(record::State::Ready) => Self::Ready,
            Some(record::State::Degraded) => Self::Degraded,
            Some(record::State::Stopping) => Self::Stopping,
            Some(record::State::Ended) => Self::Ended,
            None => Self::Unknown,
        }
    }
}

/// A job without a record of its own.
#[must_use]
pub fn without_record(
    found: &Found,
    trace: &Trace,
    line: Option<&Line>,
) -> (State, Option<String>) {
    let fault = match (&trace.record, &trace.pointer) {
        (_, Some(Err(fault))) => Some(format!("its pointer: {fault}")),
        (RecordFile::Garbage(fault), _) => Some(format!("its record: {fault}")),
        (RecordFile::Closed, _) => Some("its record cannot be read".to_owned()),
        (RecordFile::Foreign, _) => Some(
            "its record is not read: it is not yours, or others could have put it there".to_owned(),
        ),
        (RecordFile::Absent | RecordFile::Read(_), _) => None,
    };
    let lost = match trace.record {
        RecordFile::Read(_) => "its record is another job's now: the profile was reused",
        _ => "its record is gone",
    };
    match (line.map(|line| (line, line.phase())), fault) {
        (Some((line, Phase::Waiting)), _) => (State::Pending, Some(waits(line, found.now))),
        (_, Some(fault)) => (State::Unknown, Some(fault)),
        (Some((line, Phase::Running)), None) => (
            State::Unknown,
            Some(format!("{lost}; squeue says {}", line.state)),
        ),
        (_, None) => (State::Ended, Some(lost.to_owned())),
    }
}

/// A job by its record; `line` is its line in the queue, and `asked` tells whether that is its cluster's.
#[must_use]
pub fn with_record(
    found: &Found,
    trace: &Trace,
    record: &Record,
    line: Option<&Line>,
    in_slurm: bool,
    asked: bool,
) -> (State, Option<String>) {
    let squeue = match (in_slurm, asked, line, &found.queue) {
        (false, ..) => None,
        (_, true, Some(line), _) => Some(format!("squeue says {}", line.state)),
        (_, true, None, Queue::Told(_)) => Some("squeue no longer knows it".to_owned()),
        (_, _, _, Queue::Silent(words)) => Some(format!("squeue: {words}")),
        (_, _, _, Queue::Absent) => Some("squeue is not available here".to_owned()),
        (_, false, ..) => Some(format!(
            "squeue of cluster {} was not asked",
            record.job.cluster.as_deref().unwrap_or("?")
        )),
    };
    let and_squeue = |text: String| match &squeue {
        Some(squeue) => format!("{text}; {squeue}"),
        None => text,
    };
    if let Some(line) = line.filter(|line| line.phase() == Phase::Waiting) {
        return (
            State::Pending,
            Some(format!("requeued; {}", waits(line, found.now))),
        );
    }
    if record.has_ended() {
        let reason = record.reason.as_deref().unwrap_or("no reason given");
        // A driver's end may have told it already.
        let code = record.exit.map(|code| format!("exit code {code}"));
        let code = code.filter(|code| !reason.ends_with(code));
        let code = code.map_or_else(String::new, |code| format!(" ({code})"));
        let note = format!("{reason}{code}");
        let note = match line.filter(|line| line.phase() == Phase::Running) {
            Some(line) if outlives_its_cluster(record, line) => {
                format!("{note}; the Slurm job is still {}", line.state)
            }
            Some(_) => and_squeue(note),
            None => note,
        };
        return (State::Ended, Some(note));
    }
    let gone = asked
        && matches!(found.queue, Queue::Told(_))
        && line.is_none_or(|line| line.phase() == Phase::Over);
    // Who was killed on the way out had no time to remove what has secrets.
    let dead = |why: String| {
        let note = match State::of(record) {
            State::Stopping => format!(
                "it was killed while it was shutting down, and may have left connection files, which `ipjob clean` removes; {why}"
            ),
            _ => why,
        };
        (State::Dead, Some(note))
    };
    if in_slurm && gone {
        return dead(squeue.unwrap_or_default());
    }
    let process = process(found, trace, record);
    if let Some(Process::Gone(why)) = process {
        return dead(and_squeue(why));
    }
    if !record.is_stale(found.now) {
        let reason = record.reason.as_deref().map(str::to_owned);
        return (State::of(record), reason.or_else(|| hindered(record)));
    }
    let age = record.age_s(found.now).map_or_else(
        || "at an unknown time".to_owned(),
        |age| format!("{age} s ago"),
    );
    let silent = format!("its record was last written {age}");
    match process {
        Some(Process::Runs(pid)) => (
            State::of(record),
            // Who can be seen to live is not dead: the clock was set, or the record cannot be written.
            Some(and_squeue(format!(
                "{silent}, but its ipjob (pid {pid}) is running: was the clock set, or does the file system accept no writes?"
            ))),
        ),
        // Clocks are set, and homes are away for a while, more often than ipjob dies alone.
        _ if line.is_some_and(|line| line.phase() == Phase::Running) => {
            (State::Unknown, Some(and_squeue(silent)))
        }
        _ => dead(and_squeue(silent)),
    }
}

/// Whether the job in Slurm has another end than its cluster: where ipjob is a step or a process of a job that is not its own (a notebook's,
/// a hub's, that of salloc), and that is not ending yet.
pub(super) fn outlives_its_cluster(record: &Record, line: &Line) -> bool {
    line.phase() == Phase::Running && !line.is_ending() && !is_batch(record)
}

/// Whether ipjob is the job's batch script, whose end is the job's.
fn is_batch(record: &Record) -> bool {
    let to = record.job.signal_to.as_ref();
    to.is_some_and(|to| to.step().is_none())
}

/// What its services lack.
fn hindered(record: &Record) -> Option<String> {
    let all = record.hindered.all();
    let told: Vec<String> = all.map(|(name, what)| format!("{name}: {what}")).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// The process that a record names.
enum Process {
    Runs(u32),
    /// And why it does not.
    Gone(String),
}

/// What is seen of the process that the record names; `None` if it cannot be seen from there.
fn process(found: &Found, trace: &Trace, record: &Record) -> Option<Process> {
    let life = &record.incarnation;
    let (host, boot, pid) = (life.host.as_deref()?, life.boot.as_deref()?, (*life.pid)?);
    if *host != found.host || found.boot.is_empty() || boot.is_empty() {
        return None;
    }
    if *boot != found.boot {
        return Some(Process::Gone(format!("{host} has been rebooted since")));
    }
    let (named, stat) = trace.process.as_ref()?;
    let runs =
        parse_stat(stat).is_some_and(|stat| stat.runs() && Some(stat.start) == *life.pid_start);
    match runs {
        true => Some(Process::Runs(pid)),
        false if *named == pid => {
            let why = format!("its ipjob (pid {pid} on {host}) is gone");
            Some(Process::Gone(why))
        }
        false => None,
    }
}

/// Why a job waits, and until when.
#[must_use]
pub fn waits(line: &Line, now: Timestamp) -> String {
    let reason = line
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(" ({reason})"));
    let start = line
        .expected(Some(now))
        .map_or_else(String::new, |start| format!(", expected to start {start}"));
    format!("squeue says {}{reason}{start}", line.state)
}
