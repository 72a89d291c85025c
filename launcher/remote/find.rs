//! What there is of the user's jobs on a host, in one round of one ssh: Slurm's queue, pointers and records.
//!
//! docs/design/jobs.md explains the design.

use super::parts::{END, Part};
use super::queue::{self, Line, Queue};
use super::shell::Session;
use super::sight::{Pointer, Sight};
use super::target::{Host, Job};
use crate::failure::{Failure, Outcome};
use crate::here::os::text::printable;
use jiff::Timestamp;

/// The scripts; their heads say what they are told.
const SCRIPT: &str = concat!(include_str!("find.sh"), include_str!("orders.sh"));

/// What there is on a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The host's own name.
    pub host: String,
    /// Its boot id; empty where it has none.
    pub boot: String,
    /// The user's name there.
    pub user: String,
    /// The time there.
    pub now: Timestamp,
    /// The name of the Slurm cluster that squeue tells of.
    pub cluster: Option<String>,
    /// The queue.
    pub queue: Queue,
    /// The job that was asked for, where it is in the queue and not this user's.
    pub foreign: Option<Line>,
    /// Pointers and records that may be of the job that was asked for.
    pub traces: Vec<Trace>,
}

/// What one job left: a pointer, a record, or both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// Where the pointer lies.
    pub pointer_path: Option<String>,
    /// What it says, or why that is nothing.
    pub pointer: Option<Result<Pointer, String>>,
    /// Where the record lies; `None` where no pointer says it.
    pub record_path: Option<String>,
    /// What it says.
    pub record: Record,
    /// What the host's /proc tells of the process that the record names: its id and the line, which is empty if there is none.
    pub process: Option<(u32, String)>,
}

/// A record as it was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Record {
    /// It is not there.
    #[default]
    Absent,
    /// It is there and cannot be read.
    Closed,
    /// It is not the user's own file in a directory of the user's own: it was not read.
    Foreign,
    /// It is no record, and why.
    Garbage(String),
    /// It was read.
    Seen(Box<Sight>),
}

impl Trace {
    /// The record, if it is one.
    #[must_use]
    pub fn sight(&self) -> Option<&Sight> {
        match &self.record {
            Record::Seen(sight) => Some(sight),
            _ => None,
        }
    }

    /// What the pointer says, if it is one.
    #[must_use]
    pub fn told(&self) -> Option<&Pointer> {
        self.pointer.as_ref()?.as_ref().ok()
    }
}

/// One ssh, or one shell here, that looks and does as it is told.
pub struct Search(Session);

impl Search {
    /// Begins to look for a job, or for all, on a host or here.
    pub fn begin(host: Option<&Host>, job: Option<&Job>) -> Outcome<Self> {
        let job = job.map_or("", Job::as_str);
        Session::open(host, SCRIPT, &[job, queue::FORMAT]).map(Self)
    }

    /// What the first look, or the one after [`Search::again`], found.
    pub fn found(&mut self) -> Outcome<Found> {
        let mut round = Round::default();
        for part in self.answer()? {
            round.take(&part);
        }
        round.found()
    }

    /// Looks again.
    pub fn again(&mut self) -> Outcome<Found> {
        self.0.tell(&["look"]);
        self.found()
    }

    /// Gives an order of `orders.sh` with its words, and returns the parts of the answer.
    pub fn order(&mut self, words: &[&str]) -> Outcome<Vec<Part>> {
        self.0.tell(words);
        self.answer()
    }

    fn answer(&mut self) -> Outcome<Vec<Part>> {
        let mut parts = Vec::new();
        while let Some(part) = self.0.next()? {
            if part.kind == END {
                return Ok(parts);
            }
            parts.push(part);
        }
        Err(incomplete())
    }
}

fn incomplete() -> Failure {
    Failure::ssh("the answer of the other side is not complete")
        .hint("a start-up file of the login shell there may end it; `ssh HOST true` must print nothing and end well")
}

/// A round of the script's parts, as they come.
#[derive(Default)]
struct Round {
    host: Option<String>,
    boot: String,
    user: String,
    now: Option<Timestamp>,
    cluster: Option<String>,
    queue: Option<Queue>,
    foreign: Option<Line>,
    traces: Vec<Trace>,
    /// Whether the last trace is a pointer whose record has not come.
    open: bool,
}

impl Round {
    fn take(&mut self, part: &Part) {
        let words = part.words.as_str();
        match part.kind.as_str() {
            "host" => {
                self.host = Some(printable(words));
                self.boot = printable(part.text().trim());
            }
            "user" => self.user = printable(words),
            "now" => {
                let seconds = words.trim().parse().ok();
                self.now = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
            }
            "cluster" => self.cluster = Some(printable(words)).filter(|name| !name.is_empty()),
            "queue" if words == "absent" => self.queue = Some(Queue::Absent),
            "queue" => self.queue = Some(Queue::read(words.trim().parse().ok(), &part.text())),
            "owner" => self.foreign = part.text().lines().find_map(Line::read),
            "pointer" => {
                let pointer = Pointer::read(&part.body);
                let path = pointer.as_ref().ok().and_then(|told| told.record.clone());
                let earlier = self.earlier(path.as_deref()).cloned().unwrap_or_default();
                self.traces.push(Trace {
                    pointer_path: Some(words.to_owned()),
                    pointer: Some(pointer),
                    record_path: path,
                    ..earlier
                });
                self.open = true;
            }
            "record" => self.put(
                words,
                match Sight::read(&part.body) {
                    Ok(sight) => Record::Seen(Box::new(sight)),
                    Err(fault) => Record::Garbage(fault),
                },
            ),
            "absent" => self.put(words, Record::Absent),
            "closed" => self.put(words, Record::Closed),
            "foreign" => self.put(words, Record::Foreign),
            "process" => {
                if let (Some(trace), Ok(pid)) = (self.traces.last_mut(), words.trim().parse()) {
                    trace.process = Some((pid, part.text()));
                }
            }
            _ => {}
        }
    }

    /// Puts a record to the pointer before it, if that one leads to it.
    fn put(&mut self, path: &str, record: Record) {
        let leads = |trace: &&mut Trace| trace.record_path.as_deref() == Some(path);
        let open = std::mem::take(&mut self.open);
        match self.traces.last_mut().filter(|_| open).filter(leads) {
            Some(trace) => trace.record = record,
            None => self.traces.push(Trace {
                record_path: Some(path.to_owned()),
                record,
                ..Trace::default()
            }),
        }
    }

    /// Where an earlier pointer led to the same record, it does not come again.
    fn earlier(&self, path: Option<&str>) -> Option<&Trace> {
        self.traces
            .iter()
            .find(|trace| path.is_some() && trace.record_path.as_deref() == path)
    }

    fn found(self) -> Outcome<Found> {
        let (Some(host), Some(now), Some(queue)) = (self.host, self.now, self.queue) else {
            return Err(incomplete());
        };
        Ok(Found {
            host,
            boot: self.boot,
            user: self.user,
            now,
            cluster: self.cluster,
            queue,
            foreign: self.foreign,
            traces: self.traces,
        })
    }
}

#[cfg(test)]
mod tests;
