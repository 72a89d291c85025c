//! The controller is ready when both files are complete and ours, and every port that they list is in LISTEN by its own
//! processes. The files alone prove nothing: they are written before the schedulers start, and a scheduler whose port is
//! taken dies while the controller looks alive and every call on that channel hangs.

use super::{Lack, calm_pause, pause};
use crate::failure::Failure;
use crate::here::{process, sockets};
use crate::plan::Plan;
use crate::plan::connection::{self, Endpoint, Fault, Wiring};
use crate::plan::service::Name;
use crate::supervisor::event::Event;
use crate::supervisor::notice::{Notice, Sender, Wired};
use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long somebody else must hold a port to be believed.
const DOUBT: Duration = Duration::from_millis(100);

/// How long a dead process must stand: a helper program's zombie is one on a busy machine until it is waited for.
const ZOMBIE_DOUBT: Duration = Duration::from_secs(2);

/// What is looked at.
struct Probe {
    pid: u32,
    client_file: PathBuf,
    engine_file: PathBuf,
    key: String,
}

/// What one look tells.
enum Look {
    /// Not ready, and what it still lacks.
    NotYet(String),
    /// A fault that must stand so long before it is believed.
    Suspect(String, Duration),
    /// It can never become ready.
    Broken(Failure),
    Ready(Wired),
}

/// Watches a controller that starts.
pub fn watch_start(plan: &Plan, pid: u32, sender: Sender) {
    let probe = Probe {
        pid,
        client_file: plan.profile.own_client_file(),
        engine_file: plan.profile.own_engine_file(),
        key: plan.secrets.key.reveal().to_owned(),
    };
    tokio::spawn(async move {
        let mut lack = Lack::of(Name::Controller);
        let mut suspicion: Option<(String, Instant)> = None;
        while !sender.is_closed() {
            let begin = Instant::now();
            let found = match probe.look() {
                Look::Ready(wired) => Some(Notice::ControllerWired(wired)),
                Look::Broken(failure) => Some(broken(failure)),
                Look::Suspect(fault, doubt)
                    if suspicion
                        .as_ref()
                        .is_some_and(|(known, since)| *known == fault && since.elapsed() >= doubt) =>
                {
                    Some(broken(Failure::not_ready(fault).hint(
                        "the log's last lines are above; --controller-ports RANGE chooses other ports",
                    )))
                }
                Look::Suspect(fault, _) => {
                    if suspicion.as_ref().is_none_or(|(known, _)| *known != fault) {
                        suspicion = Some((fault, Instant::now()));
                    }
                    None
                }
                Look::NotYet(what) => {
                    suspicion = None;
                    lack.tell(what, &sender);
                    None
                }
            };
            if let Some(notice) = found {
                let _ = sender.send(notice);
                return;
            }
            if suspicion.is_some() {
                sleep(DOUBT).await;
            } else {
                pause(begin).await;
            }
        }
    });
}

/// Watches the processes of a controller that is ready: its main process does not notice when one of them dies.
pub fn watch_processes(holders: BTreeMap<u32, Vec<Endpoint>>, sender: Sender) {
    let starts: BTreeMap<u32, u64> = holders
        .keys()
        .filter_map(|pid| Some((*pid, process::stat(*pid)?.start)))
        .collect();
    tokio::spawn(async move {
        while !sender.is_closed() {
            let dead = holders.iter().find(|(pid, _)| {
                !process::stat(**pid)
                    .is_some_and(|stat| stat.runs() && starts.get(*pid) == Some(&stat.start))
            });
            if let Some((pid, endpoints)) = dead {
                let failure = Failure::service(format!(
                    "the controller's process for {} (pid {pid}) has died",
                    names(endpoints)
                ))
                .hint("calls that need it would hang for ever");
                let _ = sender.send(broken(failure));
                return;
            }
            calm_pause().await;
        }
    });
}

fn broken(failure: Failure) -> Notice {
    Notice::Event(Event::Broken {
        service: Name::Controller,
        failure,
    })
}

impl Probe {
    fn look(&self) -> Look {
        let client = fs::read_to_string(&self.client_file).unwrap_or_default();
        let engine = fs::read_to_string(&self.engine_file).unwrap_or_default();
        match connection::read(&client, &engine, &self.key) {
            Ok(wiring) => self.look_at_ports(&wiring),
            Err(Fault::Incomplete(what)) => Look::NotYet(what),
            Err(Fault::Foreign(what)) => Look::Broken(
                Failure::not_ready(format!(
                    "another controller writes into this profile: {what}"
                ))
                .hint("stop the other one, or choose another --profile"),
            ),
        }
    }

    fn look_at_ports(&self, wiring: &Wiring) -> Look {
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
                address: wiring.address.clone(),
                ports: listening.count(),
                holders: holders(wiring, &listening),
            });
        }
        let address = wiring.address.parse().unwrap_or(Ipv4Addr::LOCALHOST);
        if let Some(taken) = silent
            .iter()
            .find(|endpoint| listening.foreign(address, endpoint.port))
        {
            let holder = sockets::holder(taken.port)
                .unwrap_or_else(|| "a process that is gone again".to_owned());
            return Look::Suspect(
                format!(
                    "the controller's {} port {} is held by {holder}: calls through it would hang",
                    taken.name, taken.port
                ),
                DOUBT,
            );
        }
        let dead = tree
            .iter()
            .find(|pid| process::stat(**pid).is_some_and(|stat| !stat.runs()));
        let silent: Vec<Endpoint> = silent.into_iter().cloned().collect();
        let silent = names(&silent);
        match dead {
            Some(pid) => Look::Suspect(
                format!("a process of the controller (pid {pid}) died before {silent} was open"),
                ZOMBIE_DOUBT,
            ),
            None => Look::NotYet(format!("nobody listens on {silent}")),
        }
    }
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

/// `client mux port 4711, engine mux port 4712`; `the hub` for a process without a port of its own.
fn names(endpoints: &[Endpoint]) -> String {
    if endpoints.is_empty() {
        return "the hub".to_owned();
    }
    endpoints
        .iter()
        .map(|endpoint| format!("{} port {}", endpoint.name, endpoint.port))
        .collect::<Vec<_>>()
        .join(", ")
}
