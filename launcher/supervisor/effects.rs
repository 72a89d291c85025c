//! Carrying out what the machine says. No decision is made here.

use super::event::{Effect, End, Event, Level, Timer};
use super::notice::{Answer, Notice, Wired};
use super::probes::jupyter::Probe;
use super::{Supervisor, probes, sweep, timers};
use crate::failure::Failure;
use crate::here::os::own_time::OwnTime;
use crate::plan::name::{Name, ProcessId};
use crate::plan::service::{PortNeed, Readiness, Service};
use crate::plan::settings::Frontend;
use crate::plan::task_lines::Report;
use crate::report::record::Engine;
use crate::report::{summary, timeline};
use nix::sys::signal::Signal;
use std::mem::take;

/// Columns of the start's chart that -v shows, behind the time that stands before every line.
const CHART_COLUMNS: usize = 70;

impl Supervisor<'_> {
    /// Carries out one effect; tells the end when it was the last.
    pub(super) fn carry_out(&mut self, effect: Effect) -> Option<End> {
        match effect {
            Effect::Spawn(name) => self.spawn(name),
            Effect::Restart(_) | Effect::Replace(_) if self.holds(&effect) => {}
            Effect::Restart(name) => self.restart(name),
            Effect::Replace(engine) => self.replace(engine),
            Effect::EndStep => self.end_step(),
            Effect::KillOne(process) => {
                self.let_go(process.service, Some(process));
                self.children.kill_one(process);
            }
            Effect::GiveUp(name) => self.give_up(name),
            Effect::Terminate(name) if self.is_ours() => self.terminate(name),
            // Asked to end, a superseded life's services would remove files that are the newer one's.
            Effect::Terminate(name) | Effect::Kill(name) => {
                self.let_go(name, None);
                self.kill_other_ranks(name);
                self.children.kill(name);
            }
            Effect::Sweep { service, limit } => {
                let asked = service.and_then(|name| self.asked.get(&name));
                sweep::start(
                    self.plan.incarnation.id.clone(),
                    service,
                    limit.map(|limit| sweep::grace(limit, asked.map(|asked| asked.elapsed()))),
                    self.sender.clone(),
                );
            }
            Effect::SetTimer(timer, _) if self.is_of_held(timer) => self.held.push(effect),
            Effect::SetTimer(timer, after) => {
                let notice = Notice::Event(Event::TimeUp(timer));
                match timer {
                    // The job's time, and Slurm's patience, go on while we stand still.
                    Timer::Warn { .. }
                    | Timer::Near { .. }
                    | Timer::Deadline { .. }
                    | Timer::SlurmKills => {
                        timers::once_in_the_world(after, notice, self.sender.clone());
                    }
                    _ => timers::once(after, notice, self.sender.clone()),
                }
            }
            Effect::LookForProgress(timer) => self.look_for_progress(timer),
            Effect::SayWhatLives { service, then } => self.say_what_lives(service, then),
            Effect::AskForPreemption => self.ask_for_preemption(),
            Effect::LookForUse => self.look_for_use(),
            Effect::Say(level, text) => self.say(level, text),
            Effect::ShowLog(process) => self.show_log(process),
            Effect::ShowTask(task) => self.show_task(task),
            Effect::Mark(event) => self.record.mark(self.console.elapsed(), event),
            Effect::Announce => self.announce(),
            Effect::Answer { request, answer } => self.answer(request, answer),
            Effect::Publish => self.unpublished = true,
            Effect::Finish(end) => return Some(end),
        }
        None
    }

    /// Asks a service to end, in its own way.
    fn terminate(&mut self, name: Name) {
        self.asked.insert(name, OwnTime::now());
        self.let_go(name, None);
        self.stop_other_ranks(name);
        if !self.ask_step(name) {
            self.children.signal(name, Signal::SIGTERM);
        }
    }

    /// A task of the engines' step told who it is.
    pub(super) fn engine_reported(&mut self, report: Report) -> Event {
        let placed = Event::Placed(report.clone());
        self.record.step = report.step.clone().or(self.record.step.take());
        if self.meeting.is_some() {
            self.children.follow_engine(self.plan, report.rank);
        }
        if report.rank >= self.plan.engines {
            // No task of ours: a program of the user's printed a line like it, perhaps again and again.
            return placed;
        }
        self.engine_placed(report)
    }

    /// The record tells where an engine is.
    pub(super) fn engine_placed(&mut self, report: Report) -> Event {
        let placed = Event::Placed(report.clone());
        self.record.engines.place(Engine {
            id: report.rank,
            rank: report.rank,
            node: report.node,
            pid: report.pid,
            registered_at: None,
        });
        self.unpublished = true;
        placed
    }

    pub(super) fn say(&mut self, level: Level, text: String) {
        match level {
            Level::Detail => self.console.detail(&text),
            Level::Step => self.console.step(&text),
            Level::Warning => {
                self.console.warning(&text);
                self.record.warn(text);
            }
        }
    }

    fn announce(&mut self) {
        self.console.still();
        let engines = self.plan.engines as usize - self.machine.missing_engines().len();
        let plural = if engines == 1 { "" } else { "s" };
        self.console.step(&format!(
            "ready: {engines} engine{plural}, profile {}",
            self.plan.profile.name
        ));
        let files = self.connection_files();
        self.console.below(&summary::lines(
            self.plan,
            &self.record,
            files.as_ref().map_or("", |files| files.client()),
            self.console.is_terminal(),
            self.login.as_deref(),
        ));
        let record = serde_json::to_value(&self.record).unwrap_or_default();
        for line in timeline::chart(&record, CHART_COLUMNS) {
            self.console.detail(&line);
        }
    }

    /// Starts a service's processes and the watch for its readiness.
    fn spawn(&mut self, name: Name) {
        let Some(service) = self.plan.service(name) else {
            return;
        };
        if service.ready == Readiness::Started {
            self.console.still();
        }
        if let (Name::Engines, Some(process)) = (name, &self.plan.fork)
            && self.start_forking(service, process)
        {
            return;
        }
        self.spawn_each(name);
    }

    /// Starts each of a service's processes by itself.
    pub(super) fn spawn_each(&mut self, name: Name) {
        let Some(service) = self.plan.service(name) else {
            return;
        };
        let mut given = match self.ports_of(service) {
            Ok(given) => given,
            Err(failure) => {
                return self.spawn_failed(first(name), failure);
            }
        };
        let mut pids = Vec::new();
        let here = self.processes_here(service);
        for (index, process) in (0..).zip(service.processes.iter().take(here)) {
            let id = ProcessId {
                service: name,
                index,
            };
            match self.children.spawn(service, id, process, take(&mut given)) {
                Ok(pid) => {
                    self.say(Level::Detail, format!("{id} started (pid {pid})"));
                    pids.push((index, pid));
                }
                Err(failure) => self.spawn_failed(id, failure),
            }
        }
        self.started(service, &pids);
        if name == Name::Engines {
            self.start_other_ranks();
        }
    }

    pub(super) fn spawn_failed(&self, process: ProcessId, failure: Failure) {
        let _ = self
            .sender
            .send(Notice::Event(Event::SpawnFailed { process, failure }));
    }

    /// Notes the processes in the record and begins to watch for readiness.
    pub(super) fn started(&mut self, service: &Service, pids: &[(u32, u32)]) {
        let first = pids.first().map(|(_, pid)| *pid);
        match service.ready {
            Readiness::Controller => {
                self.record.controller.pid = first;
                if let Some(pid) = first {
                    let sender = self.sender.clone();
                    let told = self.listen_to_controller();
                    let handed =
                        matches!(service.port, Some(PortNeed::Wiring { handed: true, .. }));
                    match told.filter(|_| handed) {
                        Some(told) => probes::handed::watch_start(self.plan, pid, told, sender),
                        None => probes::controller::watch_start(self.plan, pid, sender),
                    }
                }
            }
            Readiness::Engines { expected, step, .. } => {
                if step {
                    self.watch_step(service);
                } else {
                    for (index, pid) in pids {
                        let _ = self.engine_reported(Report {
                            rank: *index,
                            node: self.plan.incarnation.host.clone(),
                            pid: *pid,
                            step: self.own_step(),
                            memory: None,
                        });
                    }
                    self.watch_own_world(service);
                }
                probes::engines::watch(
                    self.plan.profile.engines_list(),
                    expected,
                    service.start_limit,
                    self.sender.clone(),
                );
            }
            Readiness::Jupyter => {
                if let (Some(pid), Some(held)) = (first, &self.children.reservation) {
                    let probe = Probe::new(self.plan, pid, held, &self.token);
                    probes::jupyter::watch_start(probe, self.sender.clone());
                }
            }
            Readiness::Started => {}
        }
        self.unpublished = true;
    }

    /// The controller is ready: from now on its processes are watched.
    pub(super) fn controller_wired(&mut self, wired: Wired) -> Event {
        let detail = format!("on {} ({} ports)", wired.address, wired.ports);
        self.keep(&wired);
        self.activity.follow(&wired);
        probes::descriptors::watch_controller(&wired, self.sender.clone());
        probes::processes::watch(wired, self.sender.clone());
        Event::Ready {
            service: Name::Controller,
            detail,
        }
    }

    /// Jupyter is ready: the record tells where.
    pub(super) fn jupyter_answers(&mut self, answer: &Answer) -> Event {
        let address = self.plan.jupyter_address;
        probes::descriptors::watch_jupyter(answer, address, self.sender.clone());
        let ip = self.plan.jupyter_address.to_string();
        let page = match &self.plan.settings.frontend {
            Frontend::Lab => "lab",
            Frontend::Notebook => "tree",
            Frontend::Server | Frontend::Program(_) => "",
        };
        let place = format!("http://{ip}:{}{}{page}", answer.port, answer.base_url);
        let token = self.token.reveal();
        self.record.url = Some(format!("{place}?token={token}"));
        self.record.token = Some(token.to_owned());
        self.record.port = Some(answer.port);
        self.record.ip = Some(ip);
        // A job's log may be read by others: the path is shown where the token is.
        let shown = place.split(&self.plan.secrets.path).next();
        Event::Ready {
            service: Name::Jupyter,
            detail: format!("at {}", shown.unwrap_or_default()),
        }
    }
}

/// The process whose log tells most about a service.
pub(super) fn first(service: Name) -> ProcessId {
    ProcessId { service, index: 0 }
}
