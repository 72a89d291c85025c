//! The publisher owns the record: it is written as often as it is worth its work, on a thread of its own, because a file system that
//! stops answering must hold up neither the supervision nor the stop. One writes, one record after the other, so that an older one
//! never takes the place of a newer.
//!
//! docs/design/record.md explains the design.

use super::machine::Machine;
use super::notice::{Notice, Sender};
use super::timers;
use crate::here::os::own_time::{self, OwnTime};
use crate::here::profile::ownership::Ownership;
use crate::plan::Plan;
use crate::plan::name::Name;
use crate::record::{Record, State};
use crate::report::writer::{Writer, Written};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// As many times as long as a record took to write, it is left as it is at the least, unless the state changes: however many the
/// engines are, and however slow the file system is, writing takes a fixed part of the time.
const RECORDS_PART: u32 = 20;

/// What the thread is to do.
enum Errand {
    /// Write a record, and tell the loop what came of it.
    Write(Box<Record>),
    /// Do something between two records.
    Tidy(Box<dyn FnOnce() + Send>),
    /// The last errand: tidy up, write the last record, and tell whoever waits for it.
    Close {
        record: Box<Record>,
        tidy: Box<dyn FnOnce() + Send>,
        done: mpsc::Sender<Written>,
    },
}

/// Which engines the record counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counts {
    /// Those that are there.
    Now,
    /// Those that were there when the stop began: how many happen to have ended when the last record is written says nothing.
    BeforeTheStop,
}

/// The record, and what is known of its file.
#[derive(Debug)]
pub(super) struct Publisher {
    record: Record,
    /// Where the thread is given its errands.
    errands: mpsc::Sender<Errand>,
    sender: Sender,
    /// Whether a record is being written. The next one is given when what came of this one was told: until then it would only
    /// wait, and be old by then.
    busy: bool,
    /// Whether the record differs from what was written last.
    changed: bool,
    /// The state that stands in what is being written, and then has been.
    shown: Option<State>,
    /// When it is written again, if nothing else than details change.
    next: Instant,
    /// Whether that moment is waited for.
    waits: bool,
    /// The host that a laptop reaches the job by: where it was submitted, unless that is known to be a node of Slurm's.
    login: Option<String>,
    /// Which engines the record counts.
    counts: Counts,
    /// The place that could not be written, while it cannot: it is said once.
    unwritable: Option<PathBuf>,
}

impl Publisher {
    /// Starts the thread; where none can be had nothing is written any more.
    pub fn start(
        plan: &Plan,
        record: Record,
        writer: Writer,
        ownership: Ownership,
        sender: Sender,
    ) -> Self {
        let slurm = plan.allocation.slurm.as_ref();
        let (errands, given) = mpsc::channel();
        let told = sender.clone();
        let _ = thread::Builder::new()
            .name("record".to_owned())
            .spawn(move || run(&given, &writer, &ownership, &told));
        Self {
            record,
            errands,
            sender,
            busy: false,
            changed: false,
            shown: None,
            next: Instant::now(),
            waits: false,
            login: slurm.and_then(|slurm| slurm.submit_host.clone()),
            counts: Counts::Now,
            unwritable: None,
        }
    }

    /// The record as it is.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The record, to be changed; what changes is written when its turn comes.
    pub fn edit(&mut self) -> &mut Record {
        self.changed = true;
        &mut self.record
    }

    /// The host that a laptop reaches the job by.
    pub fn login(&self) -> Option<&str> {
        self.login.as_deref()
    }

    /// No laptop reaches the job by the host that it was submitted on.
    pub fn forget_login(&mut self) {
        self.login = None;
    }

    /// The record is to be written when its turn comes.
    pub fn touch(&mut self) {
        self.changed = true;
    }

    /// The record is to be written at once.
    pub fn hasten(&mut self) {
        self.changed = true;
        self.next = Instant::now();
    }

    /// The moment that was waited for has come.
    pub fn is_due(&mut self) {
        self.waits = false;
    }

    /// Has the record written if it has changed and its turn has come. Whether it is still ours is looked at only then.
    pub fn publish(&mut self, machine: &Machine, ours: impl FnOnce() -> bool) {
        // While one is written, what comes of that is told, and then the next one's turn is looked for.
        if !self.changed || self.busy {
            return;
        }
        let now = Instant::now();
        if *self.record.state != Some(machine.state()) || now >= self.next {
            self.changed = false;
            self.follow(machine);
            if ours() {
                let record = Box::new(self.record.clone());
                self.shown = *record.state;
                self.busy = self.errands.send(Errand::Write(record)).is_ok();
            }
        } else if !self.waits {
            self.waits = true;
            let left = self.next - now;
            timers::once(left, Notice::RecordIsDue, self.sender.clone());
        }
    }

    /// Brings the record up to date with what the machine knows.
    fn follow(&mut self, machine: &Machine) {
        self.record.state = machine.state().into();
        if let Some(reason) = machine.reason() {
            self.record.set_reason(reason);
        }
        for name in [Name::Controller, Name::Jupyter] {
            self.record.set_hindered(name, machine.hindered(name));
        }
        if self.counts == Counts::Now {
            self.count_engines(machine);
        }
    }

    /// The stop begins now: from now on the record tells of engines as they are at this moment.
    pub fn keep_engines(&mut self, machine: &Machine) {
        if std::mem::replace(&mut self.counts, Counts::BeforeTheStop) == Counts::Now {
            self.count_engines(machine);
        }
    }

    fn count_engines(&mut self, machine: &Machine) {
        let engines = &mut self.record.engines;
        engines.registered = machine.engines_there().into();
        engines.missing = machine.missing_engines();
        engines.guests = machine.guests().into();
    }

    /// The record was written, or could not be; tells what is to be said of it, and whether as a warning.
    pub fn written(&mut self, took: Duration, written: Written) -> Option<(String, bool)> {
        self.busy = false;
        self.next = Instant::now() + took * RECORDS_PART;
        match written {
            Ok(()) => {
                let path = self.unwritable.take()?;
                let text = format!("the record {} can be written again", path.display());
                Some((text, false))
            }
            Err((path, _)) if self.unwritable.as_ref() == Some(&path) => None,
            Err((path, error)) => {
                let text = format!(
                    "the record {} cannot be written: {error}; the job keeps running",
                    path.display()
                );
                self.record.warn(text.clone());
                self.unwritable = Some(path);
                Some((text, true))
            }
        }
    }

    /// Whether who reads the record learns that the job can be used.
    pub fn shows_it_up(&self) -> bool {
        !self.busy && matches!(self.shown, Some(State::Ready | State::Degraded))
    }

    /// Has this done where the file system may keep it waiting, before the next record is written.
    pub fn tidy(&self, tidy: impl FnOnce() + Send + 'static) {
        let _ = self.errands.send(Errand::Tidy(Box::new(tidy)));
    }

    /// Has the last record written, after `tidy`; `None` when that takes longer than `limit`.
    pub fn close(
        &mut self,
        machine: &Machine,
        tidy: impl FnOnce() + Send + 'static,
        limit: Duration,
    ) -> Option<Written> {
        self.follow(machine);
        let (done, written) = mpsc::channel();
        let errand = Errand::Close {
            record: Box::new(self.record.clone()),
            tidy: Box::new(tidy),
            done,
        };
        self.errands.send(errand).ok()?;
        own_time::receive(&written, limit).ok()
    }
}

/// Does what it is given, until nobody gives more.
fn run(given: &mpsc::Receiver<Errand>, writer: &Writer, ownership: &Ownership, sender: &Sender) {
    let ours = || ownership.successor().is_none();
    while let Ok(errand) = given.recv() {
        match errand {
            Errand::Write(mut record) => {
                let begin = OwnTime::now();
                let told = record.state.unwrap_or(State::Starting);
                let written = writer.write(&mut record, ours);
                let took = begin.elapsed();
                let _ = sender.send(Notice::RecordWritten {
                    told,
                    took,
                    written,
                });
            }
            Errand::Tidy(tidy) => tidy(),
            Errand::Close {
                mut record,
                tidy,
                done,
            } => {
                tidy();
                let _ = done.send(writer.last(&mut record, ours));
            }
        }
    }
}
