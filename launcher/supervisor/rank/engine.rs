//! The engine of a rank that does not lead.

use super::Place;
use crate::failure::{Failure, Outcome};
use crate::here::os::affinity;
use crate::here::os::log::Log;
use crate::here::os::memory::Memory;
use crate::here::os::own_time::OwnTime;
use crate::here::os::stray_processes;
use crate::here::profile::directory;
use crate::here::profile::rendezvous::Seat;
use crate::here::site::topology;
use crate::plan::environment;
use crate::plan::incarnation::Incarnation;
use crate::plan::name::Unit;
use crate::plan::rendezvous::Order;
use crate::plan::services::cannot_bind;
use crate::plan::share::{Node, Provision};
use crate::plan::task_lines::{Report, Unbound};
use crate::plan::task_place::TaskPlace;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Between two looks for what a killed engine left.
const SWEEP_PAUSE: Duration = Duration::from_millis(20);

/// The longest that such looks go on.
pub const SWEEP_PATIENCE: Duration = Duration::from_secs(3);

/// Starts the engine and tells the leader of it.
pub fn start(place: &Place, seat: &Seat, leader: &Incarnation, order: &Order) -> Outcome<u32> {
    let rank = place.rank.number;
    let node = &place.node;
    let process = order.process(rank);
    let id = Unit::Engine(rank);
    let no_log = |error: std::io::Error| {
        Failure::missing(format!(
            "the log {} of rank {rank} on {node} cannot be written",
            process.log.display()
        ))
        .because(error)
    };
    let head = crate::supervisor::children::log_head(&leader.id, &id);
    let (_, mut log) = Log::open(&process.log, &head).map_err(no_log)?;
    if let Some(left) = directory::leave_open_directory()? {
        writeln!(log, "{left}").map_err(no_log)?;
    }
    let provision = provision(place, order)?;
    if let Some(why) = provision.remark.clone() {
        let node = node.clone();
        writeln!(log, "{}", Unbound { node, why }.line()).map_err(no_log)?;
    }
    let errors = log.try_clone().map_err(no_log)?;
    let mut command = Command::new(&process.program);
    command.args(&process.args);
    for (variable, _) in &place.environment {
        let kept = order.keeps_mpi
            && environment::is_of_mpi(variable)
            && !place.rank.leftovers.contains(variable);
        if environment::is_leftover(variable) && !kept {
            command.env_remove(variable);
        }
    }
    for name in &provision.dropped {
        command.env_remove(name);
    }
    command
        .envs(&order.set)
        .envs(provision.set)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        // A group of its own: what the starter sends to ours must not end the engine before the leader's word.
        .process_group(0);
    let cpus = provision.share.cpus.as_ref();
    let child = affinity::while_bound(cpus, || command.spawn()).map_err(|error| {
        Failure::missing(format!(
            "engine {rank} cannot be started on {node}: {}",
            process.program.display()
        ))
        .because(error)
        .hint("is the environment with ipyparallel there on every node?")
    })?;
    let report = Report {
        rank,
        node: node.clone(),
        pid: child.id(),
        step: place.step.clone(),
        memory: Memory::limit_here(),
        share: provision.share,
    };
    // The leader counts engines by the hub; without the report only their place is missing in the record.
    let _ = seat.report(&report);
    Ok(child.id())
}

/// What the engine is given of this node.
fn provision(place: &Place, order: &Order) -> Outcome<Provision> {
    let machine = topology::machine(order.bind.is_some(), &place.environment)?;
    let node = Node {
        environment: &place.environment,
        place: TaskPlace {
            is_bound: machine.is_bound,
            ..TaskPlace::read(&place.environment)
        },
        machine: &machine,
    };
    Provision::of(order.threads, order.bind, &node).map_err(|why| {
        let rule = order.bind.map(|rule| rule.to_string());
        cannot_bind(&rule.unwrap_or_default(), &why)
    })
}

/// Signals the engine; a kill is for the group that it leads as well.
pub fn signal(pid: Option<u32>, signal: Signal) {
    let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) else {
        return;
    };
    let _ = kill(Pid::from_raw(pid), signal);
    if signal == Signal::SIGKILL {
        let _ = killpg(Pid::from_raw(pid), signal);
    }
}

/// Ends what the engine left: as a child subreaper we have inherited it, nannies with sessions of their own included.
pub async fn sweep() {
    let begin = OwnTime::now();
    let mut asked = std::collections::BTreeSet::new();
    while begin.elapsed() < SWEEP_PATIENCE {
        let left = stray_processes::descendants();
        if left.is_empty() {
            return;
        }
        for leftover in left {
            if begin.elapsed() > SWEEP_PATIENCE / 4 {
                leftover.signal(Signal::SIGKILL);
            } else if asked.insert(leftover) {
                leftover.signal(Signal::SIGTERM);
            }
        }
        tokio::time::sleep(SWEEP_PAUSE).await;
    }
}
