//! The engines' steps: how they are asked to end, and how engines start again, each as a step of its own or all together.
//!
//! scancel tells a step's tasks, by way of Slurm's controller; while that is down scancel hangs, and a killed srun, which needs the
//! controller too, would leave the tasks of the other nodes running. SIGUSR1 is what srun itself hands to its tasks, from node to node,
//! and what ends an engine.
//!
//! docs/design/restart.md explains the design.

use super::children::Given;
use super::event::{Event, Exit, Level};
use super::notice::Notice;
use super::{Supervisor, probes, timers};
use crate::failure::Failure;
use crate::plan::name::{Name, Unit};
use crate::plan::service::{Asking, Process, Service};
use crate::plan::services::{Before, Succession};
use crate::plan::settings::Launcher;
use crate::plan::task_lines::Report;
use crate::record::OrNull;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::mem;
use std::process::{Command, Stdio};
use tokio::task::JoinHandle;

/// What is known of the engines' steps beside what the record tells of the first.
#[derive(Debug, Default)]
pub(super) struct EngineSteps {
    /// The steps of engines that were started again, by their ids.
    own: BTreeMap<u32, String>,
    /// What follows each of them.
    watches: BTreeMap<u32, JoinHandle<()>>,
    /// What follows the first.
    first_watch: Option<JoinHandle<()>>,
    /// The scancel that asks the steps to end, until it has done so.
    scancel: Option<u32>,
}

impl EngineSteps {
    /// The step of an engine that was started again, once it is known.
    pub fn of(&self, engine: u32) -> Option<&str> {
        self.own.get(&engine).map(String::as_str)
    }

    /// An engine that was started again told its step.
    pub fn know(&mut self, engine: u32, step: String) {
        self.own.insert(engine, step);
    }

    /// An engine starts again: its step before is gone.
    pub fn forget(&mut self, engine: u32) {
        self.own.remove(&engine);
    }

    /// An engine's step is followed, in the place of the one before.
    pub fn follow(&mut self, engine: u32, watch: JoinHandle<()>) {
        if let Some(before) = self.watches.insert(engine, watch) {
            before.abort();
        }
    }

    /// All engines start again as one step. What follows the ones before would read the lines of the next as well.
    pub fn forget_all(&mut self) {
        self.own.clear();
        let own = mem::take(&mut self.watches).into_values();
        own.chain(self.first_watch.take())
            .for_each(|watch| watch.abort());
    }

    /// A child has ended: if it was scancel, and it did what it was asked for, nothing more is to be done. Where it fails, Slurm
    /// may be ending the job, and has asked the tasks itself.
    pub fn scancel_ended(&mut self, pid: u32, exit: &Exit) {
        if self.scancel == Some(pid) && *exit == Exit::Code(0) {
            self.scancel = None;
        }
    }
}

impl Supervisor<'_> {
    /// The number of the Slurm job among whose steps that of the engines is to be found; `None` where there is none, or where it is spread over
    /// the components of a heterogeneous job.
    pub(super) fn job_of_the_step(&self) -> Option<String> {
        let slurm = self.plan.allocation.slurm.as_ref()?;
        let is_one = self.plan.launcher == Launcher::Srun && slurm.components.is_empty();
        is_one.then(|| slurm.job.number().to_owned())
    }

    /// Follows what the engines' step tells in its log.
    pub(super) fn watch_step(&mut self, service: &Service) {
        if let Some(log) = self.children.log(Unit::EngineGroup) {
            let watch = probes::srun_log::watch(
                log.clone(),
                self.job_of_the_step(),
                probes::srun_log::Expected {
                    tasks: self.plan.engines,
                    world: self.plan.world.is_some(),
                    limit: service.start_limit,
                },
                self.sender.clone(),
            );
            self.steps.first_watch = Some(watch);
        }
    }

    /// Has scancel ask the step of this service to end; false where there is no scancel to ask.
    pub(super) fn ask_step(&mut self, name: Name) -> bool {
        let Some(service) = self.plan.service(name) else {
            return false;
        };
        let Asking::Scancel(scancel) = &service.asking else {
            return false;
        };
        let steps = self.living_steps();
        if steps.known.is_empty() {
            return false;
        }
        self.end_unknown(&steps.unknown);
        let asked = Command::new(scancel)
            .arg("--signal=TERM")
            .args(&steps.known)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        // Like every child it is reaped in signals.rs.
        let Ok(child) = asked else {
            return false;
        };
        self.steps.scancel = Some(child.id());
        timers::once(
            service.stop_limit / 3,
            Notice::ScancelIsLate,
            self.sender.clone(),
        );
        true
    }

    /// scancel has not reached the engines in time. A Slurm that is ending the job has asked them itself, and refuses to do so again.
    pub(super) fn ask_by_srun(&mut self) {
        if self.steps.scancel.take().is_some()
            && !self.clock.slurm_is_ending()
            && self.children.signal(Name::Engines, Signal::SIGUSR1)
        {
            self.console
                .step("scancel does not reach the engines: ending them through srun");
        }
    }
}

/// Steps of the engines, as those who are asked to end are found.
#[derive(Debug, Default)]
pub(super) struct LivingSteps {
    /// Those that scancel reaches, as Slurm knows them.
    pub known: Vec<String>,
    /// Those whose number is not known yet, by their srun.
    pub unknown: Vec<Unit>,
}

/// Engines of a step that start again: each as a step of its own, or all together. No decision is made here.
impl Supervisor<'_> {
    /// Starts one engine of the step again, on its node.
    pub(super) fn replace_by_step(&mut self, engine: u32) {
        let id = Unit::Engine(engine);
        let Some(service) = self.plan.service(Name::Engines) else {
            return;
        };
        self.publisher.edit().count_restart(Name::Engines);
        self.steps.forget(engine);
        let started = self
            .step_of_one(engine)
            .and_then(|process| self.children.spawn(service, id, &process, Given::default()));
        let pid = match started {
            Ok(pid) => pid,
            Err(failure) => return self.spawn_failed(id, failure),
        };
        self.say(
            Level::Detail,
            format!("{id} restarted (pid {pid} is its srun)"),
        );
        if let Some(log) = self.children.log(id) {
            let sender = self.sender.clone();
            let watch = probes::srun_log::watch_own(log.clone(), pid, engine, sender);
            self.steps.follow(engine, watch);
        }
    }

    /// The srun that starts one engine again where it was before.
    fn step_of_one(&self, engine: u32) -> Result<Process, Failure> {
        let place = self.machine.place_of(engine);
        let (Some(replacement), Some(place)) = (&self.plan.replacement, place) else {
            let text = format!("engine {engine} never reported where it ran");
            return Err(Failure::service(text));
        };
        let who = Succession {
            id: engine,
            local: self.machine.neighbours_below(engine),
            tasks: self.machine.engines_beside(engine),
            before: Before {
                pid: place.pid,
                step: place.step.clone().unwrap_or_default(),
            },
        };
        Ok(replacement.process(&self.plan.profile, &place.node, &who))
    }

    /// An engine that was started again told who it is, while its srun, of this process id, runs.
    pub(super) fn engine_is_back(&mut self, srun: u32, report: Report) -> Option<Event> {
        if !self.children.runs(Name::Engines, srun) {
            return None;
        }
        if let Some(step) = &report.step {
            self.steps.know(report.rank, step.clone());
        }
        Some(self.engine_placed(report))
    }

    /// Starts all engines again, as the one step or under the one mpiexec that they were before.
    pub(super) fn restart_set(&mut self) {
        let Some((service, process)) = self
            .plan
            .service(Name::Engines)
            .and_then(|service| Some((service, service.processes.first()?)))
        else {
            return;
        };
        self.publisher.edit().count_restart(Name::Engines);
        self.steps.forget_all();
        self.hub.forget_all();
        self.children.forget_logs_of_engines();
        self.publisher.edit().step = OrNull::default();
        let id = Unit::EngineGroup;
        match self.children.spawn(service, id, process, Given::default()) {
            Ok(pid) => {
                self.say(Level::Detail, format!("the engines restarted (pid {pid})"));
                self.watch_step(service);
            }
            Err(failure) => self.spawn_failed(id, failure),
        }
    }

    /// The steps that scancel can ask, of the sruns that run.
    pub(super) fn living_steps(&self) -> LivingSteps {
        let mut steps = LivingSteps::default();
        for process in self.children.of(Name::Engines) {
            match process.engine() {
                Some(engine) => match self.steps.of(engine) {
                    Some(step) => steps.known.push(step.to_owned()),
                    None => steps.unknown.push(process),
                },
                None => match self.publisher.record().step.as_deref() {
                    Some(step) => {
                        let slurm = self.plan.allocation.slurm.as_ref();
                        let ids = slurm.map_or_else(Vec::new, |slurm| slurm.steps(step));
                        steps.known.extend(ids);
                    }
                    None => steps.unknown.push(process),
                },
            }
        }
        steps
    }

    /// Has Slurm kill all steps of the engines, also on nodes where the end of their srun is not heard. It is not waited for: the hub's list
    /// tells.
    pub(super) fn end_steps(&mut self) {
        let asking = self
            .plan
            .service(Name::Engines)
            .map(|service| &service.asking);
        let (Some(Asking::Scancel(scancel)), true) = (asking, self.tenure.is_ours()) else {
            return;
        };
        let slurm = self.plan.allocation.slurm.as_ref();
        let first = self.publisher.record().step.as_deref();
        let first = first.zip(slurm).map(|(step, slurm)| slurm.steps(step));
        let own = self.steps.own.values().cloned();
        let steps: Vec<String> = first.into_iter().flatten().chain(own).collect();
        if steps.is_empty() {
            return;
        }
        // Like every child it is reaped in signals.rs.
        let _ = Command::new(scancel)
            .arg("--signal=KILL")
            .args(steps)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
    }

    /// Ends sruns that have no step to be asked: what they are just starting has nothing in its memory.
    pub(super) fn end_unknown(&self, sruns: &[Unit]) {
        for srun in sruns {
            self.children.signal_one(*srun, Signal::SIGTERM);
        }
    }
}
