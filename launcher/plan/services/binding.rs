//! What engines are bound to by ipjob, and what those get that it starts itself.
//!
//! docs/design/bind.md explains the design.

use super::{Context, fork, tells_its_world};
use crate::failure::{Failure, Outcome};
use crate::plan::bind::Rule;
use crate::plan::settings::{Bind, Launcher};
use crate::plan::share::{Node, Provision, Shares};
use crate::plan::task_place::TaskPlace;
use crate::plan::threads;

/// What engines are given, and the context with it.
pub fn shares(context: Context<'_>, launcher: Launcher) -> Outcome<(Context<'_>, Shares)> {
    let (settings, here) = (context.settings, context.here);
    let threads = threads::decide(
        settings.threads,
        &here.environment,
        context.allocation,
        launcher,
        here.machine.cpus,
        context.engines,
    );
    let context = Context {
        threads: threads.rule(),
        bind: rule(&context, launcher)?,
        ..context
    };
    let shares = Shares {
        threads,
        bind: context.bind,
        are_told: context.bind.is_some() && tells_its_world(settings),
        own: provisions(&context, launcher)?,
    };
    Ok((context, shares))
}

/// The rule of `--bind`; `None` where ipjob binds nothing.
fn rule(context: &Context, launcher: Launcher) -> Outcome<Option<Rule>> {
    let rule = match context.settings.bind {
        Bind::Auto => return Ok(None),
        Bind::None => {
            let binds = binds(
                context,
                launcher,
                &["--cpu-bind", "--cpu_bind", "--gpu-bind"],
            );
            return match binds.filter(|arg| !arg.ends_with("none")) {
                Some(arg) => Err(Failure::usage(format!(
                    "--bind none and --srun-arg={arg} contradict each other"
                ))
                .hint("leave one of them out")),
                None => Ok(None),
            };
        }
        Bind::Cpu => Rule::Cpu,
        Bind::Gpu if has_own_gpus(context, launcher) => return Ok(Some(Rule::OwnGpus)),
        Bind::Gpu => Rule::Gpu,
    };
    match binds(context, launcher, &["--cpu-bind", "--cpu_bind"]) {
        Some(arg) => Err(Failure::usage(format!(
            "--bind {rule} and --srun-arg={arg} both bind engines to CPUs"
        ))
        .hint("leave one of them out")),
        None => Ok(Some(rule)),
    }
}

/// The first argument of the user's by which srun binds engines in one of these ways.
fn binds<'a>(context: &'a Context, launcher: Launcher, ways: &[&str]) -> Option<&'a String> {
    let args = &context.settings.srun_args;
    let binds = |arg: &&String| ways.iter().any(|way| arg.starts_with(way));
    args.iter()
        .find(binds)
        .filter(|_| launcher == Launcher::Srun)
}

/// Whether Slurm gives each task GPUs of its own.
fn has_own_gpus(context: &Context, launcher: Launcher) -> bool {
    let slurm = context.allocation.slurm.as_ref();
    match launcher {
        Launcher::Srun => fork::devices_of_one_task(context).is_some(),
        Launcher::Ranks => slurm.is_some_and(|slurm| slurm.gpus_of_each(context.engines).is_some()),
        Launcher::Local | Launcher::Mpiexec => false,
    }
}

/// What srun is told of it: where ipjob binds engines, or nothing shall be bound, each task has all that the step has on its node.
pub fn of_srun(context: &Context) -> Vec<String> {
    let slurm = context.allocation.slurm.as_ref();
    let shares_gpus =
        slurm.is_some_and(|slurm| slurm.has_gpus) && fork::devices_of_one_task(context).is_none();
    let (cpus, gpus) = match (context.settings.bind, context.bind) {
        (Bind::None, _) => (true, shares_gpus),
        (_, Some(Rule::Cpu | Rule::Gpu)) => (true, false),
        _ => (false, false),
    };
    let cpus = cpus.then(|| "--cpu-bind=none".to_owned());
    let gpus = gpus.then(|| "--gpu-bind=none".to_owned());
    cpus.into_iter().chain(gpus).collect()
}

/// What each engine is given that this process starts itself, in their order: all of this machine, or the first rank's.
fn provisions(context: &Context, launcher: Launcher) -> Outcome<Vec<Provision>> {
    let here = context.here;
    let of = |place: TaskPlace| {
        let node = Node {
            environment: &here.environment,
            place,
            machine: &here.machine,
        };
        Provision::of(context.threads, context.bind, &node).map_err(|why| {
            let word = context.bind.map(|rule| rule.to_string());
            cannot_bind(&word.unwrap_or_default(), &why)
        })
    };
    match launcher {
        Launcher::Local => {
            let slurm = context.allocation.slurm.as_ref();
            let host = context.allocation.nodes.first();
            let cpus = slurm
                .zip(host)
                .and_then(|(slurm, host)| slurm.cpus_on(host));
            let place = |index| TaskPlace {
                index: Some(index),
                tasks: Some(context.engines),
                cpus,
                is_bound: false,
            };
            (0..context.engines).map(|index| of(place(index))).collect()
        }
        Launcher::Ranks => {
            let place = TaskPlace {
                is_bound: here.machine.is_bound,
                ..TaskPlace::read(&here.environment)
            };
            Ok(vec![of(place)?])
        }
        Launcher::Srun | Launcher::Mpiexec => Ok(Vec::new()),
    }
}

/// An engine cannot be bound as it was asked for.
#[must_use]
pub fn cannot_bind(rule: &str, why: &str) -> Failure {
    Failure::missing(format!("--bind {rule}: {why}"))
        .hint("`ipjob doctor` shows the GPUs and CPUs of this node, and what Slurm gave to the job")
        .hint("ask Slurm for GPUs, e.g. #SBATCH --gpus-per-node=4, or leave --bind out")
}
