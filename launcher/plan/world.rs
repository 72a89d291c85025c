//! The MPI world that engines are expected to see, and what is said when they see another. PURE.

use super::Here;
use super::services;
use super::settings::{Launcher, Mpi, Settings};

/// The MPI world of engines that srun starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum World {
    /// None: engines are independent.
    None,
    /// One, by the site's or the user's own default.
    Default,
    /// One, with this type of `srun --mpi`.
    Type(String),
}

/// The MPI world that engines are expected to see. A starter that does not fit their MPI library gives every engine a world of
/// its own, and no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedWorld {
    /// How many ranks it has.
    pub size: u32,
    /// Whether it was asked for: then another world is an error, else only a warning.
    pub required: bool,
    /// What is said when engines see another: `--mpi pmix made no common MPI world`.
    pub otherwise: String,
    /// What to do then.
    pub hints: Vec<String>,
}

/// The world that these engines are to see; `None` without MPI, or where the user has engines run a command of their own at their
/// start, which takes the place of the one that would tell.
#[must_use]
pub fn wanted(settings: &Settings, here: &Here, size: u32) -> Option<WantedWorld> {
    if !services::tells_its_world(settings) {
        return None;
    }
    let (otherwise, hints) = if let Some(srun) = &here.srun {
        (srun.mpi != World::None).then_some(())?;
        of_srun(&settings.mpi, &srun.mpi_types)
    } else {
        let ranks = here.ranks.as_ref().is_some_and(|ranks| ranks.world);
        let mpiexec = here.mpiexec.as_ref().is_some_and(|mpiexec| mpiexec.world);
        (ranks || mpiexec).then_some(())?;
        of_another(ranks)
    };
    Some(WantedWorld {
        size,
        required: matches!(settings.mpi, Mpi::Type(_)),
        otherwise,
        hints,
    })
}

/// Tells of a type of MPI that nothing is started with. A site may have set it for all that its users start, so it is not refused.
#[must_use]
pub fn meaningless(asked: &Mpi, launcher: Launcher) -> Option<String> {
    match (asked, launcher) {
        (Mpi::Type(name), Launcher::Local) => Some(format!(
            "--mpi {name} has no effect with --launcher local, whose engines form no MPI world; with --launcher mpiexec they do"
        )),
        _ => None,
    }
}

/// What srun says that it offers; it says nothing where slurmctld is away.
#[must_use]
pub fn offered(types: &[String]) -> String {
    match types {
        [] => "names no type".to_owned(),
        types => format!("offers {}", types.join(", ")),
    }
}

fn of_srun(asked: &Mpi, types: &[String]) -> (String, Vec<String>) {
    let offered = format!("`srun --mpi=list` {}", offered(types));
    match asked {
        Mpi::Type(name) => (
            format!("--mpi {name} made no common MPI world"),
            vec![
                offered,
                "pmi2 is for MPICH and its relatives, pmix for Open MPI; --mpi none for engines without MPI".to_owned(),
            ],
        ),
        _ => (
            "--mpi auto found no type that makes a common MPI world".to_owned(),
            vec![format!("choose one with --mpi TYPE; {offered}")],
        ),
    }
}

fn of_another(ranks: bool) -> (String, Vec<String>) {
    let starter = if ranks {
        "what started the ranks"
    } else {
        "mpiexec"
    };
    (
        format!("{starter} made no common MPI world"),
        vec![
            "it must fit the MPI library that mpi4py uses: that library's own mpiexec, or `srun --mpi=TYPE` with pmi2 for MPICH and pmix for Open MPI; --mpi none for engines without MPI".to_owned(),
        ],
    )
}
