//! A controller that binds its ports itself is ready when both files are complete and ours, and every port that they list is in LISTEN
//! by its own processes. The files alone prove nothing: they are written before the schedulers start, and a scheduler whose port is
//! taken dies while the controller looks alive and every call on that channel hangs.

use super::{Lack, next_attentive_look, pause};
use crate::failure::Failure;
use crate::here::os::own_time::{self, OwnTime};
use crate::here::os::{process, sockets};
use crate::here::profile::ports;
use crate::plan::Plan;
use crate::plan::connection::{self, Endpoint, Fault, Keys, Wiring};
use crate::plan::name::Name;
use crate::supervisor::file_thread;
use crate::supervisor::notice::{Notice, Sender, Wired};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, thread};
use tokio::time::sleep;

/// How long somebody else must hold a port to be believed.
const DOUBT: Duration = Duration::from_millis(100);

/// How long a dead process must stand: a helper program's zombie is one on a busy machine until it is waited for.
pub(super) const ZOMBIE_DOUBT: Duration = Duration::from_secs(2);

/// Between two looks at whose the ports are, before all of them listen: a look at the kernel's table of sockets takes from
/// the CPU that the controller needs.
pub(super) const THOROUGH: Duration = Duration::from_millis(250);

/// What is looked at.
pub(super) struct Probe {
    pub pid: u32,
    client_file: PathBuf,
    engine_file: PathBuf,
    key: String,
    server_key: Option<String>,
}

/// What one look tells.
enum Look {
    /// Not ready, and what it still lacks; where that is known, an address and port on which nobody listens.
    NotYet(String, Option<(Ipv4Addr, u16)>),
    /// A fault that must stand a while before it is believed.
    Suspect(Suspicion),
    /// It can never become ready.
    Broken(Failure),
    Ready(Wired),
}

/// A fault that may be none.
struct Suspicion {
    fault: String,
    /// How long it must stand.
    doubt: Duration,
}

impl Suspicion {
    /// The fault as what it is once it is believed.
    fn believed(self, pid: u32) -> Notice {
        let failure = Failure::not_ready(self.fault)
            .hint("the log's last lines are above; --controller-ports RANGE chooses other ports");
        broken(pid, failure)
    }
}

/// Watches a controller that starts and binds its ports itself.
pub fn watch_start(plan: &Plan, pid: u32, sender: Sender) {
    let probe = Probe::of(plan, pid);
    file_thread::spawn(async move {
        let mut lack = Lack::of(Name::Controller);
        let mut suspected: Option<(String, OwnTime)> = None;
        let mut silent = None;
        let mut whole = OwnTime::now();
        while !sender.is_closed() && process::stat(pid).is_some_and(|stat| stat.runs()) {
            let begin = OwnTime::now();
            let thorough = whole.elapsed() >= THOROUGH || suspected.is_some();
            if thorough {
                whole = begin;
            } else if silent.is_some_and(|(address, port)| !ports::is_listening(address, port)) {
                // Two system calls tell that nothing has changed.
                pause(begin).await;
                continue;
            }
            let found = match probe.look(thorough) {
                Look::Ready(wired) => Some(Notice::ControllerWired(wired)),
                Look::Broken(failure) => Some(broken(pid, failure)),
                Look::Suspect(suspicion) => {
                    let since = match &suspected {
                        Some((fault, since)) if *fault == suspicion.fault => *since,
                        // Not from the look's begin: on a busy machine one look may take longer than the doubt.
                        _ => OwnTime::now(),
                    };
                    suspected = Some((suspicion.fault.clone(), since));
                    (since.elapsed() >= suspicion.doubt).then(|| suspicion.believed(pid))
                }
                Look::NotYet(what, port) => {
                    silent = port;
                    suspected = None;
                    lack.tell(what, &sender);
                    None
                }
            };
            if let Some(notice) = found {
                let _ = sender.send(notice);
                return;
            }
            if suspected.is_some() {
                sleep(DOUBT).await;
            } else {
                pause(begin).await;
            }
        }
    });
}

pub(super) fn broken(pid: u32, failure: Failure) -> Notice {
    Notice::Broken {
        service: Name::Controller,
        pid,
        ended: false,
        failure,
    }
}

impl Probe {
    /// What is needed to look at this controller.
    pub(super) fn of(plan: &Plan, pid: u32) -> Self {
        Self {
            pid,
            client_file: plan.profile.own_client_file(),
            engine_file: plan.profile.own_engine_file(),
            key: plan.keys().signing.to_owned(),
            server_key: plan.keys().server.map(str::to_owned),
        }
    }

    /// What both connection files say, clients' first, and what that means.
    pub(super) fn read(&self) -> ([String; 2], Result<Wiring, Fault>) {
        let client = fs::read_to_string(&self.client_file).unwrap_or_default();
        let engine = fs::read_to_string(&self.engine_file).unwrap_or_default();
        let keys = Keys {
            signing: &self.key,
            server: self.server_key.as_deref(),
        };
        let wiring = connection::read(&client, &engine, keys);
        ([client, engine], wiring)
    }

    /// One look; only a thorough one asks whose a port is that listens before all do.
    fn look(&self, thorough: bool) -> Look {
        let (files, wiring) = self.read();
        match wiring {
            Ok(wiring) => match self.look_at_ports(&wiring, thorough) {
                Look::Ready(wired) => Look::Ready(Wired { files, ..wired }),
                other => other,
            },
            Err(Fault::Incomplete(what)) => Look::NotYet(what, None),
            Err(Fault::Foreign(what)) => Look::Broken(foreign(&what)),
        }
    }

    fn look_at_ports(&self, wiring: &Wiring, thorough: bool) -> Look {
        let address = wiring.address.parse().unwrap_or(Ipv4Addr::LOCALHOST);
        let silent: Vec<Endpoint> = wiring
            .endpoints
            .iter()
            .filter(|endpoint| !ports::is_listening(address, endpoint.port))
            .cloned()
            .collect();
        if !thorough && !silent.is_empty() {
            let last = silent.last().map(|endpoint| (address, endpoint.port));
            return Look::NotYet(nobody_listens(&silent, wiring), last);
        }
        let mut tree = process::descendants(self.pid);
        tree.insert(self.pid);
        let listening = sockets::Listening::of(tree.iter().copied());
        let silent: Vec<&Endpoint> = wiring
            .endpoints
            .iter()
            .filter(|endpoint| !listening.ours(endpoint.port))
            .collect();
        if silent.is_empty() {
            return Look::Ready(Wired {
                pid: self.pid,
                files: Default::default(),
                address: wiring.address.clone(),
                ports: listening.count(),
                holders: holders(wiring, &listening),
                sockets: sockets(wiring, &listening),
            });
        }
        if let Some(taken) = silent
            .iter()
            .find(|endpoint| listening.foreign(address, endpoint.port))
        {
            let holder = sockets::holder(taken.port)
                .unwrap_or_else(|| "a process that has already ended".to_owned());
            return Look::Suspect(Suspicion {
                fault: format!(
                    "the controller's {} port {} is held by {holder}: calls through it would hang",
                    taken.name, taken.port
                ),
                doubt: DOUBT,
            });
        }
        let silent: Vec<Endpoint> = silent.into_iter().cloned().collect();
        match dead_of(&tree, self.pid) {
            Some(pid) => Look::Suspect(Suspicion {
                fault: died(pid, &silent),
                doubt: ZOMBIE_DOUBT,
            }),
            None => Look::NotYet(nobody_listens(&silent, wiring), None),
        }
    }
}

/// Another controller has written the files.
pub(super) fn foreign(what: &str) -> Failure {
    Failure::not_ready(format!(
        "another controller writes into this profile: {what}"
    ))
    .hint("stop the other one, or choose another --profile")
}

/// A process of the tree that has died. The end of its root is told by who waits for it.
pub(super) fn dead_of(tree: &BTreeSet<u32>, root: u32) -> Option<u32> {
    let dead = |pid: &u32| *pid != root && process::stat(*pid).is_some_and(|stat| !stat.runs());
    tree.iter().copied().find(dead)
}

/// What the death of a process means while these ports are not open.
pub(super) fn died(pid: u32, silent: &[Endpoint]) -> String {
    format!(
        "a process of the controller (pid {pid}) died before {} was open",
        names(silent)
    )
}

/// The processes that hold the listed ports, each with those that it holds alone: forked children inherit the hub's
/// listening sockets as well.
fn holders(wiring: &Wiring, listening: &sockets::Listening) -> BTreeMap<u32, Vec<Endpoint>> {
    let mut holders: BTreeMap<u32, Vec<Endpoint>> = BTreeMap::new();
    for endpoint in &wiring.endpoints {
        let pids: Vec<u32> = listening.holders(endpoint.port).collect();
        for pid in &pids {
            let own = holders.entry(*pid).or_default();
            if pids.len() == 1 {
                own.push(endpoint.clone());
            }
        }
    }
    holders
}

pub(super) fn nobody_listens(silent: &[Endpoint], wiring: &Wiring) -> String {
    if silent.len() == wiring.endpoints.len() {
        format!("it listens on none of its {} ports", silent.len())
    } else {
        format!("nobody listens on {}", names(silent))
    }
}

/// The socket of each listed port, in the hands of a process that it belongs to: the first of those that share it is the hub.
fn sockets(wiring: &Wiring, listening: &sockets::Listening) -> Vec<(Endpoint, sockets::Held)> {
    let endpoints = wiring.endpoints.iter();
    let held = |endpoint: &Endpoint| {
        let pid = listening.holders(endpoint.port).next()?;
        Some((endpoint.clone(), listening.held(pid, endpoint.port)?))
    };
    endpoints.filter_map(held).collect()
}

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

/// The nine processes of a controller that is ready. Its main process notices neither the end of another nor a port that is
/// lost: every call on that channel would hang.
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
