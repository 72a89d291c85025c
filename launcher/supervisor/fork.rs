//! Engines that one Python forks (`engine/fork.py` and `engine/local.py`): it is started in the place of all of them, tells of each and ends. They
//! are then our children like any other, because we are the subreaper above it, so the machine knows no difference.
//!
//! docs/design/fork.md explains the design.

use super::children::Forking;
use super::event::{Event, Exit, Level};
use super::notice::{Notice, Sender};
use super::{Supervisor, file_thread};
use crate::failure::Failure;
use crate::here::os::files;
use crate::here::os::stray_processes::Leftover;
use crate::here::os::subreaper;
use crate::plan::cpus::Cpus;
use crate::plan::name::{Name, Unit};
use crate::plan::service::{Process, Service};
use crate::plan::services::{Forked, NOT_FORKED, Said, WITHOUT_PRELOAD};
use crate::plan::settings::Preload;
use crate::plan::share::Provision;
use crate::plan::task_lines::{NotImported, Report};
use nix::sys::signal::Signal;
use std::io::PipeReader;
use std::iter::repeat;
use std::os::fd::OwnedFd;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe::Receiver;

/// The program, which ipjob carries with it.
const PROGRAM: &str = concat!(
    include_str!("../engine/preload.py"),
    "\n\n",
    include_str!("../engine/fork.py"),
    "\n\n",
    include_str!("../engine/local.py")
);

impl Supervisor<'_> {
    /// Starts the program that forks the engines; false where it cannot be, which is said.
    pub(super) fn start_forking(&mut self, service: &Service, process: &Process) -> bool {
        // Without it (an emulator that lacks the call) what is forked would be nobody's child.
        let started = if subreaper::is_one() {
            self.write_program(service)
                .and_then(|()| self.children.spawn_forking(service, process))
                .and_then(|pipe| watch(pipe, self.sender.clone()))
        } else {
            Err(Failure::missing("orphans cannot be adopted here"))
        };
        match started {
            Ok(()) => true,
            Err(failure) => {
                self.children.forking = None;
                self.say_exec(true, &failure.to_string());
                false
            }
        }
    }

    fn write_program(&self, service: &Service) -> Result<(), Failure> {
        let profile = &self.plan.profile;
        let nothing = Provision::default();
        let provisions = self.plan.shares.own.iter().chain(repeat(&nothing));
        let order: Vec<Forked> = (0..)
            .zip(service.processes.iter().zip(provisions))
            .map(|(id, (process, own))| Forked {
                id,
                log: &process.log,
                set: own
                    .set
                    .iter()
                    .map(|(name, text)| (&**name, &**text))
                    .collect(),
                dropped: &own.dropped,
                cpus: own.share.cpus.iter().flat_map(Cpus::iter).collect(),
            })
            .collect();
        let order = serde_json::to_vec(&order).map_err(std::io::Error::from);
        order
            .and_then(|order| files::replace(&profile.fork_order(), &order))
            .and_then(|()| files::replace(&profile.fork_program(), PROGRAM.as_bytes()))
            .map_err(|error| {
                Failure::missing(format!(
                    "{} cannot be written",
                    profile.fork_program().display()
                ))
                .because(error)
            })
    }

    /// It told something.
    pub(super) fn forking_said(&mut self, said: Said) -> Option<Event> {
        match said {
            Said::Engine { id, pid } => {
                self.forked(id, pid);
                None
            }
            Said::NotImported(told) => {
                self.say_not_imported(&told);
                None
            }
            Said::Exec(why) => {
                self.say_exec(true, &why);
                self.children.gave_up = true;
                self.children.forking.as_mut()?.untold.clear();
                Some(Event::NotForked)
            }
        }
    }

    /// Says what engines start without.
    pub(super) fn engines_lack(&mut self, notice: &Notice) {
        match notice {
            Notice::NotForked(told) => self.say_exec(false, &told.to_string()),
            Notice::NotImported(told) => self.say_not_imported(told),
            _ => {}
        }
    }

    /// A module of `--preload` could not be imported: said once of each, as all engines and nodes tell the same.
    pub(super) fn say_not_imported(&mut self, told: &NotImported) {
        if self.lacks.insert(told.module.clone()) {
            self.say(Level::Warning, told.to_string());
        }
    }

    /// These engines start by themselves: what those go without that were to be forks is said once, and the hub learns who has no nanny.
    pub(super) fn start_unforked(&mut self, engines: impl IntoIterator<Item = u32>) {
        if self.plan.creation.python().is_none() {
            return;
        }
        for text in &self.plan.unforked.lacks {
            if self.lacks.insert(text.clone()) {
                self.say(Level::Step, text.clone());
            }
        }
        if self.plan.unforked.are_signalled {
            self.hub.lack_nannies(engines);
        }
    }

    /// Looks whether an engine that is a process of its own tells so in its log.
    pub(super) fn look_for_imports(&self) {
        let Some(log) = self.children.log(Unit::Engine(0)).cloned() else {
            return;
        };
        let sender = self.sender.clone();
        drop(file_thread::spawn(async move {
            let (lines, _) = log.lines_from(0);
            for told in lines.iter().filter_map(|line| NotImported::read(line)) {
                let _ = sender.send(Notice::NotImported(told));
            }
        }));
    }

    /// Engines are no forks, which matters to who has asked for them.
    pub(super) fn say_not_forked(&mut self, why: &str) {
        let level = if self.plan.asks_for_forks() {
            Level::Step
        } else {
            Level::Detail
        };
        self.say(level, format!("{NOT_FORKED}: {why}"));
    }

    /// All engines, or those of a node, are no forks after all.
    fn say_exec(&mut self, all: bool, why: &str) {
        self.say_not_forked(why);
        self.publisher.edit().engines.are_not_forked(all, why);
        // Those of this machine are told of when they start.
        self.start_unforked([]);
    }

    /// It forked an engine.
    fn forked(&mut self, index: u32, pid: u32) {
        let id = Unit::Engine(index);
        self.children.adopt(id, pid);
        if index == 0
            && let Some(service) = self.plan.service(Name::Engines)
        {
            self.started(service, &[]);
        }
        self.say(Level::Detail, format!("{id} forked (pid {pid})"));
        let _ = self.engine_reported(Report {
            rank: index,
            node: self.plan.incarnation.host.clone(),
            pid,
            step: self.own_step(),
            memory: None,
            share: self.plan.shares.of(index),
        });
        if self.children.asked(Name::Engines).is_some()
            && let Some(engine) = Leftover::of(pid)
        {
            // It came after the request to end, and has nothing to put down.
            engine.signal(Signal::SIGKILL);
        }
        let Some(forking) = &mut self.children.forking else {
            return;
        };
        forking.untold.remove(&index);
        if let Some(exit) = forking.early.remove(&pid) {
            let _ = self.sender.send(Notice::Exited { pid, exit });
        }
    }

    /// It tells nothing more.
    pub(super) fn forking_is_silent(&mut self) {
        if let Some(forking) = &mut self.children.forking {
            forking.silent = true;
        }
        self.settle_forking();
    }

    /// Once it has ended and nothing more is to be read of it, what it has not told of was never forked.
    pub(super) fn settle_forking(&mut self) {
        let settled = |forking: &mut Forking| forking.silent && forking.exit.is_some();
        let Some(forking) = self.children.forking.take_if(settled) else {
            return;
        };
        let engines = self.plan.service(Name::Engines);
        let told_none =
            engines.is_some_and(|engines| engines.processes.len() == forking.untold.len());
        if told_none && self.children.asked(Name::Engines).is_none() {
            return self.forking_broke(&forking);
        }
        for index in forking.untold {
            let unit = Unit::Engine(index);
            self.children.borrow_log(unit, forking.log.clone());
            let exit = forking.exit.clone().unwrap_or(Exit::Code(0));
            let _ = self.sender.send(Notice::Event(Event::Exited {
                unit,
                pid: forking.pid,
                exit,
                tail: forking.log.tail(super::children::CAUSE_LINES),
                memory: None,
            }));
        }
    }
}

impl Supervisor<'_> {
    /// It has ended without a word. What broke it may be numpy, which nobody has asked for: engines by themselves start without it.
    fn forking_broke(&mut self, forking: &Forking) {
        let exit = forking.exit.clone().unwrap_or(Exit::Code(0));
        let mut why = format!("the Python that forks them ended with {exit} before the first");
        if self.plan.settings.preload == Preload::Auto {
            self.children.without_preload = true;
            why.push_str(WITHOUT_PRELOAD);
        }
        self.children.gave_up = true;
        self.say(Level::Warning, format!("{NOT_FORKED}: {why}"));
        self.publisher.edit().engines.are_not_forked(true, &why);
        let _ = self.sender.send(Notice::Event(Event::NotForked));
    }
}

/// Sends on what it tells.
fn watch(pipe: PipeReader, sender: Sender) -> Result<(), Failure> {
    let receiver = Receiver::from_owned_fd(OwnedFd::from(pipe))
        .map_err(|error| Failure::missing("the pipe cannot be read").because(error))?;
    tokio::spawn(async move {
        let mut lines = BufReader::new(receiver).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(said) = Said::read(&line) {
                let _ = sender.send(Notice::ForkingSaid(said));
            }
        }
        let _ = sender.send(Notice::ForkingIsSilent);
    });
    Ok(())
}
