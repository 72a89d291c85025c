//! The nine processes of a controller that is ready. Its main process notices neither the end of another nor a port that is
//! lost: every call on that channel would hang.

use super::attentive_pause;
use crate::failure::Failure;
use crate::here::process;
use crate::plan::connection::Endpoint;
use crate::plan::service::Name;
use crate::supervisor::notice::{Notice, Sender, Wired};
use std::collections::BTreeMap;

/// A process that is watched.
struct Watched {
    pid: u32,
    start: u64,
    endpoints: Vec<Endpoint>,
    /// Whether the look before found it stopped.
    stopped: bool,
}

/// Watches the processes of a controller until one of them has died, was stopped or has lost a port.
pub fn watch(wired: Wired, sender: Sender) {
    let mut processes = watched(wired.holders);
    tokio::spawn(async move {
        while !sender.is_closed() {
            let lost = wired.sockets.iter().find(|(_, held)| !held.is_held());
            let fault = processes.iter_mut().find_map(Watched::fault).or_else(|| {
                let (endpoint, _) = lost?;
                let text = format!(
                    "the controller listens no more on its {} port {}",
                    endpoint.name, endpoint.port
                );
                Some((text, false))
            });
            if let Some((fault, ended)) = fault {
                let failure =
                    Failure::service(fault).hint("calls that need it would hang for ever");
                let _ = sender.send(Notice::Broken {
                    service: Name::Controller,
                    pid: wired.pid,
                    ended,
                    failure,
                });
                return;
            }
            attentive_pause().await;
        }
    });
}

fn watched(holders: BTreeMap<u32, Vec<Endpoint>>) -> Vec<Watched> {
    let look = |(pid, endpoints)| Watched {
        pid,
        // One that has died already has no start, and is found at the first look.
        start: process::stat(pid).map_or(0, |stat| stat.start),
        endpoints,
        stopped: false,
    };
    holders.into_iter().map(look).collect()
}

impl Watched {
    /// What is wrong with it, and whether it has ended. One that is stopped must be found so twice: a batch system that suspends a whole job stops it and
    /// us, and wakes us a moment before it.
    fn fault(&mut self) -> Option<(String, bool)> {
        let stat = process::stat(self.pid).filter(|stat| stat.runs() && stat.start == self.start);
        let Some(stat) = stat else {
            return Some((self.fault_named("has died"), true));
        };
        // `t` is a debugger's doing.
        let stopped = stat.state == 'T';
        let was_stopped = std::mem::replace(&mut self.stopped, stopped);
        (stopped && was_stopped).then(|| (self.fault_named("is stopped (SIGSTOP)"), false))
    }

    fn fault_named(&self, what: &str) -> String {
        format!(
            "the controller's process for {} (pid {}) {what}",
            names(&self.endpoints),
            self.pid
        )
    }
}

/// `client mux port 4711, engine mux port 4712`; `the hub` for a process without a port of its own.
pub fn names(endpoints: &[Endpoint]) -> String {
    if endpoints.is_empty() {
        return "the hub".to_owned();
    }
    endpoints
        .iter()
        .map(|endpoint| format!("{} port {}", endpoint.name, endpoint.port))
        .collect::<Vec<_>>()
        .join(", ")
}
