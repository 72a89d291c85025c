//! The program that forks the engines, from its start until all that it forked is told.

use crate::here::os::log::Log;
use crate::here::os::stray_processes::Leftover;
use crate::plan::exit::Exit;
use std::collections::{BTreeMap, BTreeSet};

/// The program from its start until all that it forked is told.
#[derive(Debug)]
pub struct Forking {
    /// Its process id.
    pub pid: u32,
    process: Option<Leftover>,
    /// Where what it said itself is.
    pub log: Log,
    /// Engines of which it has not told.
    pub untold: BTreeSet<u32>,
    /// Ends of processes that are not known yet: an engine's may be noticed before the line that tells of it is read.
    pub early: BTreeMap<u32, Exit>,
    /// How it ended.
    pub exit: Option<Exit>,
    /// Whether it tells nothing more.
    pub silent: bool,
    /// Whether it has told that it forks none.
    pub gave_up: bool,
}

impl Forking {
    /// The program of that process id, which is to fork these engines.
    pub fn new(pid: u32, log: Log, untold: BTreeSet<u32>) -> Self {
        Self {
            pid,
            process: Leftover::child(pid),
            log,
            untold,
            early: BTreeMap::new(),
            exit: None,
            silent: false,
            gave_up: false,
        }
    }

    /// Itself, as a process that can be asked to end.
    pub fn process(&self) -> Option<Leftover> {
        self.process
    }

    /// Whether it has told that it forks none.
    pub fn gave_up(&self) -> bool {
        self.gave_up
    }

    /// A process has ended that is no known child.
    pub fn exited(&mut self, pid: u32, exit: Exit) {
        if pid == self.pid {
            self.exit = Some(exit);
        } else {
            self.early.insert(pid, exit);
        }
    }
}
