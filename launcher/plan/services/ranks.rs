//! Engines as the ranks that ipjob itself was started as: each starts its own, by one order.

use super::Context;
use super::engine_command::EngineCommand;
use crate::failure::{Failure, Outcome};
use crate::plan::name::Name;
use crate::plan::rendezvous::{LEADER_FIRST, Order};
use crate::plan::service::Environment;
use crate::plan::settings::Mpi;
use std::path::PathBuf;

/// How every rank starts its engine.
pub fn order(
    context: &Context,
    environment: &Environment,
    command: &EngineCommand,
) -> Outcome<Order> {
    let Some(ranks) = &context.here.ranks else {
        return Err(not_ranks());
    };
    if context.engines != ranks.size {
        return Err(Failure::usage(format!(
            "-n {} does not match the {} ranks of ipjob: each becomes one engine",
            context.engines, ranks.size
        ))
        .hint("leave -n out, or give it to srun or mpiexec"));
    }
    let mut words = command.words(ranks.world);
    let program = PathBuf::from(words.remove(0));
    Ok(Order {
        program,
        args: words,
        world: ranks.world,
        keeps_mpi: context.settings.mpi != Mpi::Off,
        set: environment
            .set
            .iter()
            .map(|(name, text)| (name.clone(), text.reveal().to_owned()))
            .collect(),
        threads: context.threads,
        bind: context.bind,
        log_dir: context.profile.log_dir(),
        leader_first: context.stop_limit(Name::Jupyter).max(LEADER_FIRST),
        stop_limit: context.stop_limit(Name::Engines),
    })
}

/// What `--launcher ranks` meets when ipjob was started once.
#[must_use]
pub fn not_ranks() -> Failure {
    Failure::usage("--launcher ranks, but only one ipjob was started here")
        .hint("start it as several ranks: `srun -n N ipjob ...` or `mpiexec -n N ipjob ...`")
}
