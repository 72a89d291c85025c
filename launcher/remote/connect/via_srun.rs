//! The way through srun: a step of the job on the compute node, whose streams are those of the one session.

use super::endpoints::Reach;
use super::event::Event;
use super::notice::Notice;
use super::{Connect, probe};
use crate::failure::{Failure, Outcome};
use crate::remote::relay;
use std::io::{BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::ChildStdout;

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
