//! Asking the engines' step to end. scancel tells its tasks, by way of Slurm's controller; while that is down scancel hangs, and a
//! killed srun, which needs the controller too, would leave the tasks of the other nodes running. SIGUSR1 is what srun itself
//! hands to its tasks, from node to node, and what ends an engine.

use super::Supervisor;
use super::event::Exit;
use super::notice::Notice;
use super::{probes, timers};
use crate::plan::name::{Name, Unit};
use crate::plan::service::{Asking, Service};
use crate::plan::settings::Launcher;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
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

    /// What follows the first step would read the lines of the next as well.
    pub fn unfollow_the_first(&mut self) {
        if let Some(watch) = self.first_watch.take() {
            watch.abort();
        }
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
    /// The name of the Slurm job among whose steps that of the engines is to be found; `None` where there is none, or where it is spread over
    /// the components of a heterogeneous job.
    pub(super) fn job_of_the_step(&self) -> Option<String> {
        let slurm = self.plan.allocation.slurm.as_ref()?;
        let is_one = self.plan.launcher == Launcher::Srun && slurm.components.is_empty();
        is_one.then(|| slurm.job.name().to_owned())
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
            service.stop_limit / 2,
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
