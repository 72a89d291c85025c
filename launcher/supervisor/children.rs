//! Our own children: started here, known by their process ids, asked to end and killed by them.

use super::event::{Event, Exit, OutOfMemory};
use crate::failure::Failure;
use crate::here::os::log::Log;
use crate::here::os::memory::Memory;
use crate::here::os::own_time::OwnTime;
use crate::here::os::stray_processes::Leftover;
use crate::here::os::time_limited::{LOOK, within};
use crate::here::os::{affinity, files, limits};
use crate::here::profile::ports::Reservation;
use crate::plan::cpus::Cpus;
use crate::plan::environment::READY_URL;
use crate::plan::name::{Name, Unit};
use crate::plan::service::{Carried, Environment, Process, Service, Streams};
use crate::plan::services::{OnReady, PRELOAD_VARIABLE};
use crate::plan::share::Provision;
use crate::plan::text::Text;
use crate::plan::{Plan, secrets};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::{ErrorKind, PipeReader, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Lines of a log that are shown when its process fails.
pub const TAIL_LINES: usize = 10;

/// Lines of a log that are looked through for a cause.
pub const CAUSE_LINES: usize = 200;

/// What a process gets beside what was planned.
#[derive(Debug, Default)]
pub struct Given {
    /// More arguments.
    pub arguments: Vec<String>,
    /// What brings the sockets that it is handed.
    pub stdin: Option<OwnedFd>,
}

/// The children of this life.
#[derive(Debug)]
pub struct Children {
    incarnation: String,
    node: String,
    /// How many engines the job has.
    engines: u32,
    /// What each engine is given that we start ourselves, by their ids.
    provisions: Vec<Provision>,
    /// What lines of logs are shown without: others may read the job's output.
    secrets: Vec<String>,
    /// What the kernel counts of our memory, where that can be read.
    memory: Option<Memory>,
    /// When each service was asked to end: what it leaves has the rest of its share.
    asked: BTreeMap<Name, OwnTime>,
    /// Those that we have killed by themselves.
    killed: BTreeSet<u32>,
    pub(super) running: BTreeMap<u32, (Unit, Option<Leftover>)>,
    logs: BTreeMap<Unit, Log>,
    /// The port that is held for Jupyter as long as it may be started again.
    pub reservation: Option<Reservation>,
    /// What forks the engines, until it has told of all of them.
    pub forking: Option<Forking>,
    /// Whether it has forked none and will not.
    pub gave_up: bool,
    /// Whether engines import nothing beforehand although it is ordered.
    pub without_preload: bool,
    /// Where the controller that was started last tells what happens to it, until that is listened to.
    pub told: Option<UnixStream>,
}

impl Children {
    /// No children yet.
    pub fn new(plan: &Plan) -> Self {
        Self {
            incarnation: plan.incarnation.id.clone(),
            node: plan.incarnation.host.clone(),
            engines: plan.engines,
            provisions: plan.shares.own.clone(),
            secrets: plan.secrets.words(),
            memory: Memory::own(),
            asked: BTreeMap::new(),
            killed: BTreeSet::new(),
            running: BTreeMap::new(),
            logs: BTreeMap::new(),
            reservation: None,
            forking: None,
            gave_up: false,
            without_preload: false,
            told: None,
        }
    }

    /// Starts one process; its id is returned.
    pub fn spawn(
        &mut self,
        service: &Service,
        id: Unit,
        process: &Process,
        given: Given,
    ) -> Result<u32, Failure> {
        let mut command = in_environment(&service.environment, process)?;
        command.args(given.arguments);
        if self.without_preload && service.name == Name::Engines {
            command.env_remove(PRELOAD_VARIABLE);
        }
        // Engines of a step, which have indices as well where they start again, are given nothing here.
        let index = id.engine().and_then(|index| usize::try_from(index).ok());
        let provision = index.and_then(|index| self.provisions.get(index));
        provide(&mut command, provision);
        if service.streams == Streams::Log {
            let log = into_log(&mut command, process, &log_head(&self.incarnation, &id))?;
            command.stdin(given.stdin.map_or_else(Stdio::null, Stdio::from));
            self.logs.insert(id, log);
        }
        let cpus = provision.and_then(|provision| provision.share.cpus.as_ref());
        let pid = start(&mut command, process, &id, cpus)?;
        if !matches!(service.name, Name::Controller | Name::Jupyter) {
            limits::give_back_open_files(pid, self.engines_of(service));
        }
        self.running.insert(pid, (id, Leftover::child(pid)));
        Ok(pid)
    }

    /// Starts the one program that forks all processes of a service; where it tells of them is returned.
    pub fn spawn_forking(
        &mut self,
        service: &Service,
        process: &Process,
    ) -> Result<PipeReader, Failure> {
        let mut ids = BTreeSet::new();
        for (index, engine) in (0..).zip(&service.processes) {
            let id = service.unit(index);
            let head = log_head(&self.incarnation, &id);
            let (log, _) =
                Log::open(&engine.log, &head).map_err(|error| no_log(&engine.log, &error))?;
            self.logs.insert(id, log);
            ids.insert(index);
        }
        let mut command = in_environment(&service.environment, process)?;
        let log = into_log(
            &mut command,
            process,
            &log_head(&self.incarnation, &service.name),
        )?;
        let (reader, writer) =
            pipe().map_err(|error| Failure::missing("no pipe can be made").because(error))?;
        // Not its standard output, into which site-wide modules may print.
        command.stdin(writer);
        let pid = start(&mut command, process, &service.name, None)?;
        limits::give_back_open_files(pid, 1);
        self.forking = Some(Forking::new(pid, log, ids));
        Ok(reader)
    }

    /// Starts the command of `--on-ready`, with Jupyter's address; its process id and its log.
    pub fn spawn_on_ready(
        &self,
        OnReady {
            process,
            environment,
        }: &OnReady,
        url: Option<&str>,
    ) -> Result<(u32, Log), Failure> {
        let mut command = in_environment(environment, process)?;
        // Ours may be that of a job whose own command has started us.
        command.env_remove(READY_URL);
        command.envs(url.map(|url| (READY_URL, url)));
        let head = log_head(&self.incarnation, &"--on-ready");
        let log = into_log(&mut command, process, &head)?;
        command.stdin(Stdio::null());
        let pid = start(&mut command, process, &"the command of --on-ready", None)?;
        limits::give_back_open_files(pid, 1);
        Ok((pid, log))
    }

    /// How many engines each process of a service starts.
    fn engines_of(&self, service: &Service) -> u32 {
        let processes = u32::try_from(service.processes.len()).unwrap_or(u32::MAX);
        match service.name {
            Name::Engines => self.engines.checked_div(processes).unwrap_or(1),
            _ => 1,
        }
    }

    /// A service is asked to end now.
    pub fn note_asked(&mut self, service: Name) {
        self.asked.insert(service, OwnTime::now());
    }

    /// How long ago a service was asked to end.
    pub fn asked(&self, service: Name) -> Option<Duration> {
        self.asked.get(&service).map(|asked| asked.elapsed())
    }

    /// How long ago the first of all was.
    pub fn first_asked(&self) -> Option<Duration> {
        self.asked.values().min().map(|asked| asked.elapsed())
    }

    /// Takes in a process that one of our children has forked.
    pub fn adopt(&mut self, id: Unit, pid: u32) {
        self.running.insert(pid, (id, Leftover::child(pid)));
    }

    /// Tells the log of another process for that of this one, which wrote none.
    pub fn borrow_log(&mut self, id: Unit, log: Log) {
        self.logs.insert(id, log);
    }

    /// The event of a child's end; an orphan that we inherited is nobody's.
    pub fn exited(&mut self, pid: u32, exit: Exit) -> Option<Event> {
        let by_us = self.killed.remove(&pid);
        let killed =
            matches!(&exit, Exit::Signal { number, .. } if *number == Signal::SIGKILL as i32);
        let memory = self.out_of_memory(killed && !by_us);
        let Some((unit, _)) = self.running.remove(&pid) else {
            if let Some(forking) = &mut self.forking {
                forking.exited(pid, exit);
            }
            return None;
        };
        Some(Event::Exited {
            unit,
            pid,
            exit,
            tail: self.tail(unit, CAUSE_LINES),
            memory,
        })
    }

    /// Whether the kernel has killed for want of memory what has just ended, if it was killed. Asked often, so that an earlier kill
    /// is not taken for this one.
    pub fn out_of_memory(&mut self, killed: bool) -> Option<OutOfMemory> {
        let memory = self.memory.as_mut()?;
        memory.explains(killed).then(|| OutOfMemory {
            node: self.node.clone(),
            limit: memory.limit(),
        })
    }

    /// Whether a process of that id runs for a service: what is said of an earlier one counts no more.
    pub fn runs(&self, service: Name, pid: u32) -> bool {
        self.running
            .get(&pid)
            .is_some_and(|(unit, _)| unit.service() == service)
    }

    /// The last lines of a process's log, without secrets.
    pub fn tail(&self, unit: Unit, lines: usize) -> Vec<String> {
        let log = self.logs.get(&unit).cloned();
        let tail = log.and_then(|log| within(LOOK, move || log.tail(lines)));
        self.without_secrets(tail.unwrap_or_default())
    }

    /// Lines of a log without secrets.
    pub fn without_secrets(&self, lines: Vec<String>) -> Vec<String> {
        let lines = lines.into_iter();
        lines
            .map(|line| secrets::without(&line, &self.secrets))
            .collect()
    }

    /// Engines start together again: what single ones wrote by themselves tells of none of them.
    pub fn forget_logs_of_engines(&mut self) {
        self.logs.retain(|unit, _| unit.engine().is_none());
    }

    /// Knows one more secret.
    pub fn hide(&mut self, secret: &Text) {
        self.secrets.push(secret.reveal().to_owned());
    }

    /// The log of a process that was started.
    pub fn log(&self, unit: Unit) -> Option<&Log> {
        self.logs.get(&unit)
    }

    /// Knows the log of an engine that another rank has started, so that its last lines can be shown.
    pub fn follow_engine(&mut self, plan: &Plan, rank: u32) {
        let id = Unit::Engine(rank);
        if let Some(process) = plan
            .service(Name::Engines)
            .and_then(|service| service.processes.get(rank as usize))
        {
            self.logs
                .entry(id)
                .or_insert_with(|| Log::of_another(&process.log, &self.incarnation));
        }
    }

    /// The name of a process's log.
    pub fn log_name(&self, unit: Unit) -> Option<String> {
        self.logs
            .get(&unit)
            .map(|log| log.path.display().to_string())
    }

    /// Signals the processes of a service; tells whether there was one.
    pub fn signal(&self, service: Name, signal: Signal) -> bool {
        self.pids(service)
            .filter(|pid| kill(*pid, signal).is_ok())
            .count()
            > 0
    }

    /// The processes of a service that run.
    pub fn of(&self, service: Name) -> impl Iterator<Item = Unit> + '_ {
        let all = self.running.values().map(|(unit, _)| *unit);
        all.filter(move |unit| unit.service() == service)
    }

    /// Signals one process; tells whether there was one.
    pub fn signal_one(&self, unit: Unit, signal: impl Into<Option<Signal>>) -> bool {
        let signal = signal.into();
        let pids = self.pids_of(unit).into_iter();
        pids.filter(|pid| kill(*pid, signal).is_ok()).count() > 0
    }

    /// Kills the processes of a unit and the groups that they lead.
    pub fn kill(&mut self, unit: Unit) {
        if unit.engine().is_none() {
            for pid in self.pids(unit.service()) {
                let _ = kill(pid, Signal::SIGKILL);
                // A driver's group is ours.
                if unit != Unit::Driver {
                    let _ = killpg(pid, Signal::SIGKILL);
                }
            }
            return;
        }
        for pid in self.pids_of(unit) {
            self.killed.extend(number(pid));
            let _ = kill(pid, Signal::SIGKILL);
            let _ = killpg(pid, Signal::SIGKILL);
        }
    }

    /// The children of a service that nobody has waited for.
    pub fn unreaped(&self, service: Name) -> impl Iterator<Item = u32> + '_ {
        self.pids(service).filter_map(number)
    }

    fn pids_of(&self, unit: Unit) -> Vec<Pid> {
        self.pids(unit.service())
            .filter(|pid| {
                let running = number(*pid).and_then(|pid| self.running.get(&pid));
                running.is_some_and(|(found, _)| *found == unit)
            })
            .collect()
    }

    /// A child that signals.rs has waited for may still be told here as running, and its number another's.
    fn pids(&self, service: Name) -> impl Iterator<Item = Pid> + '_ {
        let forking = self
            .forking
            .iter()
            .filter(move |_| service == Name::Engines)
            .filter_map(Forking::process);
        self.running
            .values()
            .filter(move |(unit, _)| unit.service() == service)
            .filter_map(|(_, child)| *child)
            .chain(forking)
            .filter(|child| child.is_unreaped())
            .filter_map(|child| i32::try_from(child.pid).ok())
            .map(Pid::from_raw)
    }
}

fn number(pid: Pid) -> Option<u32> {
    u32::try_from(pid.as_raw()).ok()
}

/// Writes down what a service's processes run that no package has.
pub fn write_carried(service: &Service) -> Result<(), Failure> {
    for Carried { path, text } in &service.carried {
        files::replace(path, text.as_bytes()).map_err(|error| {
            Failure::missing(format!("{} cannot be written", path.display()))
                .because(error)
                .hint("check that the profile directory is yours, writable and not full")
        })?;
    }
    Ok(())
}

/// A process's command with its environment.
fn in_environment(environment: &Environment, process: &Process) -> Result<Command, Failure> {
    let mut command = Command::new(&process.program);
    command.args(&process.args);
    for variable in &environment.dropped {
        command.env_remove(variable);
    }
    for (variable, text) in &environment.set {
        command.env(variable, text.reveal());
    }
    for (variable, file) in &environment.from_files {
        let text = std::fs::read_to_string(file).map_err(|error| {
            Failure::service(format!("{} cannot be read", file.display())).because(error)
        })?;
        command.env(variable, text);
    }
    Ok(command)
}

/// Sends a command's output and errors into its log.
pub fn into_log(command: &mut Command, process: &Process, head: &str) -> Result<Log, Failure> {
    let (log, file) =
        Log::open(&process.log, head).map_err(|error| no_log(&process.log, &error))?;
    let errors = file
        .try_clone()
        .map_err(|error| no_log(&process.log, &error))?;
    command
        .stdout(file)
        .stderr(errors)
        // A group of its own: Ctrl-C at the terminal is for ipjob, which ends its services in order. A driver stays in
        // ours, because only the foreground group may read from the terminal.
        .process_group(0);
    Ok(log)
}

/// Gives a command its engine's variables, and takes those that the engine is not to have.
fn provide(command: &mut Command, provision: Option<&Provision>) {
    let Some(provision) = provision else {
        return;
    };
    for name in &provision.dropped {
        command.env_remove(name);
    }
    for (name, text) in &provision.set {
        command.env(name, text);
    }
}

/// Starts a command, bound to these CPUs or to all of ours; its process id is returned.
pub fn start(
    command: &mut Command,
    process: &Process,
    name: &impl Display,
    cpus: Option<&Cpus>,
) -> Result<u32, Failure> {
    let child = affinity::while_bound(cpus, || command.spawn()).map_err(|error| {
        Failure::missing(format!(
            "{name} cannot be started: {}",
            process.program.display()
        ))
        .hint(match error.kind() {
            // fork's EAGAIN
            ErrorKind::WouldBlock => {
                "the limit of processes is reached (`ulimit -u`, or the job's cgroup): start fewer engines"
            }
            _ => "check that the program exists here and can be run",
        })
        .because(error)
    })?;
    // Every child is reaped by its process id in signals.rs; dropping the handle neither waits nor kills.
    Ok(child.id())
}

/// The line with which the part of a log begins that one process wrote.
pub fn log_head(incarnation: &str, id: &impl Display) -> String {
    format!("ipjob {incarnation}: {id}")
}

/// What is said of a log that takes nothing.
pub fn no_log(path: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::missing(format!("the log {} cannot be written", path.display()))
        .because(error)
        .hint("check that the profile's log directory is yours, writable and not full")
}

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
}

/// The program that forks the engines, from its start until all that it forked is told.
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
        }
    }

    /// Itself, as a process that can be asked to end.
    pub fn process(&self) -> Option<Leftover> {
        self.process
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
