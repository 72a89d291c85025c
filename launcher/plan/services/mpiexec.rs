//! Engines as one mpiexec: for allocations without srun, and for sites with a starter of their own (ibrun and the like).

use super::Context;
use super::engine_command::EngineCommand;
use crate::failure::{Failure, Outcome};
use crate::plan::service::Process;

/// The one mpiexec that starts all engines. On which hosts is its own to know: MPICH's and Open MPI's read the allocation,
/// and tell their host lists in words that differ.
pub fn start(context: &Context, command: &EngineCommand) -> Outcome<Process> {
    let Some(mpiexec) = &context.here.mpiexec else {
        return Err(Failure::missing("no mpiexec was found"));
    };
    let mut args = vec!["-n".to_owned(), context.engines.to_string()];
    args.extend(context.settings.srun_args.iter().cloned());
    args.extend(command.of_task(&mpiexec.ipjob, Vec::new(), mpiexec.world));
    Ok(Process {
        program: mpiexec.program.clone(),
        args,
        log: context.profile.log_dir().join("ipjob-engines.log"),
    })
}
