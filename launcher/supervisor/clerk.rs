//! The clerk writes the record, on a thread of its own: a file system that stops answering must hold up neither the supervision nor
//! the stop. One writes, one record after the other, so that an older one never takes the place of a newer.
//!
//! docs/design/record.md explains the design.

use super::notice::{Notice, Sender};
use crate::here::os::own_time::{self, OwnTime};
use crate::here::profile::ownership::Ownership;
use crate::report::record::{Record, Writer, Written};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// What the clerk is to do.
enum Errand {
    /// Write a record, and tell the loop what came of it.
    Write(Box<Record>),
    /// The last errand: tidy up, write the last record, and tell whoever waits for it.
    Close {
        record: Box<Record>,
        tidy: Box<dyn FnOnce() + Send>,
        done: mpsc::Sender<Written>,
    },
}

/// Where errands are given.
#[derive(Debug)]
pub(super) struct Clerk {
    errands: mpsc::Sender<Errand>,
    /// Whether a record is being written.
    pub busy: bool,
}

impl Clerk {
    /// Starts the clerk; where no thread can be had nothing is written any more, and the loop is told so each time.
    pub fn start(writer: Writer, ownership: Ownership, sender: Sender) -> Self {
        let (errands, given) = mpsc::channel();
        let _ = thread::Builder::new()
            .name("record".to_owned())
            .spawn(move || {
                let ours = || ownership.successor().is_none();
                while let Ok(errand) = given.recv() {
                    match errand {
                        Errand::Write(mut record) => {
                            let begin = OwnTime::now();
                            let written = writer.write(&mut record, ours);
                            let took = begin.elapsed();
                            let _ = sender.send(Notice::RecordWritten { took, written });
                        }
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
            });
        Self {
            errands,
            busy: false,
        }
    }

    /// Has a record written. The next one is given when what came of this one was told: until then it would only wait, and be old by
    /// then.
    pub fn write(&mut self, record: Record) {
        self.busy = self.errands.send(Errand::Write(Box::new(record))).is_ok();
    }

    /// Has the last record written, after `tidy`; `None` when that takes longer than `limit`.
    pub fn close(
        &self,
        record: Record,
        tidy: impl FnOnce() + Send + 'static,
        limit: Duration,
    ) -> Option<Written> {
        let (done, written) = mpsc::channel();
        let errand = Errand::Close {
            record: Box::new(record),
            tidy: Box::new(tidy),
            done,
        };
        self.errands.send(errand).ok()?;
        own_time::receive(&written, limit).ok()
    }
}
