//! ipjob as one of several ranks: which we are, and what those do that don't lead.

use crate::cli::options::RunOptions;
use crate::failure::{Failure, Outcome};
use crate::here::os::signals::Signals;
use crate::here::profile::rendezvous::{Leader, Seat};
use crate::here::site::{identity, mpi_launcher};
use crate::plan::incarnation::Incarnation;
use crate::plan::ranks::Rank;
use crate::plan::services::ranks::not_ranks;
use crate::plan::settings::{Launcher, Settings};
use crate::plan::slurm;
use crate::report::console::Console;
use crate::supervisor::rank::{self, Place};
use std::path::PathBuf;

/// The rank that we are; `None` when ipjob was started once, or another launcher was asked for.
pub fn recognise(options: &RunOptions, environment: &[(String, String)]) -> Outcome<Option<Rank>> {
    let wanted = options.launcher();
    if !matches!(wanted, None | Some(Launcher::Ranks)) {
        return Ok(None);
    }
    let (living, leftovers) = mpi_launcher::living(environment);
    match Rank::read(&living, &mpi_launcher::starter())? {
        Some(rank) => Ok(Some(Rank { leftovers, ..rank })),
        None if wanted.is_some() => Err(not_ranks()),
        None => Ok(None),
    }
}

/// Where the ranks of this start meet: beside the profile, which all of them know.
fn meeting(settings: &Settings, rank: &Rank) -> PathBuf {
    settings.ipython_dir.join(rank.meeting())
}

/// Opens the meeting, for the rank that leads.
pub fn call(
    settings: &Settings,
    rank: Option<&Rank>,
    own: &Incarnation,
) -> Outcome<Option<Leader>> {
    rank.map(|rank| Leader::call(&meeting(settings, rank), rank, own))
        .transpose()
}

/// Does what a rank does that doesn't lead.
pub fn follow(
    options: &RunOptions,
    environment: Vec<(String, String)>,
    rank: Rank,
    console: &Console,
) -> Outcome<u8> {
    let settings = super::allocation(options, &environment, Some(&rank))
        .and_then(|allocation| options.settings(allocation.job_name()));
    // The leader meets the same fault and says it: once is enough.
    let settings = match settings {
        Ok(settings) if !options.dry_run => settings,
        Ok(_) => return Ok(0),
        Err(failure) => return Ok(failure.exit_code()),
    };
    super::become_subreaper(console);
    let runtime = super::event_loop()?;
    let variable = |name: &str| {
        environment
            .iter()
            .find(|(variable, _)| variable == name)
            .map(|(_, value)| value.clone())
    };
    let step = variable("SLURM_JOB_ID").zip(variable("SLURM_STEP_ID"));
    let seat = Seat::new(meeting(&settings, &rank), &rank);
    let place = Place {
        rank,
        node: variable("SLURMD_NODENAME").unwrap_or_else(identity::host),
        step: step.and_then(|(job, step)| slurm::step_name(&job, &step)),
        environment,
    };
    runtime.block_on(async {
        let signals = Signals::catch()?;
        rank::run(place, seat, settings.start.whole, signals, console).await
    })
}

/// Refuses ranks whose engines could not reach the controller.
pub fn check_address(rank: &Rank, settings: &Settings, in_a_job: bool) -> Outcome<()> {
    if in_a_job || rank.one_host || settings.address.is_some() {
        return Ok(());
    }
    Err(Failure::usage(
        "the ranks may be on several hosts, and outside Slurm nothing shows at which address they can reach this one",
    )
    .hint("give it with --address IP|INTERFACE (127.0.0.1 if all are here)"))
}
