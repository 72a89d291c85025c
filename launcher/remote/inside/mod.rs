//! `ipjob ssh [HOST:]JOB`: a session inside a running job, on a node of choice, by the ssh program.
//!
//! ssh's `ProxyCommand` is ipjob itself (`proxy.rs`). It finds the job by one ssh to HOST, as `ipjob status` does, and has that session become
//! a step of the job (`srun --overlap`), which runs an sshd of the user's own for one connection on its standard streams (`sshd.rs`). No
//! port is opened, no root is needed, and no ssh to a node.
//!
//! docs/design/ssh.md explains the design.

mod ending;
mod entry;
mod environment;
mod keys;
mod place;
mod proxy;
pub mod session;
pub mod sshd;

use super::ssh;
use super::target::{Job, Target};
use crate::cli::ssh::SshOptions;
use crate::failure::{Failure, Outcome};
use crate::here::os::state;
use crate::plan::profile::ProfileName;
use crate::report::output;
use entry::Entry;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// Becomes ssh, prints the entry for its configuration, or carries a session for it.
pub fn run(options: &SshOptions) -> Outcome<u8> {
    let target = Target::read(options.target.as_deref().unwrap_or_default())?;
    let alias = entry::alias(&target, options.node.as_deref());
    let directory = directory(&alias)?;
    if options.proxy {
        return proxy::run(&target, options, &alias, &directory);
    }
    let program = ssh::program()?;
    let user = target.host.as_ref();
    let user = user.and_then(|host| ssh::user_of(&program, host.as_str()));
    let entry = Entry {
        proxy: proxy_command(options)?,
        alias,
        user,
        directory,
    };
    if options.config {
        entry_is_of_use(&target)?;
        return output::data(entry.text().as_bytes()).map(|()| 0);
    }
    let error = Command::new(&program)
        .args(entry.arguments(!options.ssh_args.is_empty()))
        .args(&options.ssh_args)
        .args(["--", &entry.alias])
        .args(&options.command)
        .exec();
    Err(
        Failure::missing(format!("{} cannot be started", program.display()))
            .because(error)
            .hint("check that it can be run here"),
    )
}

/// Refuses an entry that could lead nowhere: a job without Slurm has no step to get into.
fn entry_is_of_use(target: &Target) -> Outcome<()> {
    let name = target.job.as_ref().map_or("", Job::as_str);
    let local = ProfileName::of_job("local");
    let rest = name.strip_prefix(local.as_str());
    if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-')) {
        return Ok(());
    }
    let failure = Failure::usage(format!(
        "{name} is a job without Slurm, so there is no Slurm job to get into and no entry to make"
    ));
    Err(match &target.host {
        Some(host) => failure.hint(format!("log in to its host: `ssh {}`", host.as_str())),
        None => failure.hint("log in to its host, which `ipjob status` shows"),
    })
}

/// Where keys are, while a session runs.
fn directory(alias: &str) -> Outcome<PathBuf> {
    let state = state::directory().ok_or_else(|| {
        Failure::missing(
            "there is no place for keys: neither XDG_STATE_HOME nor HOME names a directory",
        )
        .hint("set HOME")
    })?;
    Ok(state.join("ssh").join(alias))
}

/// This program with the same job and node.
fn proxy_command(options: &SshOptions) -> Outcome<Vec<String>> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::missing("ipjob cannot find its own program").because(error))?;
    let mut words = vec![
        program.display().to_string(),
        "ssh".to_owned(),
        "--proxy".to_owned(),
    ];
    words.extend(options.node.iter().map(|node| format!("--node={node}")));
    let named = options.remote_ipjob.iter();
    words.extend(named.map(|program| format!("--remote-ipjob={program}")));
    words.extend(options.target.clone());
    Ok(words)
}
