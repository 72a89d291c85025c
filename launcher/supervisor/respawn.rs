//! Engines of a step that start again: each as a step of its own, or all together. No decision is made here.
//!
//! docs/design/restart.md explains the design.

use super::children::Given;
use super::event::{Event, Level};
use super::{Supervisor, probes};
use crate::failure::Failure;
use crate::plan::name::{Name, Unit};
use crate::plan::service::{Asking, Process};
use crate::plan::services::{Before, Succession};
use crate::plan::task_lines::Report;
use crate::record::OrNull;
use nix::sys::signal::Signal;
use std::process::{Command, Stdio};

/// Steps of the engines, as those who are asked to end are found.
#[derive(Debug, Default)]
pub(super) struct LivingSteps {
    /// Those that scancel reaches, as Slurm knows them.
    pub known: Vec<String>,
    /// Those whose number is not known yet, by their srun.
    pub unknown: Vec<Unit>,
}

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
            format!("{id} started again (pid {pid} is its srun)"),
        );
        if let Some(log) = self.children.log(id) {
            let sender = self.sender.clone();
            let watch = probes::respawn::watch(log.clone(), pid, engine, sender);
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
        // What watched the set before would read the lines of the new one as well.
        self.steps.unfollow_the_first();
        self.children.forget_logs_of_engines();
        self.publisher.edit().step = OrNull::default();
        let id = Unit::EngineGroup;
        match self.children.spawn(service, id, process, Given::default()) {
            Ok(pid) => {
                self.say(
                    Level::Detail,
                    format!("the engines started again (pid {pid})"),
                );
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

    /// Has Slurm kill the step, also on nodes where its srun's end is not heard. It is not waited for: the hub's list tells.
    pub(super) fn end_step(&mut self) {
        let asking = self
            .plan
            .service(Name::Engines)
            .map(|service| &service.asking);
        let step = (*self.publisher.record().step).clone();
        let step = step.filter(|_| self.tenure.is_ours());
        let (Some(Asking::Scancel(scancel)), Some(step)) = (asking, step) else {
            return;
        };
        let slurm = self.plan.allocation.slurm.as_ref();
        // Like every child it is reaped in signals.rs.
        let _ = Command::new(scancel)
            .arg("--signal=KILL")
            .args(slurm.map_or_else(Vec::new, |slurm| slurm.steps(&step)))
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
