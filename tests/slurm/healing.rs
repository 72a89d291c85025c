//! What dies in a job is replaced, with engines on another node: they keep their data and the user's client works on.

use super::px;
use crate::healing::Steady;
use crate::support::{
    Lab,
    lab::{ALICE, SlurmJob},
    wait_for,
};
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

/// Longer than Slurm's daemons, engines and the hub leave each other unanswered for without a word.
const STOPPED: Duration = Duration::from_secs(12);

/// A client on the login node that computes all the time, as in tests/healing/steady.py.
fn steady(lab: &Lab, job: &SlurmJob) -> Steady {
    let file = lab.script("steady.py", include_str!("../healing/steady.py"));
    let mut command = lab.on(ALICE, "login");
    command
        .arg("python3")
        .arg(file)
        .arg(format!("job_{}", job.id));
    Steady::begin(&mut command)
}

/// What a client finds that has lost nothing.
fn whole(ids: &[u32]) -> Value {
    json!({
        "ids": ids, "same_engines": true, "data": true, "balanced": true, "broadcast": true, "twice": 0, "forgotten": 0,
    })
}

fn assert_whole(client: &mut Steady, ids: &[u32]) {
    let seen = client.check();
    assert_eq!(seen["open"], whole(ids), "{seen}");
    assert_eq!(seen["new"], whole(ids), "{seen}");
    assert_eq!(seen["wrong"], 0, "{seen}");
}

/// Sends a signal to a process of alice's, by the id that it has on its machine.
fn send(lab: &Lab, machine: &str, signal: &str, pid: &str) {
    let done = lab.shell(ALICE, machine, &format!("kill -{signal} {pid}"));
    assert_eq!(done.code, 0, "{}", done.text);
}

/// The children of a process of the first node whose command line has this word, oldest first.
fn children(lab: &Lab, parent: &Value, word: &str) -> Vec<String> {
    let done = lab.shell(ALICE, "node1", &format!("pgrep -P {parent} -f {word}"));
    assert_eq!(done.code, 0, "{}", done.text);
    done.text.lines().map(str::to_owned).collect()
}

/// Waits until a service was started so often again and the job is ready.
fn wait_replaced(job: &SlurmJob, service: &str, times: u32) -> Value {
    wait_for(&format!("restart {times} of {service}"), || {
        let record = job.record()?;
        assert_ne!(record["state"], "ended", "{}", job.output());
        (record["restarts"][service] == times && record["state"] == "ready").then_some(record)
    })
}

fn connection_files(job: &SlurmJob) -> [Value; 2] {
    ["client", "engine"].map(|who| {
        let path = job.profile(&format!("security/ipcontroller-{who}.json"));
        let text = fs::read(path).expect("a connection file");
        serde_json::from_slice(&text).expect("JSON")
    })
}

#[test]
fn controller_and_jupyter_are_replaced_while_a_client_computes_on_two_nodes() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=2", "--time=20"],
        "exec ipjob --mode notebook --mpi none",
    );
    let before = job.wait_state("ready");
    let wired = connection_files(&job);
    assert!(wired[0]["curve_serverkey"].is_string(), "encrypted");
    let mut client = steady(&lab, &job);
    let ids = [0, 1, 2, 3];
    let ipjob = &before["incarnation"]["pid"];
    let jupyter = children(&lab, ipjob, "jupyter-lab");
    for (times, victim, signal) in [
        (1, "all of it", "KILL"),
        (2, "a scheduler", "KILL"),
        (3, "the hub", "STOP"),
    ] {
        let record = job.record().expect("a record");
        let hub = &record["controller"]["pid"];
        let pid = match victim {
            "a scheduler" => children(&lab, hub, "ipcontroller").pop().expect("nine"),
            _ => hub.to_string(),
        };
        let fallen = Instant::now();
        send(&lab, "node1", signal, &pid);
        job.wait_line(&format!("restarting it ({times} of 5)"));
        let found = fallen.elapsed();
        let record = wait_replaced(&job, "controller", times);
        println!(
            "{victim}: found in {found:.2?}, ready after {:.2?}",
            fallen.elapsed()
        );
        assert_eq!(connection_files(&job), wired, "{victim}");
        for same in ["engines", "url", "token", "port", "step"] {
            assert_eq!(record[same], before[same], "{victim}: {same}");
        }
        assert_whole(&mut client, &ids);
    }
    assert_eq!(
        children(&lab, ipjob, "jupyter-lab"),
        jupyter,
        "it noticed nothing"
    );

    send(&lab, "node1", "KILL", &jupyter[0]);
    let after = wait_replaced(&job, "jupyter", 1);
    for same in ["engines", "url", "token", "port", "step"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    let url = after["url"].as_str().expect("an address");
    let asked = lab.python(
        "login",
        &format!("import urllib.request; print(urllib.request.urlopen({url:?}).status)"),
    );
    assert_eq!(asked, "200");
    assert_whole(&mut client, &ids);

    let shown = lab.shell(ALICE, "login", &format!("ipjob status {}", job.id));
    let line = "restarts controller 3, jupyter 1";
    assert!(shown.text.contains(line), "{}", shown.text);
    job.cancel();
}

#[test]
fn a_controller_is_replaced_beside_an_mpi_world() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=2", "--time=20"],
        "exec ipjob --mode cluster-only",
    );
    let before = job.wait_state("ready");
    let wired = connection_files(&job);
    let mut client = steady(&lab, &job);
    send(
        &lab,
        "node1",
        "KILL",
        &before["controller"]["pid"].to_string(),
    );
    let after = wait_replaced(&job, "controller", 1);
    assert_eq!(connection_files(&job), wired);
    for same in ["engines", "step"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_whole(&mut client, &[0, 1, 2, 3]);
    drop(client);
    let cell = "from mpi4py import MPI\ntotal = MPI.COMM_WORLD.allreduce(1)\nkept = sum(data)";
    let profile = format!("job_{}", job.id);
    let seen = px(&lab, "login", &profile, cell, &["total", "kept"]);
    assert_eq!(seen[1], json!([4, 4, 4, 4]), "the world is whole");
    let kept = seen[2].as_array().expect("a list").iter();
    let sum: u64 = kept.map(|part| part.as_u64().expect("a number")).sum();
    assert_eq!(sum, (0..8000).sum::<u64>());
    job.cancel();
}

#[test]
fn what_happened_while_ipjob_stood_still_and_slurmctld_was_started_anew_is_caught_up_with() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=2", "--time=20"],
        "exec ipjob --mode cluster-only --mpi none",
    );
    let before = job.wait_state("ready");
    let ipjob = before["incarnation"]["pid"].to_string();
    send(&lab, "node1", "STOP", &ipjob);
    let stopped = Instant::now();
    wait_for("ipjob to stand still", || {
        let stat = lab.shell(ALICE, "node1", &format!("ps -o state= -p {ipjob}"));
        (stat.text.trim() == "T").then_some(())
    });
    // Its whole controller dies meanwhile, an engine of the other node, and Slurm's own controller is away.
    super::outage::stop_slurmctld(&lab);
    lab.kill("node2", &before["engines"]["list"][3]["pid"]);
    send(
        &lab,
        "node1",
        "KILL",
        &before["controller"]["pid"].to_string(),
    );
    wait_for("more than ten seconds", || {
        (stopped.elapsed() > STOPPED).then_some(())
    });
    let up = lab.shell("root", "ctl", "slurmctld");
    assert_eq!(up.code, 0, "{}", up.text);
    send(&lab, "node1", "CONT", &ipjob);
    let after = wait_for("all that happened", || {
        let record = job.record()?;
        assert_ne!(record["state"], "ended", "{}", job.output());
        let caught_up = record["state"] == "degraded"
            && record["restarts"]["controller"] == 1
            && record["engines"]["missing"] == json!([3])
            && record["engines"]["registered"] == 3;
        caught_up.then_some(record)
    });
    assert_eq!(after["engines"]["list"], before["engines"]["list"]);
    job.wait_line("the hub knows 3 engines again");
    let profile = format!("job_{}", job.id);
    let seen = px(&lab, "login", &profile, "x = 1 + 1", &["x"]);
    assert_eq!(seen, json!([[0, 1, 2], [2, 2, 2]]));
    job.cancel();
}
