//! A step of its own for a detached ipjob. Slurm kills with SIGKILL what a task or a batch script leaves when it ends; a step ends in order,
//! by a SIGTERM to its task and `KillWait` after it.
//!
//! docs/design/detach.md explains the design.

use super::environment;
use crate::failure::{Failure, Outcome};
use crate::here::os::handover;
use crate::here::os::run_program::Question;
use crate::here::site::{identity, programs, stepd};
use crate::plan::services::srun_variables;
use crate::plan::slurm::Slurm;
use std::env;
use std::ffi::OsString;
use std::future::poll_fn;
use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Command;
use std::task::Poll;
use std::thread;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::oneshot;

/// How long srun may take to start it.
const LIMIT: Duration = Duration::from_secs(20);

/// The name of the step, as `squeue -s` shows it.
const STEP_NAME: &str = "ipjob";

/// Where a step can be made: by this srun, on this node, which is ours.
#[derive(Debug)]
pub struct Place {
    srun: PathBuf,
    node: String,
    environment: Vec<(String, String)>,
}

/// Where a step can be made for us; `None` where we run outside of a job's steps and its batch script, or where there is no srun.
pub fn place() -> Option<Place> {
    let environment = environment();
    let slurm = Slurm::read(&environment).ok().flatten()?;
    let node = slurm
        .node
        .filter(|_| stepd::is_of_job(slurm.job.number()))?;
    Some(Place {
        srun: programs::find_slurms("srun").ok()?,
        node,
        environment,
    })
}

impl Place {
    /// Starts this program with these arguments as a step, and returns the line to it; the error tells why there is none. Dropped before
    /// that, it ends what it has started.
    ///
    /// srun is killed then, with the second process that it is (which would end the step): both are in the cgroup of our own step, and
    /// a SIGTERM to srun would be a SIGKILL to what it started.
    pub async fn start(&self, arguments: &[OsString]) -> Result<UnixStream, String> {
        let told = |error: io::Error| error.to_string();
        let name = format!(
            "ipjob-{}",
            identity::random_hex::<16>().map_err(|failure| failure.to_string())?
        );
        let listener = handover::listen(&name).map_err(told)?;
        listener.set_nonblocking(true).map_err(told)?;
        let listener = UnixListener::from_std(listener).map_err(told)?;
        let mut srun = Question::put(&mut self.srun(&name).map_err(told)?).map_err(told)?;
        let stream = arrival(&listener, &mut srun).await?;
        let stream = stream.into_std().map_err(told)?;
        stream.set_nonblocking(false).map_err(told)?;
        give(stream, arguments.to_vec())
            .await
            .map_err(|error| reason(&mut srun, &error))
    }

    fn srun(&self, name: &str) -> io::Result<Command> {
        let mut command = Command::new(&self.srun);
        for variable in srun_variables::dropped(&self.environment, None) {
            command.env_remove(variable);
        }
        command
            .args([
                "--overlap",
                "--nodes=1",
                "--ntasks=1",
                &format!("--nodelist={}", self.node),
                &format!("--job-name={STEP_NAME}"),
                "--export=ALL",
                "--mpi=none",
                // All that the job has on this node.
                "--mem=0",
                "--cpu-bind=none",
                "--input=none",
                "--output=/dev/null",
                "--error=/dev/null",
            ])
            .arg(env::current_exe()?)
            .args(["become", name]);
        Ok(command)
    }
}

/// The first of our own processes that connects, unless srun ends before.
async fn arrival(
    listener: &UnixListener,
    srun: &mut Question,
) -> Result<tokio::net::UnixStream, String> {
    let ended = {
        let mut end = pin!(srun.end(LIMIT));
        poll_fn(|context| {
            while let Poll::Ready(Ok((stream, _))) = listener.poll_accept(context) {
                if handover::is_ours(&stream) {
                    return Poll::Ready(Ok(stream));
                }
            }
            end.as_mut().poll(context).map(Err)
        })
        .await
    };
    ended.map_err(|end| match end {
        Ok(status) => reason(srun, &status),
        Err(error) => reason(srun, &error),
    })
}

/// Hands this command line over, on a thread of its own: whoever takes it may take his time, and a request to stop waits for nobody.
async fn give(mut stream: UnixStream, arguments: Vec<OsString>) -> io::Result<UnixStream> {
    let (sender, given) = oneshot::channel();
    thread::Builder::new().spawn(move || {
        let taken = handover::give(&mut stream, &arguments);
        let _ = sender.send(taken.map(|()| stream));
    })?;
    given.await.map_err(io::Error::other)?
}

/// What srun said, or else this.
fn reason(srun: &mut Question, otherwise: &dyn std::fmt::Display) -> String {
    let said = srun.errors();
    let mut lines = said.lines().map(str::trim);
    let error = lines.find(|line| line.contains("error:"));
    error.map_or_else(
        || format!("srun: {otherwise}"),
        |line| line.chars().take(200).collect(),
    )
}

/// Becomes the program that whoever listens under this name wants to have started.
pub fn become_it(name: &str) -> Outcome<u8> {
    let failed = |error| {
        Failure::missing("what --detach starts as a step cannot become the job's ipjob")
            .because(error)
    };
    let mut command = handover::take(name, |name| stepd::names_a_step(name)).map_err(failed)?;
    Err(failed(command.exec()))
}
