//! Which type of `srun --mpi` makes one world of the engines' mpi4py: tried, with two tasks, because nothing else tells.

use super::finding::Finding;
use super::step;
use crate::here::os::run_program::ask;
use crate::here::site::{mpi, packages};
use crate::plan::settings::Mpi;
use crate::plan::slurm::is_of_a_step;
use crate::plan::{World, world};
use crate::run;
use std::path::Path;
use std::time::Duration;

/// How long two ranks may take to find each other; a wrong type can hang for ever.
const LIMIT: Duration = Duration::from_secs(20);

/// What each rank runs.
const CODE: &str =
    "import os; from mpi4py import MPI; os.write(1, b'world %d\\n' % MPI.COMM_WORLD.size)";

/// What came of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// One world of both.
    World,
    /// Two of one.
    Singletons,
    /// Neither.
    Failed(String),
}

/// Tells the library, and inside an allocation which type fits it.
pub fn look(
    ipengine: &Path,
    srun: Option<&Path>,
    asked: &Mpi,
    nodes: usize,
    findings: &mut Vec<Finding>,
) {
    let Some(version) = packages::installed(ipengine, "mpi4py") else {
        findings.push(Finding::ok(
            "mpi",
            "ipengine's Python has no mpi4py: engines are independent",
        ));
        return;
    };
    let vendor = mpi::vendor(ipengine).unwrap_or_else(|| "a library that does not load".to_owned());
    let library = format!("mpi4py {version} with {vendor}");
    let Some(srun) = srun else {
        findings.push(Finding::note(
            "mpi",
            format!("{library}; inside a job the doctor finds out which --mpi fits"),
        ));
        return;
    };
    let types = mpi::types(srun);
    if nodes == 0 {
        findings.push(Finding::note(
            "mpi",
            format!(
                "{library}; srun {}; inside a job the doctor finds out which one fits",
                world::offered(&types)
            ),
        ));
        return;
    }
    let inside_a_step = is_of_a_step(&run::environment());
    let decided = mpi::world(asked, ipengine, srun, inside_a_step);
    if let Ok(Some(unfit)) = decided.as_ref().map(|decided| &decided.unfit) {
        findings.push(Finding::problem(
            "mpi",
            format!("{library}; {unfit}"),
            "engines start anyway",
        ));
        return;
    }
    let chosen = match decided.map(|decided| decided.world) {
        Ok(World::Type(name)) => Some(name),
        Ok(World::Default) => None,
        Ok(World::None) => {
            findings.push(Finding::ok(
                "mpi",
                format!("{library}; engines start without MPI"),
            ));
            return;
        }
        Err(failure) => {
            findings.push(Finding::problem(
                "mpi",
                &failure.message,
                failure.hints.join("; "),
            ));
            return;
        }
    };
    let mut tried: Vec<(String, Outcome)> = Vec::new();
    if chosen.is_none() {
        tried.push((
            "the default".to_owned(),
            attempt(ipengine, srun, None, nodes),
        ));
    }
    for name in types.iter().filter(|name| *name != "none") {
        tried.push((name.clone(), attempt(ipengine, srun, Some(name), nodes)));
    }
    findings.push(judge(
        &library,
        chosen.as_deref().unwrap_or("the default"),
        &tried,
    ));
}

fn judge(library: &str, chosen: &str, tried: &[(String, Outcome)]) -> Finding {
    let results = tried
        .iter()
        .map(|(name, outcome)| match outcome {
            Outcome::World => format!("{name} makes one world"),
            Outcome::Singletons => format!("{name} gives worlds of 1"),
            Outcome::Failed(reason) => format!("{name} fails ({reason})"),
        })
        .collect::<Vec<_>>()
        .join("; ");
    let works = |wanted: &str| {
        tried
            .iter()
            .any(|(name, outcome)| name == wanted && *outcome == Outcome::World)
    };
    let seen = format!("{library}: {results}");
    if works(chosen) {
        return Finding::ok("mpi", format!("{seen}; ipjob uses {chosen}"));
    }
    let better = tried.iter().find(|(name, _)| works(name));
    Finding::problem(
        "mpi",
        format!("{seen}; ipjob would use {chosen}"),
        better.map_or_else(
            || "--mpi none starts engines without MPI; build mpi4py with an MPI that knows Slurm's PMI".to_owned(),
            |(name, _)| format!("run with --mpi {name}"),
        ),
    )
}

/// Two tasks, on two nodes where there are two.
fn attempt(ipengine: &Path, srun: &Path, name: Option<&str>, nodes: usize) -> Outcome {
    let Some(python) = packages::python_of(ipengine) else {
        return Outcome::Failed("the Python of ipengine is behind a wrapper".to_owned());
    };
    let mut command = step::srun(srun);
    command
        .args([
            "--overlap",
            "--export=ALL",
            "--ntasks=2",
            "--kill-on-bad-exit=1",
        ])
        .arg(format!("--nodes={}", nodes.min(2)));
    if let Some(name) = name {
        command.arg(format!("--mpi={name}"));
    }
    for (variable, _) in std::env::vars_os() {
        let text = variable.to_string_lossy();
        if text.starts_with("PMI") {
            command.env_remove(&variable);
        }
    }
    let answer = ask(mpi::with_code(command.arg(python), CODE), LIMIT);
    let sizes: Vec<&str> = answer
        .output
        .lines()
        .filter_map(|line| line.trim().strip_prefix("world "))
        .collect();
    match sizes[..] {
        ["2", "2"] if answer.is_good() => Outcome::World,
        ["1", "1"] => Outcome::Singletons,
        _ => {
            // The line that names the protocol tells most; MPI libraries print it below a stack of others.
            let about_pmi = answer.errors.lines().find(|line| line.contains("PMI "));
            Outcome::Failed(
                about_pmi.map_or_else(|| answer.reason(), |line| line.trim().to_owned()),
            )
        }
    }
}
