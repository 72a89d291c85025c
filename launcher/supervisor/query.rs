//! Questions to other programs while the loop runs: asked beside it, because a Slurm controller that is down lets `squeue`
//! hang for minutes.

use super::file_thread;
use super::notice::{Notice, Sender};
use crate::here::os::own_time;
use crate::here::os::stray_processes::Leftover;
use crate::here::site::programs;
use crate::plan::slurm::{Slurm, short};
use nix::sys::signal::Signal;
use std::ffi::OsStr;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Bytes of an answer that are read.
const LONGEST: u64 = 64 * 1024;

/// Runs a program with these arguments and variables; what it prints becomes a notice, nothing where it cannot be started or takes too
/// long. How it ends is not looked at: who reads the text takes only what has the form of an answer.
pub fn ask(
    program: PathBuf,
    args: Vec<String>,
    variables: Vec<(String, String)>,
    notice: impl FnOnce(&str) -> Notice + Send + 'static,
    sender: Sender,
) {
    tokio::spawn(async move {
        let text = output(program, args, variables, LIMIT).await;
        let _ = sender.send(notice(&text.unwrap_or_default()));
    });
}

/// Whether a variable is the user's own default for squeue: it may hide the job (`SQUEUE_PARTITION`), tell of another cluster's
/// with the same number, or print a heading that is no answer (`SLURM_CLUSTERS`).
fn is_a_default_of_squeue(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"SQUEUE_") || name == "SLURM_CLUSTERS"
}

/// What a program with these arguments and variables prints, however it ends; `None` when it cannot be started or takes longer than
/// `limit`.
pub async fn output(
    program: PathBuf,
    args: Vec<String>,
    variables: Vec<(String, String)>,
    limit: Duration,
) -> Option<String> {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_a_default_of_squeue(name)) {
        command.env_remove(name);
    }
    let child = command
        .args(args)
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.ok()?;
    let process = Leftover::child(child.id());
    let stdout = child.stdout.take()?;
    let (answer, answered) = oneshot::channel();
    // Only the pipe is read here: like every child, this one is reaped in signals.rs.
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stdout.take(LONGEST).read_to_end(&mut text);
        let _ = answer.send(String::from_utf8_lossy(&text).into_owned());
    });
    let text = own_time::timeout(limit, answered).await;
    if let (None, Some(process)) = (&text, process) {
        process.signal(Signal::SIGKILL);
    }
    text?.ok()
}

/// Whether the host that the job was submitted on is a way in for a laptop, which that of a terminal in an earlier job is not: asks Slurm
/// whether the host is one of its nodes, unless it is one of the job's own: a notice tells if it is.
pub fn submission_host(slurm: &Slurm, sender: Sender) {
    let Some(host) = slurm.submit_host.clone() else {
        return;
    };
    if slurm.node_named(&host).is_some() {
        let _ = sender.send(Notice::SubmittedOnNode);
        return;
    }
    // PATH may have places that do not answer.
    file_thread::spawn(async move {
        let Ok(scontrol) = programs::find("scontrol", "Slurm's client programs") else {
            return;
        };
        // Slurm's name of a node is the host's without its domain, where the site has not given it another.
        let args = ["--oneliner", "show", "node", short(&host)].map(str::to_owned);
        let limit = Duration::from_secs(60);
        let told = output(scontrol, args.to_vec(), Vec::new(), limit).await;
        if told.is_some_and(|text| text.starts_with("NodeName=")) {
            let _ = sender.send(Notice::SubmittedOnNode);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_squeues_answer_is_dropped() {
        for (name, dropped) in [
            ("SQUEUE_PARTITION", true),
            ("SLURM_CLUSTERS", true),
            ("SLURM_CONF", false),
            ("SLURM_TIME_FORMAT", false),
            ("PATH", false),
        ] {
            assert_eq!(is_a_default_of_squeue(OsStr::new(name)), dropped, "{name}");
        }
    }
}
