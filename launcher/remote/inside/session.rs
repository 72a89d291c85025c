//! `ipjob session`, which the sshd of a session runs in place of what was asked for: it puts the job's environment around that. sshd gives
//! its sessions an environment of its own, and values in its arguments could be read by everybody.

use super::environment::{Variables, of_session};
use super::sshd;
use crate::failure::{Failure, Outcome};
use crate::here::os::process;
use crate::here::os::stray_processes::{self, Leftover};
use crate::here::site::identity;
use crate::plan::slurm::short;
use crate::record::Record;
use crate::report::console::Console;
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Becomes the user's shell, or has it run what was asked for; `step` is the process that srun has started.
pub fn run(path: &Path, step: u32, console: &Console) -> Outcome<u8> {
    let record = sshd::record(path)?;
    let own: Variables = env::vars_os().collect();
    let job = of_job(&record);
    if job.is_none() {
        console.warning(&format!(
            "no process of the job runs on {}: this session has Slurm's variables, and not what the batch script has set (modules, conda)",
            identity::host()
        ));
    }
    let dir = record.profile.dir.as_deref().unwrap_or_default();
    let ipython_dir = Path::new(dir).parent().unwrap_or(Path::new("/"));
    let profile = record.profile.name.as_ref();
    let profile = profile.map_or("", |name| name.as_str());
    let step = process::environment(step).unwrap_or_default();
    let environment = of_session(
        job,
        &step.into_iter().collect(),
        &own,
        (profile, ipython_dir.as_os_str()),
    );
    let told = |name: &str| own.get(&OsString::from(name));
    let shell = told("SHELL").map_or_else(|| PathBuf::from("/bin/sh"), PathBuf::from);
    let mut command = Command::new(&shell);
    command.env_clear().envs(environment);
    // A login shell would set PATH anew.
    if let Some(asked) = told("SSH_ORIGINAL_COMMAND") {
        command.arg("-c").arg(asked);
    }
    let error = command.exec();
    Err(Failure::missing(format!("{} cannot be started", shell.display())).because(error))
}

/// The environment of ipjob itself, where it runs here, or else of what it has started here.
fn of_job(record: &Record) -> Option<Variables> {
    let life = record.author()?;
    let is_here = short(&life.host) == short(&identity::host())
        && process::stat(life.pid).is_some_and(|stat| stat.runs() && stat.start == life.pid_start);
    let others = || stray_processes::carrying(&life.id).into_keys();
    let mut candidates = is_here
        .then(|| vec![life.pid])
        .into_iter()
        .flatten()
        .chain(others().map(|Leftover { pid, .. }| pid));
    let found = candidates.find_map(process::environment)?;
    Some(found.into_iter().collect())
}
