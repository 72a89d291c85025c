//! Engines as one mpiexec: for allocations without srun, and for sites with a starter of their own (ibrun and the like).

use super::engine_command::{EngineCommand, forked_by};
use super::{Context, srun_variables};
use crate::failure::{Failure, Outcome};
use crate::plan::service::{Environment, Process};
use crate::plan::slurm::Slurm;
use crate::plan::text::Text;
use std::path::Path;

/// Tells mpiexec by the variables of Slurm, which MPICH's and Open MPI's read alike, where the engines go, and keeps from the srun by
/// which it reaches other nodes what would keep that from them.
pub fn shape(context: &Context, environment: &mut Environment) {
    // Handed on to all nodes, it is the name of this one.
    environment.dropped.push("SLURMD_NODENAME".to_owned());
    let Some(slurm) = &context.allocation.slurm else {
        return;
    };
    let mut set = |name: &str, text: String| {
        environment.set.insert(name.to_owned(), Text::Plain(text));
    };
    set("SLURM_EXPORT_ENV", "ALL".to_owned());
    // In a step that has the job's CPUs its srun would wait for their end.
    set("SLURM_OVERLAP", "1".to_owned());
    for (name, text) in size(slurm, context.engines) {
        set(name, text);
    }
    let left = srun_variables::dropped(&context.here.environment, Some(slurm));
    let told = |name: &String| environment.set.contains_key(name);
    let left: Vec<String> = left.into_iter().filter(|name| !told(name)).collect();
    environment.dropped.extend(left);
}

/// The variables of a job that has these engines as its tasks.
fn size(slurm: &Slurm, engines: u32) -> [(&'static str, String); 7] {
    let counts = slurm.spread(engines);
    let used = slurm
        .nodes
        .iter()
        .zip(counts)
        .filter(|(_, count)| *count > 0);
    let (nodes, counts): (Vec<&str>, Vec<String>) = used
        .map(|(node, count)| (node.as_str(), count.to_string()))
        .unzip();
    let (list, number) = (nodes.join(","), nodes.len().to_string());
    [
        ("SLURM_JOB_NODELIST", list.clone()),
        ("SLURM_NODELIST", list),
        ("SLURM_JOB_NUM_NODES", number.clone()),
        ("SLURM_NNODES", number),
        ("SLURM_NTASKS", engines.to_string()),
        ("SLURM_NPROCS", engines.to_string()),
        ("SLURM_TASKS_PER_NODE", counts.join(",")),
    ]
}

/// The one mpiexec that starts all engines, which on each node are forked by this Python.
pub fn start(
    context: &Context,
    command: &EngineCommand,
    python: Option<&Path>,
) -> Outcome<Process> {
    let Some(mpiexec) = &context.here.mpiexec else {
        return Err(Failure::missing("no mpiexec was found"));
    };
    let mut args = vec!["-n".to_owned(), context.engines.to_string()];
    args.extend(context.settings.srun_args.iter().cloned());
    args.extend(command.of_task(&mpiexec.ipjob, forked_by(python), mpiexec.world));
    Ok(Process {
        program: mpiexec.program.clone(),
        args,
        log: context.profile.log_dir().join("ipjob-engines.log"),
    })
}
