//! Carrying out what the machine says. No decision is made here: what turns out otherwise than it was meant goes back as an event.

use super::children::{TAIL_LINES, write_carried};
use super::event::{Effect, End, Event, Level, Look, Timer};
use super::notice::{Answer, Notice, Wired};
use super::probes::jupyter::Probe;
use super::probes::{self, TOTAL};
use super::{Supervisor, sweep, timers};
use crate::failure::Failure;
use crate::here::os::time_limited::{LOOK, within};
use crate::plan::name::{Name, Unit};
use crate::plan::service::{PortNeed, Readiness, Service};
use crate::plan::settings::Frontend;
use crate::plan::task_lines::{Report, Sight, Unbound};
use crate::record::{Address, Engine, OrNull, PageUrl, Text, Token};
use crate::report::{output, summary, timeline};
use nix::sys::signal::Signal;
use std::mem::take;
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;

/// Columns of the start's chart that -v shows, behind the time that stands before every line.
const CHART_COLUMNS: usize = 70;

/// What the record tells of a share.
fn told(what: Option<&impl ToString>) -> OrNull<Text> {
    what.map(|what| Text::ours(what.to_string())).into()
}

impl Supervisor<'_> {
    /// Carries out one effect; tells the end when it was the last.
    pub(super) fn carry_out(&mut self, effect: Effect) -> Option<End> {
        match effect {
            Effect::Start { unit, again } => {
                match again.then(|| self.outage.look(self.plan)).flatten() {
                    Some(why) => self.put_on_hold(unit, why),
                    None => self.start(unit, again),
                }
            }
            Effect::EndSteps => self.end_steps(),
            Effect::TellHub(ended) => self.tell_the_hub(&ended),
            Effect::GiveUp(unit) => self.give_up(unit),
            Effect::Ask(unit) if self.tenure.is_ours() => self.ask(unit),
            // Asked to end, a superseded life's services would remove files that are the newer one's: the machine, which hears of
            // that one, has them killed.
            Effect::Ask(_) => {}
            Effect::Kill(unit) => {
                self.kill_other_ranks(unit);
                self.children.kill(unit);
            }
            Effect::Sweep { service, limit } => {
                let asked = service.and_then(|name| self.children.asked(name));
                sweep::start(
                    self.plan.incarnation.id.clone(),
                    service,
                    limit.map(|limit| sweep::grace(limit, asked)),
                    self.sender.clone(),
                );
            }
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
            Effect::Look(Look::Progress { unit, generation }) => {
                self.look_for_progress(unit, generation);
            }
            Effect::Look(Look::Survivors { service, then }) => self.say_what_lives(service, then),
            Effect::Look(Look::Preemption) => self.ask_for_preemption(),
            Effect::Look(Look::Use) => self.look_for_use(),
            Effect::Say(level, text) => self.say(level, text),
            Effect::ShowLog(unit) => self.show_log(unit),
            Effect::Mark(event) => self.publisher.edit().mark(self.console.elapsed(), event),
            Effect::Announce => self.announce(),
            Effect::Answer { request, answer } => self.answer(request, answer),
            Effect::Finish(end) => return Some(end),
        }
        None
    }

    /// Asks a unit to end, in its own way.
    fn ask(&mut self, unit: Unit) {
        let name = unit.service();
        self.children.note_asked(name);
        self.stop_other_ranks(unit);
        if !self.ask_step(name) {
            self.children.signal(name, Signal::SIGTERM);
        }
    }

    /// A task of the engines' step told who it is.
    pub(super) fn engine_reported(&mut self, report: Report) -> Event {
        let placed = Event::Placed(report.clone());
        let record = self.publisher.edit();
        if let Some(step) = &report.step {
            record.step = Text::ours(step).into();
        }
        if self.meeting.is_some() {
            self.children.follow_engine(self.plan, report.rank);
        }
        if report.rank >= self.plan.engines {
            // No task of ours: a program of the user's printed a line like it, perhaps again and again.
            return placed;
        }
        self.watch_sight(report.rank);
        self.engine_placed(report)
    }

    /// Has an engine that has a log of its own be heard, where it tells what it is bound to.
    fn watch_sight(&self, engine: u32) {
        let is_step =
            |service: &Service| matches!(service.ready, Readiness::Engines { step: true, .. });
        let service = self.plan.service(Name::Engines);
        if let (true, Some(service)) = (
            self.plan.shares.are_told,
            service.filter(|one| !is_step(one)),
        ) && let Some(log) = self.children.log(Unit::Engine(engine))
        {
            let (log, limit) = (log.clone(), service.start_limit);
            probes::ranks::watch_sight(log, engine, limit, self.sender.clone());
        }
    }

    /// The record tells where an engine is.
    pub(super) fn engine_placed(&mut self, report: Report) -> Event {
        let placed = Event::Placed(report.clone());
        self.publisher.edit().engines.place(Engine {
            id: report.rank,
            rank: report.rank,
            node: Text::ours(report.node),
            pid: report.pid,
            registered_at: OrNull::default(),
            threads: report.share.threads.into(),
            cpus: told(report.share.cpus.as_ref()),
            gpus: told(report.share.gpus.as_ref()),
            confirmed: OrNull::default(),
        });
        placed
    }

    /// An engine told what it sees of its node: what it was bound to, or else that is said.
    pub(super) fn engine_sees(&mut self, sight: &Sight) -> Option<End> {
        let engines = &self.publisher.record().engines;
        let engine = match sight.task {
            Some(task) => engines.get(task),
            None => engines.list.iter().find(|engine| engine.pid == sight.pid),
        };
        let engine = engine.filter(|engine| engine.pid == sight.pid)?;
        let share = engine.share();
        // Where nothing was given it has nothing to confirm.
        if share.cpus.is_none() && share.gpus.is_none() {
            return None;
        }
        let (id, node) = (engine.id, engine.node.to_string());
        let differs = sight.differs(&share);
        let known = self.publisher.edit().engines.confirm(id, differs.is_none());
        if let Some(differs) = differs.filter(|_| !known) {
            let text = format!(
                "engine {id} on {node} is not bound as it should be: it {differs}; does a wrapper, or a module that its Python imports, change that?"
            );
            self.say(Level::Warning, text);
        }
        None
    }

    /// A task told why it is bound to no CPUs.
    pub(super) fn say_unbound(&mut self, told: &Unbound) -> Option<End> {
        self.say(Level::Warning, told.to_string());
        None
    }

    pub(super) fn say(&mut self, level: Level, text: String) {
        match level {
            Level::Detail => self.console.detail(&text),
            Level::Step => self.console.step(&text),
            Level::Warning => {
                self.console.warning(&text);
                self.publisher.edit().warn(text);
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
        let front = self.front.as_mut();
        let watched = match &front {
            Some(_) => output::is_watched(),
            None => self.console.is_terminal(),
        };
        let lines = summary::lines(
            self.plan,
            self.publisher.record(),
            files.as_ref().map_or("", |files| files.client()),
            watched,
            self.publisher.login(),
        );
        match front {
            Some(front) => front.announce(lines),
            None => self.console.below(&lines),
        }
        for line in timeline::chart(self.publisher.record(), CHART_COLUMNS) {
            self.console.detail(&line);
        }
        self.look_for_imports();
    }

    /// Starts a unit's processes and the watch for its readiness.
    fn start(&mut self, unit: Unit, again: bool) {
        let name = unit.service();
        let Some(service) = self.plan.service(name) else {
            return;
        };
        if again {
            return match unit {
                Unit::Engine(id) => self.replace(id),
                Unit::EngineGroup => self.restart_set(),
                _ => self.restart(unit),
            };
        }
        if let Err(failure) = write_carried(service) {
            return self.spawn_failed(unit, failure);
        }
        if service.ready == Readiness::Started {
            self.console.still();
        }
        if let (Name::Engines, Some(process)) = (name, &self.plan.fork)
            && !self.children.gave_up
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
                return self.spawn_failed(Unit::from(name), failure);
            }
        };
        let mut pids = Vec::new();
        let here = self.processes_here(service);
        if name == Name::Engines && self.plan.fork.is_some() {
            self.start_unforked((0..).take(here));
        }
        for (index, process) in (0..).zip(service.processes.iter().take(here)) {
            let id = service.unit(index);
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

    pub(super) fn spawn_failed(&self, unit: Unit, failure: Failure) {
        let _ = self
            .sender
            .send(Notice::Event(Event::SpawnFailed { unit, failure }));
    }

    /// Notes the processes in the record and begins to watch for readiness.
    pub(super) fn started(&mut self, service: &Service, pids: &[(u32, u32)]) {
        let first = pids.first().map(|(_, pid)| *pid);
        match service.ready {
            Readiness::Controller => {
                self.publisher.edit().controller.pid = first.into();
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
                            share: self.plan.shares.of(*index),
                        });
                    }
                    self.watch_own_world(service);
                }
                probes::watch_engines(
                    self.plan.profile.engines_list(),
                    expected,
                    service.start_limit,
                    Arc::clone(&self.hub.listed),
                    self.sender.clone(),
                );
            }
            Readiness::Jupyter => {
                if let (Some(pid), Some(held)) = (first, &self.children.reservation) {
                    let probe = Probe::new(self.plan, pid, held, self.kept.token());
                    probes::jupyter::watch_start(probe, self.sender.clone());
                }
            }
            Readiness::Started => {}
        }
        self.publisher.touch();
    }

    /// The controller is ready: from now on its processes are watched.
    pub(super) fn controller_wired(&mut self, wired: Wired) -> Event {
        let detail = format!("on {} ({} ports)", wired.address, wired.ports);
        self.keep(&wired);
        self.activity.follow(&wired);
        probes::descriptors::watch_controller(&wired, self.sender.clone());
        probes::controller::watch(wired, self.sender.clone());
        Event::Ready {
            service: Name::Controller,
            detail,
        }
    }

    /// Jupyter is ready: the record tells where.
    pub(super) fn jupyter_answers(&mut self, answer: &Answer) -> Event {
        let ip = self.plan.jupyter_address;
        probes::descriptors::watch_jupyter(answer, ip, self.sender.clone());
        let page = match &self.plan.settings.frontend {
            Frontend::Lab => "lab",
            Frontend::Notebook => "tree",
            Frontend::Server | Frontend::Program(_) => "",
        };
        let place = format!("http://{ip}:{}{}{page}", answer.port, answer.base_url);
        let token = self.kept.token().reveal();
        let shut = self.kept.shut;
        let record = self.publisher.edit();
        if !shut {
            record.url = PageUrl::ours(format!("{place}?token={token}")).into();
            record.token = Token::ours(token).into();
        }
        record.port = NonZeroU16::new(answer.port).into();
        record.ip = Address(ip.into()).into();
        // A job's log may be read by others: the path is shown where the token is.
        let shown = place.split(&self.plan.secrets.path).next();
        Event::Ready {
            service: Name::Jupyter,
            detail: format!("at {}", shown.unwrap_or_default()),
        }
    }

    /// Says that the middle of a log was left out.
    pub(super) fn say_cut(&mut self, log: &Path) {
        self.say(
            Level::Warning,
            format!(
                "{} has grown too long, so its middle is cut out, now and whenever it does again: the logs of a job may have {} MiB together, or 1 MiB each if that is more",
                log.display(),
                TOTAL >> 20
            ),
        );
    }

    /// The last lines of a unit's log; of a task that has none its lines in the log of the step.
    fn show_log(&self, unit: Unit) {
        if let (Unit::Engine(task), None) = (unit, self.children.log(unit)) {
            return self.show_task(task);
        }
        if let Some(name) = self.children.log_name(unit) {
            self.console
                .log_lines(&name, &self.children.tail(unit, TAIL_LINES));
        }
    }

    /// The lines of one task in the log of the step, or of all where it wrote none.
    fn show_task(&self, task: u32) {
        let step = Unit::EngineGroup;
        let Some(log) = self.children.log(step).cloned() else {
            return;
        };
        let name = format!("task {task} in {}", log.path.display());
        let own = within(LOOK, move || log.labelled(&format!("{task}: "), TAIL_LINES));
        let own = self.children.without_secrets(own.unwrap_or_default());
        if own.is_empty() {
            return self.show_log(step);
        }
        self.console.log_lines(&name, &own);
    }
}
