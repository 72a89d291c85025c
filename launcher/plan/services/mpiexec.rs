//! Engines as one mpiexec: for allocations without srun, and for sites with a starter of their own (ibrun and the like).

use super::{Context, engines};
use crate::failure::{Failure, Outcome};
use crate::plan::service::Process;

/// The one mpiexec that starts all engines. On which hosts is its own to know: MPICH's and Open MPI's read the allocation,
/// and tell their host lists in words that differ.
pub fn start(context: &Context) -> Outcome<Process> {
    let Some(mpiexec) = &context.here.mpiexec else {
        return Err(Failure::missing("no mpiexec was found"));
    };
    let mut args = vec!["-n".to_owned(), context.engines.to_string()];
    args.extend(context.settings.srun_args.iter().cloned());
    args.push(mpiexec.ipjob.display().to_string());
    args.extend(engines::task(context, None));
    args.extend(context.settings.engine_wrapper.iter().cloned());
    args.push(context.here.ipengine.display().to_string());
    args.extend(engines::arguments(context, false));
    if mpiexec.world {
        args.extend(engines::in_a_world(context));
    }
    Ok(Process {
        program: mpiexec.program.clone(),
        args,
        log: context.profile.log_dir().join("ipjob-engines.log"),
    })
}
