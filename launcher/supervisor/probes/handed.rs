//! A controller that was handed its sockets is ready when it has taken each that the connection files list, which it tells itself: that a
//! port listens proves nothing, because ipjob listens on it. Nothing is looked for again and again until then.

use super::Lack;
use super::controller::{
    Probe, THOROUGH, ZOMBIE_DOUBT, broken, dead_of, died, foreign, nobody_listens,
};
use crate::failure::Failure;
use crate::here::os::own_time::OwnTime;
use crate::here::os::process;
use crate::here::os::sockets::Held;
use crate::plan::Plan;
use crate::plan::connection::{Endpoint, Fault, Wiring};
use crate::plan::name::Name;
use crate::plan::wiring::PORTS;
use crate::supervisor::file_thread;
use crate::supervisor::notice::{Notice, Sender, Wired};
use std::collections::BTreeMap;
use std::future::pending;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

/// Who has taken a socket, and with which of its descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Taker {
    pid: u32,
    descriptor: u32,
}

/// Watches a controller that starts; `told` is where it tells which sockets it has taken.
pub fn watch_start(plan: &Plan, pid: u32, mut told: UnboundedReceiver<String>, sender: Sender) {
    let probe = Probe::of(plan, pid);
    file_thread::spawn(async move {
        let mut lack = Lack::of(Name::Controller);
        let mut taken = BTreeMap::new();
        let mut dead_since = None;
        // How many are lacking still; with the last one, and from time to time, all is looked at.
        let mut lacking = 0;
        while !sender.is_closed() && process::stat(pid).is_some_and(|stat| stat.runs()) {
            let found = match look(&probe, &taken, &mut lack, &sender) {
                Ok(wired) => Some(Notice::ControllerWired(wired)),
                Err(Unready::Broken(failure)) => Some(broken(pid, failure)),
                Err(Unready::Dead(fault)) => {
                    let since = *dead_since.get_or_insert_with(OwnTime::now);
                    let failure = Failure::not_ready(fault).hint("the log's last lines are above");
                    (since.elapsed() >= ZOMBIE_DOUBT).then(|| broken(pid, failure))
                }
                Err(Unready::NotYet(silent)) => {
                    (dead_since, lacking) = (None, silent);
                    None
                }
            };
            if let Some(notice) = found {
                let _ = sender.send(notice);
                return;
            }
            let more = async {
                while let Some(line) = told.recv().await {
                    taken.extend(read(&line));
                    lacking = lacking.saturating_sub(1);
                    if lacking == 0 {
                        return;
                    }
                }
                // Nobody is left who could tell: its end is told by who waits for it.
                pending::<()>().await;
            };
            let _ = timeout(THOROUGH, more).await;
        }
    });
}

/// Why it is not ready.
enum Unready {
    /// So many of its sockets have not been taken, or it cannot be told how many.
    NotYet(usize),
    /// One of its processes has died.
    Dead(String),
    /// It can never become ready.
    Broken(Failure),
}

fn look(
    probe: &Probe,
    taken: &BTreeMap<u16, Taker>,
    lack: &mut Lack,
    sender: &Sender,
) -> Result<Wired, Unready> {
    let (files, wiring) = probe.read();
    let wiring = match wiring {
        Ok(wiring) => wiring,
        Err(Fault::Incomplete(what)) => {
            lack.tell(what, sender);
            return Err(Unready::NotYet(0));
        }
        Err(Fault::Foreign(what)) => return Err(Unready::Broken(foreign(&what))),
    };
    let is_silent = |endpoint: &&Endpoint| !taken.contains_key(&endpoint.port);
    let silent: Vec<Endpoint> = wiring.endpoints.iter().filter(is_silent).cloned().collect();
    if silent.is_empty() {
        return Ok(Wired {
            pid: probe.pid,
            files,
            address: wiring.address.clone(),
            ports: PORTS,
            holders: holders(&wiring, taken, probe.pid),
            sockets: sockets(&wiring, taken),
        });
    }
    lack.tell(nobody_listens(&silent, &wiring), sender);
    let mut tree = process::descendants(probe.pid);
    tree.insert(probe.pid);
    Err(match dead_of(&tree, probe.pid) {
        Some(pid) => Unready::Dead(died(pid, &silent)),
        None => Unready::NotYet(silent.len()),
    })
}

/// The processes that have taken the listed sockets, each with its own; the hub is nobody's alone.
fn holders(
    wiring: &Wiring,
    taken: &BTreeMap<u16, Taker>,
    hub: u32,
) -> BTreeMap<u32, Vec<Endpoint>> {
    let mut holders: BTreeMap<u32, Vec<Endpoint>> = BTreeMap::from([(hub, Vec::new())]);
    for endpoint in &wiring.endpoints {
        if let Some(who) = taken.get(&endpoint.port).filter(|who| who.pid != hub) {
            holders.entry(who.pid).or_default().push(endpoint.clone());
        }
    }
    holders
}

/// The listed sockets in the hands of those who have taken them.
fn sockets(wiring: &Wiring, taken: &BTreeMap<u16, Taker>) -> Vec<(Endpoint, Held)> {
    let held = |endpoint: &Endpoint| {
        let who = taken.get(&endpoint.port)?;
        Some((endpoint.clone(), Held::at(who.pid, who.descriptor)?))
    };
    wiring.endpoints.iter().filter_map(held).collect()
}

/// Reads a line of `handed.py`: `PORT PID DESCRIPTOR`.
fn read(line: &str) -> Option<(u16, Taker)> {
    let mut words = line.split(' ');
    let port = words.next()?.parse().ok()?;
    let who = Taker {
        pid: words.next()?.parse().ok()?,
        descriptor: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some((port, who))
}

#[cfg(test)]
mod tests {
    use super::{Taker, read};

    #[test]
    fn a_line_is_read_whole_or_not_at_all() {
        let who = Taker {
            pid: 4711,
            descriptor: 12,
        };
        assert_eq!(read("8001 4711 12"), Some((8001, who)));
        for line in [
            "",
            "8001",
            "8001 4711",
            "8001 4711 12 1",
            "80010 4711 12",
            "8001 x 12",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
