//! The tunnel itself: forwards that are asked of a running ssh, the second ssh to the compute node, and the way through srun.

use super::endpoints::Reach;
use super::event::{Event, Way};
use super::notice::Notice;
use super::ssh_process::{Output, Program};
use super::{Asking, Connect, background, own_ssh, probe, ssh, ssh_errors};
use crate::failure::{Failure, Outcome};
use crate::plan::exit::Exit;
use crate::remote::relay;
use nix::sys::signal::Signal;
use std::io::{BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::ChildStdout;
use std::{mem, thread};

impl Connect<'_> {
    pub(super) fn bridge(&mut self, way: Way, reach: Reach, may_ask: bool) -> Outcome<()> {
        self.words.clear();
        if self.is_direct(way) {
            // On the login node itself nothing has to be carried.
            let _ = self.sender.send(Notice::Event(Event::Bridged(Ok(()))));
            return Ok(());
        }
        self.ports.give(&reach.endpoints())?;
        match way {
            Way::Forward => self.forward("s"),
            Way::Jump => {
                self.entering = Some((reach, may_ask));
                if self.node_user.is_none() {
                    self.ask_for_user();
                }
                // The user's name is waited for, and the end of an earlier ssh to a node.
                self.enter()
            }
            Way::Srun => self.start_step(&reach),
        }
    }

    /// Whether services are reached without a tunnel: no host was named, so this machine is the cluster's own.
    fn is_direct(&self, way: Way) -> bool {
        way == Way::Forward && self.target.host.is_none()
    }

    /// Asks a running ssh for the forwards.
    fn forward(&mut self, socket: &'static str) -> Outcome<()> {
        // A listener that is still to go would refuse the new one its port, or go in its stead.
        if self.withdrawn || self.cancelling.is_some() {
            self.forwarding = Some(socket);
            return Ok(());
        }
        self.forwards = self
            .ports
            .all()
            .map(|(endpoint, local)| ssh::forward(local, endpoint))
            .collect();
        self.ports.hand_over();
        let args = ssh::request(&self.socket(socket), "forward", &self.forwards);
        self.request = Some(self.start_ssh(&args, Output::Lines)?);
        Ok(())
    }

    fn start_ssh(&mut self, args: &[String], output: Output) -> Outcome<Program> {
        let id = self.next_id();
        let ssh = self.ssh_program()?;
        let (ssh, args) = match &self.behind {
            Some(_) => background::apart(ssh, args),
            None => (ssh.to_owned(), args.to_owned()),
        };
        Program::start(id, &ssh, &args, None, output, &self.sender)
    }

    fn ssh_program(&self) -> Outcome<&Path> {
        let ssh = self.ssh.as_deref();
        ssh.ok_or_else(|| Failure::missing("ssh is not on PATH"))
    }

    /// Asks for the forwards to go.
    fn cancel(&mut self) {
        if self.forwards.is_empty() {
            return;
        }
        let args = ssh::request(&self.socket("s"), "cancel", &self.forwards);
        self.cancelling = self.start_ssh(&args, Output::Lines).ok();
        self.forwards.clear();
    }

    /// The forwards that were to go are gone: those that have waited for it are asked for.
    pub(super) fn cancelled(&mut self) -> Option<Outcome<()>> {
        self.cancelling = None;
        let socket = self.forwarding.take()?;
        let forwarded = self.forward(socket);
        self.or_local(forwarded)
    }

    pub(super) fn unbridge(&mut self, way: Way) {
        self.forwarding = None;
        match way {
            // One that has not been answered is waited for: the two could pass each other on their ways to the running ssh.
            Way::Forward if self.request.is_some() => self.withdrawn = true,
            Way::Forward => self.cancel(),
            Way::Jump => {
                self.entering = None;
                // Its answer, that its ssh has gone, is no answer to the next one.
                self.request = None;
                if let Some(node) = &self.node {
                    node.signal(Signal::SIGTERM);
                }
            }
            Way::Srun => {
                // The step's streams are those of the only session: it ends with the ssh to HOST, which is then made anew.
                if let Some(link) = &self.link {
                    link.signal(Signal::SIGTERM);
                }
            }
        }
    }

    /// Looks up the user on the compute node: what ssh's configuration says of it, else the user on HOST.
    fn ask_for_user(&mut self) {
        let (Some(ssh), Some((reach, _))) = (self.ssh.clone(), &self.entering) else {
            return;
        };
        let node = reach.node.clone();
        let host = self
            .target
            .host
            .as_ref()
            .map(|host| host.as_str().to_owned());
        let sender = self.sender.clone();
        thread::spawn(move || {
            let user_of = |name: &str| own_ssh::user_of(&ssh, name);
            // A name that no configuration has gets the user of this machine.
            let default = user_of("ipjob-host-without-configuration.invalid");
            let own = user_of(&node);
            let user = match host {
                Some(host) if own == default => {
                    user_of(&host).filter(|user| Some(user) != own.as_ref())
                }
                _ => None,
            };
            let options = user.map_or_else(Vec::new, |user| vec!["-l".to_owned(), user]);
            let _ = sender.send(Notice::NodeUser(options));
        });
    }

    /// Starts the ssh to the compute node, if all that it needs is there.
    pub(super) fn enter(&mut self) -> Outcome<()> {
        if self.node.as_ref().is_some_and(Program::runs) {
            return Ok(());
        }
        let Some(user) = self.node_user.clone() else {
            return Ok(());
        };
        let Some((reach, may_ask)) = self.entering.take() else {
            return Ok(());
        };
        let program = self.ssh_program()?.display().to_string();
        let through = self.socket("s");
        let host = self.target.host.as_ref();
        let args = ssh::node(
            self.ssh_options(),
            &self.socket("n"),
            &program,
            host.map(|host| (through.as_path(), host.as_str())),
            &user,
            &reach.node,
            may_ask,
        );
        self.console.pause();
        self.asking = may_ask.then(Asking::default);
        self.node = Some(self.start_ssh(&args, Output::Lines)?);
        Ok(())
    }

    /// The ssh to the compute node is logged in.
    pub(super) fn node_opened(&mut self) -> Option<Outcome<()>> {
        self.asking = None;
        self.console.resume();
        let forwarded = self.forward("n");
        self.or_local(forwarded)
    }

    /// The request for forwards was answered.
    pub(super) fn forwarded(&mut self, request: &Program) -> Option<Outcome<()>> {
        if mem::take(&mut self.withdrawn) {
            self.cancel();
            // Where ssh cannot be started there is nothing to wait for.
            return match self.cancelling {
                Some(_) => None,
                None => self.cancelled(),
            };
        }
        if request.ended() == Some(&Exit::Code(0)) {
            return self.handle(Event::Bridged(Ok(())));
        }
        let why = ssh_errors::of_forwards(&self.words, &request.words);
        self.handle(Event::Bridged(Err(why)))
    }
}

/// The way through srun: a step of the job on the compute node, whose streams are those of the one session.
impl Connect<'_> {
    /// Asks the remote end to make way for the step.
    pub(super) fn start_step(&mut self, reach: &Reach) -> Outcome<()> {
        let Some(job) = self.facts.number() else {
            return Err(Failure::usage("--via srun is for jobs of Slurm")
                .hint("leave --via out: a job without Slurm is reached by ssh alone"));
        };
        let endpoints = reach.endpoints();
        let targets: Vec<String> = endpoints
            .iter()
            .map(|endpoint| probe::direct(endpoint).to_string())
            .collect();
        let line = format!(
            "srun {job} {} {} relay {}",
            reach.node,
            self.options.remote_ipjob,
            targets.join(" ")
        );
        self.ports.hand_over();
        self.listeners = endpoints
            .iter()
            .filter_map(|endpoint| self.ports.of(endpoint))
            .map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)))
            .collect::<Result<_, _>>()
            .map_err(|error| Failure::missing("cannot listen on a local port").because(error))?;
        self.forwards = targets;
        self.stepping = true;
        if let Some(stdin) = self.link.as_mut().and_then(|link| link.stdin.as_mut()) {
            // A remote end that has gone is told by ssh's own end.
            let _ = writeln!(stdin, "{line}");
        }
        Ok(())
    }

    /// The step's bytes come.
    pub(super) fn carry(&mut self, stream: BufReader<ChildStdout>) {
        let Some(stdin) = self.link.as_mut().and_then(|link| link.stdin.take()) else {
            return;
        };
        let sender = self.sender.clone();
        let listeners = std::mem::take(&mut self.listeners);
        relay::near_end(listeners, stream, stdin, move || {
            let _ = sender.send(Notice::Event(Event::Bridged(Ok(()))));
        });
    }
}
