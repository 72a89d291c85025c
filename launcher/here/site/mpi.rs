//! Which MPI world srun can make for these engines.

use super::{packages, scontrol};
use crate::failure::{Failure, Outcome};
use crate::here::os::run_program::ask;
use crate::plan::settings::Mpi;
use crate::plan::{World, world};
use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What `python -c` begins with, so that it takes no module out of the working directory.
const NOT_FROM_HERE: &str = "import sys; sys.path[:1] == [''] and sys.path.pop(0)";

/// Prints the vendor of mpi4py's library without initialising it, which outside of srun could hang.
const VENDOR: &str = "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; print(MPI.get_vendor()[0])";

/// How long a program may take to answer: a cold Python on a busy file system needs its time.
const LIMIT: Duration = Duration::from_secs(60);

/// The world that srun is to make.
#[derive(Debug)]
pub struct Decided {
    /// The world.
    pub world: World,
    /// The types that this srun offers.
    pub types: Vec<String>,
    /// Why engines that could be one world are none.
    pub unfit: Option<String>,
}

/// Decides the world of the engines' step.
pub fn world(asked: &Mpi, ipengine: &Path, srun: &Path, inside_a_step: bool) -> Outcome<Decided> {
    let types = match asked {
        Mpi::Off => Vec::new(),
        Mpi::Type(_) | Mpi::Auto => types(srun),
    };
    let (world, unfit) = match asked {
        Mpi::Off => (World::None, None),
        Mpi::Type(name) => (World::Type(known_type(name, &types)?), None),
        Mpi::Auto => automatic(ipengine, &types, inside_a_step),
    };
    Ok(Decided {
        world,
        types,
        unfit,
    })
}

/// Whether engines that something else than srun starts form one world: where ipengine's Python can, if they are offered one.
#[must_use]
pub fn plain_world(asked: &Mpi, ipengine: &Path, offered: bool) -> bool {
    match asked {
        Mpi::Off => false,
        Mpi::Type(_) => true,
        Mpi::Auto => offered && packages::installed(ipengine, "mpi4py").is_some(),
    }
}

/// The types that this srun offers: the words of `srun --mpi=list`.
#[must_use]
pub fn types(srun: &Path) -> Vec<String> {
    let answer = ask(Command::new(srun).arg("--mpi=list"), LIMIT);
    // Older versions print the list to stderr, each line with `srun: ` before it.
    [answer.output, answer.errors]
        .iter()
        .flat_map(|text| text.lines())
        .map(|line| line.trim_start_matches("srun:").trim())
        .take_while(|line| !line.contains("specific"))
        .filter(|line| !line.contains(' ') && !line.is_empty())
        .map(str::to_owned)
        .collect()
}

fn known_type(name: &str, types: &[String]) -> Outcome<String> {
    if types.is_empty() || types.iter().any(|known| known == name) {
        return Ok(name.to_owned());
    }
    Err(Failure::usage(format!("this Slurm has no --mpi {name}"))
        .hint(format!("`srun --mpi=list` {}", world::offered(types))))
}

/// No world without mpi4py; the site's or user's own default where there is one; else the type that fits the library.
fn automatic(ipengine: &Path, types: &[String], inside_a_step: bool) -> (World, Option<String>) {
    if packages::installed(ipengine, "mpi4py").is_none() {
        return (World::None, None);
    }
    let own = std::env::var("SLURM_MPI_TYPE").is_ok_and(|name| !name.is_empty() && name != "none");
    if (own && !inside_a_step) || site_default() {
        return (World::Default, None);
    }
    match vendor(ipengine) {
        Some(vendor) => fitting(&vendor, types),
        None => (World::None, None),
    }
}

/// The world by the type that fits a vendor's library; where this srun has none, why engines are alone.
fn fitting(vendor: &str, types: &[String]) -> (World, Option<String>) {
    let fitting = match vendor {
        "MPICH" | "Intel MPI" | "MVAPICH" => Some("pmi2"),
        "Open MPI" => Some("pmix"),
        vendor if vendor.contains("Cray") => Some("cray_shasta"),
        _ => None,
    };
    let offered = world::offered(types);
    let unfit = match fitting {
        Some(name) if types.iter().any(|known| known == name) => {
            return (World::Type(name.to_owned()), None);
        }
        Some(name) => format!(
            "the engines do not form one MPI world: {vendor} needs `srun --mpi={name}`, and this srun {offered}; --launcher mpiexec \
             starts them with that library's own mpiexec, --mpi none turns MPI off"
        ),
        None => format!(
            "the engines do not form one MPI world: ipjob knows no type of `srun --mpi` for {vendor}; this srun {offered}, and --mpi TYPE names one; \
             --mpi none turns MPI off"
        ),
    };
    (World::None, Some(unfit))
}

/// Whether the site has a default that makes a world.
fn site_default() -> bool {
    scontrol::config().is_some_and(|config| config.get("MpiDefault").is_some())
}

/// The vendor of the MPI library that mpi4py finds.
#[must_use]
pub fn vendor(ipengine: &Path) -> Option<String> {
    let python = packages::python_of(ipengine)?;
    let answer = ask(with_code(&mut Command::new(python), VENDOR), LIMIT);
    let vendor = answer.output.trim();
    (!vendor.is_empty()).then(|| vendor.to_owned())
}

/// Gives this code to a command that ends with the name of a Python, which then takes no module out of the working directory. An empty entry of
/// PYTHONPATH is that directory (`PYTHONPATH=/x:$PYTHONPATH` leaves one), and Python looks there before it runs anything.
pub fn with_code<'command>(command: &'command mut Command, code: &str) -> &'command mut Command {
    if let Some(path) = env::var_os("PYTHONPATH") {
        let kept = env::split_paths(&path).filter(|entry| !entry.as_os_str().is_empty());
        if let Ok(kept) = env::join_paths(kept) {
            command.env("PYTHONPATH", kept);
        }
    }
    command.args(["-c", &format!("{NOT_FROM_HERE}; {code}")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_without_its_type_is_said() {
        let types = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let (world, unfit) = fitting("Open MPI", &types(&["none", "pmix", "pmi2"]));
        assert_eq!((world, unfit), (World::Type("pmix".to_owned()), None));
        for (vendor, part) in [("Open MPI", "--mpi=pmix"), ("Somebody's MPI", "no type")] {
            let (world, unfit) = fitting(vendor, &types(&["none", "pmi2"]));
            assert_eq!(world, World::None);
            let unfit = unfit.expect("a reason");
            assert!(
                unfit.contains(part) && unfit.contains("none, pmi2"),
                "{unfit}"
            );
        }
    }
}
