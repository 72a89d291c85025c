//! Engines as one step of the Slurm job. Everything that srun could inherit is said explicitly.
//!
//! docs/design/engines-in-slurm.md explains the design.

use super::engine_command::{EngineCommand, forked_by};
use super::{Context, binding};
use crate::failure::{Failure, Outcome};
use crate::plan::World;
use crate::plan::service::Process;
use crate::plan::slurm::Slurm;
use std::path::Path;

/// The name of the step, as `squeue -s` shows it.
pub const STEP_NAME: &str = "ipjob-engines";

/// The one srun that starts all engines, which on each node are forked by this Python.
pub fn step(context: &Context, command: &EngineCommand, python: Option<&Path>) -> Outcome<Process> {
    let (Some(slurm), Some(srun)) = (&context.allocation.slurm, &context.here.srun) else {
        return Err(
            Failure::usage("--launcher srun works only inside a Slurm job")
                .hint("submit a batch script that runs ipjob, or use --launcher local"),
        );
    };
    check_room(context, slurm)?;
    let mut args = shared(slurm);
    args.push(format!("--job-name={STEP_NAME}"));
    args.extend(size(context, slurm)?);
    args.extend(of_world(&srun.mpi));
    args.extend(binding::of_srun(context));
    args.extend(context.settings.srun_args.iter().cloned());
    let in_world = srun.mpi != World::None;
    args.extend(command.of_task(&srun.ipjob, forked_by(python), in_world));
    Ok(Process {
        program: srun.program.clone(),
        args,
        log: context.profile.log_dir().join("ipjob-engines.log"),
    })
}

/// Refuses more engines than fit, unless srun is told to put several on one CPU.
fn check_room(context: &Context, slurm: &Slurm) -> Outcome<()> {
    let is_said = context
        .settings
        .srun_args
        .iter()
        .any(|arg| overcommits(arg));
    // `#SBATCH --overcommit` sets it, and srun takes it from there.
    let is_set = |(name, value): &(String, String)| name == "SLURM_OVERCOMMIT" && !value.is_empty();
    let overcommits = is_said || context.here.environment.iter().any(is_set);
    let room = slurm.room().filter(|room| *room < context.engines);
    let Some(room) = room.filter(|_| !overcommits) else {
        return Ok(());
    };
    Err(Failure::usage(format!(
        "-n {} asks for more engines than the job has room for: it has {room} CPUs",
        context.engines
    ))
    .hint(format!("-n {room} is the most here; --srun-arg=--overcommit starts several on each CPU"))
    .hint("to have more, ask for more CPUs when the job starts: cores or nodes in a hub's form, #SBATCH --ntasks or --cpus-per-task in a batch script"))
}

/// Whether this argument of srun's is `--overcommit`, also shortened, or `-O`, also joined to others that take no value (`-lO`).
fn overcommits(arg: &str) -> bool {
    match arg.strip_prefix("--") {
        Some(name) => name.len() >= "overc".len() && "overcommit".starts_with(name),
        None => arg.strip_prefix('-').is_some_and(|letters| {
            let rest = letters.trim_start_matches(['E', 'H', 'l', 'Q', 'u', 'v', 'X', 'Z']);
            rest.starts_with('O')
        }),
    }
}

/// What every step of engines is told.
#[must_use]
pub fn shared(slurm: &Slurm) -> Vec<String> {
    let from_outside = slurm
        .from_outside
        .then(|| format!("--jobid={}", slurm.job.number()));
    let always = [
        // Beside whatever else runs in the job, and beside the step that we may be in ourselves.
        "--overlap",
        // `sbatch --export=NONE` would otherwise give every step an empty environment.
        "--export=ALL",
        "--distribution=block",
        // Every line of the log that a task wrote carries its rank: what a nested srun says is not this one's word.
        "--label",
    ];
    let always = always.map(str::to_owned);
    always.into_iter().chain(from_outside).collect()
}

/// Whether the tasks are one MPI world, and what the end of one means to the others.
pub(super) fn of_world(world: &World) -> Vec<String> {
    let words = match world {
        // The others live on when one dies, or its node.
        World::None => vec!["--mpi=none", "--kill-on-bad-exit=0", "--no-kill"],
        // The other ranks of an MPI world would hang for ever.
        World::Default => vec!["--kill-on-bad-exit=1"],
        World::Type(name) => {
            let mpi = format!("--mpi={name}");
            return vec![mpi, "--kill-on-bad-exit=1".to_owned()];
        }
    };
    words.into_iter().map(str::to_owned).collect()
}

/// What each task gets: newer Slurm no longer hands these on from the job to its steps.
pub(super) fn of_each_task(context: &Context, slurm: &Slurm) -> Vec<String> {
    let cpus = slurm.cpus_of_each(context.engines);
    let gpus = slurm.gpus_of_each(context.engines);
    let cpus = cpus.map(|n| format!("--cpus-per-task={n}"));
    cpus.into_iter()
        .chain(gpus.map(|gpus| format!("--gpus-per-task={gpus}")))
        .collect()
}

/// The size of the step, and what each task gets.
fn size(context: &Context, slurm: &Slurm) -> Outcome<Vec<String>> {
    let engines = context.engines;
    let nodes = match slurm.components.as_slice() {
        [] => &slurm.nodes,
        [component] => &component.nodes,
        // srun takes each component whole; what it were told here would hold for every one of them.
        _ if Some(engines) == slurm.tasks => return Ok(Vec::new()),
        _ => {
            return Err(Failure::usage(format!(
                "-n {engines} differs from the {} tasks of the components that --het-group names",
                slurm.tasks.unwrap_or_default()
            ))
            .hint("leave -n out: a step over several components has an engine for each of their tasks"));
        }
    };
    let mut args = vec![
        format!("--nodes={}", nodes.len().min(engines as usize)),
        format!("--ntasks={engines}"),
    ];
    if slurm.components.is_empty() {
        args.extend(tasks_per_node(context, slurm));
        args.extend(of_each_task(context, slurm));
    }
    Ok(args)
}

/// How many tasks a node gets, where the job said so and all its tasks become engines: left to itself, srun packs the first
/// nodes full.
fn tasks_per_node(context: &Context, slurm: &Slurm) -> Option<String> {
    let number = slurm.tasks_per_node?;
    (Some(context.engines) == slurm.tasks).then(|| format!("--ntasks-per-node={number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sruns_forms_of_overcommit_are_known() {
        for (arg, is_it) in [
            ("--overcommit", true),
            ("--overc", true),
            ("--over", false),
            ("--overlap", false),
            ("-O", true),
            ("-vlO", true),
            ("-Ov", true),
            ("-JO", false),
            ("O", false),
        ] {
            assert_eq!(overcommits(arg), is_it, "{arg}");
        }
    }
}
