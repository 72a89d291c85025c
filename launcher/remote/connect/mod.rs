//! `ipjob connect [HOST:]JOB`: one ssh login, one tunnel, a local client file and a page, kept up until the job or the person ends it.
//!
//! Built as the supervisor is: all sources (ssh, signals, probes, timers) send into ONE channel, one loop reads it, the machine decides
//! and the effects are carried out. ssh is what is supervised here.
//! docs/design/connect.md explains the design.

mod announce;
mod browser;
mod dispatch;
mod effects;
mod endpoints;
mod event;
mod facts;
mod machine;
mod notice;
mod ports;
mod probe;
pub mod profile;
mod ssh;
mod ssh_errors;
mod ssh_process;
mod tunnel;
mod via_srun;

use super::queue;
use super::shell::READ_SCRIPT;
use super::ssh as own_ssh;
use super::target::{Job, Target, place};
use crate::cli::connect::{ConnectOptions, Via};
use crate::failure::{Failure, Outcome};
use crate::here::os::signals::Signals;
use crate::here::os::state;
use crate::here::site::identity;
use crate::report::console::Console;
use crate::report::dry_run::quoted;
use crate::run;
use endpoints::Reach;
use event::{Event, Way};
use facts::Facts;
use machine::Machine;
use nix::sys::signal::Signal;
use notice::{Notice, Sender};
use ports::LocalPorts;
use profile::LocalProfile;
use ssh_process::{Output, Program};
use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::timeout;

/// How the names of connect's private directories begin.
pub const PRIVATE_PREFIX: &str = "ipjob-connect-";

/// The script that the remote end runs: how jobs are found, and how one is watched.
const FIND: &str = include_str!("../find.sh");
const WATCH: &str = include_str!("connect.sh");

/// The longest path of a directory for control sockets: a socket's own may have 104 bytes on some systems, and ssh adds 17 to it.
const LONGEST_PLACE: usize = 60;

/// How long programs may take to end when asked.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// One `ipjob connect`.
struct Connect<'a> {
    options: &'a ConnectOptions,
    target: Target,
    console: &'a mut Console,
    machine: Machine,
    facts: Facts,
    sender: Sender,
    /// `ssh`, where a host was named or a compute node is to be entered.
    ssh: Option<PathBuf>,
    /// Where the control sockets are.
    private: TempDir,
    /// The ssh to HOST, or the shell that looks on this machine.
    link: Option<Program>,
    /// The ssh to the compute node, and the one before that has still to end.
    node: Option<Program>,
    /// What the next ssh to a compute node is for, while something must happen before it.
    entering: Option<(Reach, bool)>,
    /// The options that name the user on the compute node, once it is known whether some are needed.
    node_user: Option<Vec<String>>,
    /// The request for forwards that runs, and what was made.
    request: Option<Program>,
    /// Whether that one was withdrawn: what it makes is to go.
    withdrawn: bool,
    /// The request to take forwards away.
    cancelling: Option<Program>,
    /// Through which socket forwards are to be asked for once that has been answered.
    forwarding: Option<&'static str>,
    forwards: Vec<String>,
    /// The local ports that srun's step is to serve, until it is there.
    listeners: Vec<TcpListener>,
    /// Whether a step is being started.
    stepping: bool,
    ports: LocalPorts,
    profile: Option<LocalProfile>,
    /// Whether a browser was sent to a page in the private directory.
    opened: bool,
    /// ssh's words since the last try.
    words: Vec<String>,
    programs: u32,
}

/// Connects and tells the exit code.
pub fn run(options: &ConnectOptions, console: &mut Console) -> Outcome<u8> {
    let target = Target::read(&options.target)?;
    let ssh = match &target.host {
        Some(_) => Some(own_ssh::program()?),
        None => own_ssh::program().ok(),
    };
    run::event_loop()?.block_on(connect(options, target, ssh, console))
}

async fn connect(
    options: &ConnectOptions,
    target: Target,
    ssh: Option<PathBuf>,
    console: &mut Console,
) -> Outcome<u8> {
    // Prompts of ssh must not be drawn over.
    console.pause();
    let (sender, mut notices) = mpsc::unbounded_channel();
    Signals::catch()?.forward(&sender);
    let host = target.host.as_ref().map(|host| host.as_str().to_owned());
    let place = place(target.host.as_ref());
    let word = target.job.as_ref().map_or("", Job::as_str);
    let job = host
        .as_ref()
        .map_or_else(|| word.to_owned(), |host| format!("{word} on {host}"));
    let chosen = match options.via {
        Via::Auto => None,
        Via::Forward => Some(Way::Forward),
        Via::Jump => Some(Way::Jump),
        Via::Srun => Some(Way::Srun),
    };
    let mut connect = Connect {
        machine: Machine::new(job, host, chosen),
        facts: Facts::new(target.job.clone(), place),
        ports: LocalPorts::new(options.local_ports),
        options,
        target,
        console,
        sender,
        ssh,
        private: private_directory()?,
        link: None,
        node: None,
        entering: None,
        node_user: None,
        request: None,
        withdrawn: false,
        cancelling: None,
        forwarding: None,
        forwards: Vec::new(),
        listeners: Vec::new(),
        stepping: false,
        profile: None,
        opened: false,
        words: Vec::new(),
        programs: 0,
    };
    let outcome = connect.run(&mut notices).await;
    connect.close(&mut notices).await;
    outcome.map(|()| 0)
}

/// A directory that only we can enter, with a short path.
fn private_directory() -> Outcome<TempDir> {
    let place = state::temporary()
        .find(|place| place.as_os_str().len() <= LONGEST_PLACE)
        .ok_or_else(|| {
            Failure::missing("no private directory can be made: others could replace it in TMPDIR, in /tmp and in /dev/shm")
                .hint("set TMPDIR to a directory of yours with a short path")
        })?;
    tempfile::Builder::new()
        .prefix(PRIVATE_PREFIX)
        .permissions(Permissions::from_mode(0o700))
        .rand_bytes(8)
        .tempdir_in(&place)
        .map_err(|error| {
            Failure::missing(format!(
                "no private directory can be made in {}",
                place.display()
            ))
            .because(error)
            .hint("set TMPDIR to a directory of yours")
        })
}

impl Connect<'_> {
    /// The loop.
    async fn run(&mut self, notices: &mut UnboundedReceiver<Notice>) -> Outcome<()> {
        if let Some(Job::Id(_)) = &self.target.job
            && self.target.host.is_some()
        {
            // At once, so that a name that is taken is told before anybody is asked for a password.
            self.make_profile()?;
        }
        let mut end = self.handle(Event::Begin);
        while end.is_none() {
            // We keep a sender, so the channel never closes.
            let Some(notice) = notices.recv().await else {
                break;
            };
            end = self.notice(notice);
        }
        end.unwrap_or(Ok(()))
    }

    fn programs_mut(&mut self) -> impl Iterator<Item = &mut Program> {
        [
            &mut self.link,
            &mut self.node,
            &mut self.request,
            &mut self.cancelling,
        ]
        .into_iter()
        .flatten()
    }

    /// Ends what was started and removes what was made here.
    async fn close(&mut self, notices: &mut UnboundedReceiver<Notice>) {
        self.profile = None;
        for program in self.programs_mut() {
            program.stdin = None;
            program.signal(Signal::SIGTERM);
        }
        let all_ended = async {
            while self.programs_mut().any(|program| program.runs()) {
                match notices.recv().await {
                    Some(Notice::Exited { pid, exit }) => {
                        let sender = self.sender.clone();
                        if let Some(ended) = self.programs_mut().find(|program| program.is(pid)) {
                            ended.exited(exit, &sender);
                        }
                    }
                    // A second request: now.
                    Some(Notice::Stop(_)) | None => return,
                    Some(_) => {}
                }
            }
        };
        let _ = timeout(END_PATIENCE, all_ended).await;
        for program in self.programs_mut() {
            program.signal(Signal::SIGKILL);
        }
        if self.opened && self.forwards.is_empty() {
            browser::wait_until_read(notices).await;
        }
    }

    /// The script of the remote end, with its words.
    fn script(&self, mark: &str) -> String {
        let job = self.target.job.as_ref().map_or("", Job::as_str);
        format!(
            "mark={mark}\nset -- {} {}\n{}\n{WATCH}",
            quoted(job),
            quoted(queue::FORMAT),
            FIND,
        )
    }

    fn next_id(&mut self) -> u32 {
        self.programs += 1;
        self.programs
    }

    /// Starts the ssh to HOST, or the shell that looks here.
    fn open_link(&mut self, may_ask: bool) -> Outcome<()> {
        let mark = identity::random_hex::<16>()?;
        let script = self.script(&mark);
        self.facts.restart();
        let (program, args) = match (&self.target.host, &self.ssh) {
            (Some(host), Some(ssh)) => (
                ssh.clone(),
                ssh::link(&self.socket("s"), host.as_str(), READ_SCRIPT, may_ask),
            ),
            _ => (PathBuf::from("/bin/sh"), vec!["-s".to_owned()]),
        };
        let id = self.next_id();
        self.link = Some(Program::start(
            id,
            &program,
            &args,
            Some(&script),
            Output::Parts(mark),
            &self.sender,
        )?);
        Ok(())
    }
}
