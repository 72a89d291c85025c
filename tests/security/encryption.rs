//! What can be heard: by who connects to the controller's ports, and by who listens on one that has become free.

use super::{Bob, as_bob, ports::text_of};
use crate::real::python;
use crate::support::{Job, Needed, Place, carriers, venv, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::Path;

const OVERHEAR: &str = concat!(include_str!("zmtp.py"), include_str!("overhear.py"));
const LISTEN: &str = concat!(include_str!("zmtp.py"), include_str!("listen.py"));

/// What an engine prints and what a task carries: 9 letters that stand nowhere else.
const SAID: &str = "swordfish";

fn cluster(place: &Place, curve: &str) -> (Job, Value) {
    let arguments = ["--mode", "cluster-only", "-n", "1", "--curve", curve];
    let mut job = Job::start(place, &arguments);
    let record = job.wait_ready();
    assert_eq!(record["controller"]["encrypted"], curve == "on");
    (job, record)
}

fn file(profile: &Path, side: &str) -> Value {
    let path = profile.join(format!("security/ipcontroller-{side}.json"));
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

/// Whether another user, who connects to the port of the engines' output as clients do, hears what one prints.
fn is_overheard(curve: &str) -> Needed<bool> {
    let venv = venv("main")?;
    let mut bob = as_bob(OVERHEAR)?;
    let place = Place::with_venv(&venv);
    let (mut job, _) = cluster(&place, curve);
    let client = file(job.profile(), "client");
    assert_eq!(client["curve_serverkey"].is_string(), curve == "on");
    let port = format!("tcp:{}", client["iopub"]);
    let mut bob = Bob::start(bob.args(["SUB", SAID, &port]));
    let entered = u8::from(curve == "off");
    assert_eq!(bob.line(), format!("{entered} of 1 shake hands"));
    // Said until it was heard by who may hear it: a subscription takes its time.
    python::run(&place, &venv, "../security/say.py", &["job_local", SAID]);
    let heard = bob.end();
    job.stop();
    Ok(heard == ["heard"])
}

#[test]
fn what_engines_print_is_heard_by_others_only_without_encryption() {
    for (curve, heard) in [("off", true), ("on", false)] {
        let found = needed!(is_overheard(curve));
        assert_eq!(found, heard, "--curve {curve}");
    }
}

/// What an engine says to somebody who listens on a port of its dead controller, and whether it does what he says. The port can be had
/// only where the controller does not take ipjob's sockets.
fn meets_a_fake_controller(curve: &str) -> Needed<String> {
    let venv = venv("main")?;
    let mut bob = as_bob(LISTEN)?;
    let place = Place::with_venv(&venv);
    // No script of Python's: it takes no sockets of ipjob's, and its ports are free when it is dead.
    let real = venv.join("bin/ipcontroller");
    place.script("ipcontroller", &format!("exec {} \"$@\"", real.display()));
    let (job, record) = cluster(&place, curve);
    let port = file(job.profile(), "engine")["mux"].to_string();
    // ipjob would take it all down or start another controller: it is held while the port is free.
    job.signal(Signal::SIGSTOP);
    let incarnation = record["incarnation"]["id"].as_str().expect("an id");
    for (pid, line) in carriers(incarnation) {
        if line.contains("ipcontroller") {
            let pid = Pid::from_raw(i32::try_from(pid).expect("a pid"));
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
    wait_for("the end of the controller", || {
        let left = carriers(incarnation);
        (!left.iter().any(|(_, line)| line.contains("ipcontroller"))).then_some(())
    });
    let obeyed = place.dir().join("obeyed");
    let bob = bob
        .args([port.as_str(), obeyed.to_str().expect("text")])
        .spawn()
        .expect("python");
    let told = text_of(bob);
    assert!(!obeyed.exists(), "the engine did what he said");
    job.signal(Signal::SIGCONT);
    Ok(told)
}

#[test]
fn an_engine_does_not_obey_who_listens_on_a_freed_port() {
    let open = needed!(meets_a_fake_controller("off"));
    assert_eq!(open, "met an engine\n");
    // It asks for a proof of the server's key, and says nothing more without one.
    let closed = needed!(meets_a_fake_controller("on"));
    assert_eq!(closed, "met nobody who speaks to him\n");
}

/// What another user is given who connects, as an engine would, to what engines and nannies listen on: how many places let him in, and whether a
/// request that the user signed came to him. A nanny shares what it hands on among all who have connected.
fn is_given_requests(arguments: &[&str]) -> Needed<(String, String)> {
    let venv = venv("main")?;
    let mut bob = as_bob(OVERHEAR)?;
    let place = Place::with_venv(&venv);
    let start = ["--mode", "cluster-only", "-n", "2"];
    let mut job = Job::start(&place, &[&start, arguments].concat());
    let record = job.wait_ready();
    let incarnation = record["incarnation"]["id"].as_str().expect("an id");
    let engines = carriers(incarnation)
        .into_iter()
        .filter(|(_, line)| line.contains("ipengine") || line.contains("nanny"))
        .map(|(pid, _)| pid)
        .collect();
    let ports = super::listening(&engines);
    assert_eq!(ports.len(), 4, "each engine's and each nanny's: {ports:?}");
    let places = ports.iter().map(|port| format!("tcp:{port}"));
    let mut bob = Bob::start(bob.args(["ROUTER", "clear_request"]).args(places));
    let entered = bob.line();
    python::run(&place, &venv, "../security/clear.py", &["job_local"]);
    let heard = bob.end().concat();
    job.stop();
    Ok((entered, heard))
}

#[test]
fn nannies_give_signed_requests_to_others_only_without_encryption() {
    let (_, heard) = needed!(is_given_requests(&["--curve", "off"]));
    assert_eq!(heard, "heard");
    for way in ["exec", "fork"] {
        let (entered, heard) = needed!(is_given_requests(&["--engine-start", way]));
        assert_eq!(entered, "0 of 4 shake hands", "{way}");
        assert_eq!(heard, "not heard", "{way}");
    }
}
