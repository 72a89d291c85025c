//! The nine processes of a controller that is ready. Its main process notices neither the end of another nor a port that is
//! lost: every call on that channel would hang.

use super::next_attentive_look;
use crate::failure::Failure;
use crate::here::os::{own_time, process};
use crate::plan::connection::Endpoint;
use crate::plan::name::Name;
use crate::supervisor::notice::{Notice, Sender, Wired};
use std::collections::BTreeMap;
use std::thread;

/// Of so many looks one is at the sockets too: each takes as long as a look at a process, and they are twice as many. A socket is closed
/// by a fault of its program alone; one that is stopped must be seen so twice within 2 s.
const SOCKETS_LOOK: u32 = 2;

/// A process that is watched.
struct Watched {
    pid: u32,
    /// `None` for one that had died before it was looked at.
    process: Option<process::Watched>,
    endpoints: Vec<Endpoint>,
    /// Whether the look before found it stopped.
    stopped: bool,
}

/// Watches the processes of a controller until one of them has died, was stopped or has lost a port.
pub fn watch(wired: Wired, sender: Sender) {
    let mut processes = watched(wired.holders);
    // A thread of its own wakes up once for each look, where the loop's timers take two.
    let thread = thread::Builder::new().name("processes".to_owned());
    let _ = thread.spawn(move || {
        let mut looks = 0_u32;
        let mut stood = own_time::stood_still();
        while !sender.is_closed() {
            looks = looks.wrapping_add(1);
            if std::mem::replace(&mut stood, own_time::stood_still()) != stood {
                // Stopped before us and not woken yet: a batch system that suspends a job stops one process after the other.
                for one in &mut processes {
                    one.stopped = false;
                }
            }
            let mut sockets = wired
                .sockets
                .iter()
                .filter(|_| looks.is_multiple_of(SOCKETS_LOOK));
            let lost = sockets.find(|(_, held)| !held.is_held());
            let fault = processes.iter_mut().find_map(Watched::fault).or_else(|| {
                let (endpoint, _) = lost?;
                let text = format!(
                    "the controller no longer listens on its {} port {}",
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
            thread::sleep(next_attentive_look());
        }
    });
}

fn watched(holders: BTreeMap<u32, Vec<Endpoint>>) -> Vec<Watched> {
    let look = |(pid, endpoints)| Watched {
        pid,
        process: process::Watched::of(pid),
        endpoints,
        stopped: false,
    };
    holders.into_iter().map(look).collect()
}

impl Watched {
    /// What is wrong with it, and whether it has ended. One that is stopped must be found so twice: a batch system that suspends a whole job stops it and
    /// us, and wakes us a moment before it.
    fn fault(&mut self) -> Option<(String, bool)> {
        let stat = self.process.as_ref().and_then(process::Watched::stat);
        let Some(stat) = stat.filter(process::Stat::runs) else {
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
