//! The command of one process: its environment, its log, its start.

use crate::failure::Failure;
use crate::here::os::files;
use crate::here::os::log::Log;
use crate::plan::service::{Carried, Process, Service};
use std::fmt::Display;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A process's command with its environment.
pub fn command(service: &Service, process: &Process) -> Result<Command, Failure> {
    for Carried { path, text } in &service.carried {
        files::replace(path, text.as_bytes()).map_err(|error| {
            Failure::missing(format!("{} cannot be written", path.display()))
                .because(error)
                .hint("check that the profile directory is yours, writable and not full")
        })?;
    }
    let mut command = Command::new(&process.program);
    command.args(&process.args);
    for variable in &service.environment.dropped {
        command.env_remove(variable);
    }
    for (variable, text) in &service.environment.set {
        command.env(variable, text.reveal());
    }
    for (variable, file) in &service.environment.from_files {
        let text = std::fs::read_to_string(file).map_err(|error| {
            Failure::service(format!("{} cannot be read", file.display())).because(error)
        })?;
        command.env(variable, text);
    }
    Ok(command)
}

/// Sends a command's output and errors into its log.
pub fn into_log(command: &mut Command, process: &Process, head: &str) -> Result<Log, Failure> {
    let (log, file) =
        Log::open(&process.log, head).map_err(|error| no_log(&process.log, &error))?;
    let errors = file
        .try_clone()
        .map_err(|error| no_log(&process.log, &error))?;
    command
        .stdout(file)
        .stderr(errors)
        // A group of its own: Ctrl-C at the terminal is for ipjob, which ends its services in order. A driver stays in
        // ours, because only the foreground group may read from the terminal.
        .process_group(0);
    Ok(log)
}

/// Starts a command; its process id is returned.
pub fn start(
    command: &mut Command,
    process: &Process,
    name: &impl Display,
) -> Result<u32, Failure> {
    let child = command.spawn().map_err(|error| {
        Failure::missing(format!(
            "{name} cannot be started: {}",
            process.program.display()
        ))
        .hint(match error.kind() {
            // fork's EAGAIN
            ErrorKind::WouldBlock => {
                "the limit of processes is reached (`ulimit -u`, or the job's cgroup): start fewer engines"
            }
            _ => "check that the program exists here and can be run",
        })
        .because(error)
    })?;
    // Every child is reaped by its process id in signals.rs; dropping the handle neither waits nor kills.
    Ok(child.id())
}

/// The line with which the part of a log begins that one process wrote.
pub fn log_head(incarnation: &str, id: &impl Display) -> String {
    format!("ipjob {incarnation}: {id}")
}

/// What is said of a log that takes nothing.
pub fn no_log(path: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::missing(format!("the log {} cannot be written", path.display()))
        .because(error)
        .hint("check that the profile's log directory is yours, writable and not full")
}
