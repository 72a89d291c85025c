//! Engines of a step that start again: one by one, or as a whole MPI world.

use super::px;
use crate::support::lab::{ALICE, SlurmJob};
use crate::support::{Lab, wait_for};
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

/// The hub drops a silent engine after 5 s, and not after 30 s.
const IMPATIENT: &str = "--controller-arg=--HeartMonitor.max_heartmonitor_misses=20";

/// Waits until so many engines were started again, or so many sets, and all work.
fn wait_restarts(job: &SlurmJob, times: u32) -> Value {
    wait_for(&format!("{times} restarts of job {}", job.id), || {
        let record = job.record()?;
        assert_ne!(record["state"], "ended", "{}", job.output());
        let done = record["restarts"]["engines"] == times && record["state"] == "ready";
        done.then_some(record)
    })
}

fn signal(lab: &Lab, engine: &Value, signal: &str) {
    let node = engine["node"].as_str().expect("a node");
    let line = format!("kill -{signal} {}", engine["pid"]);
    let done = lab.shell(ALICE, node, &line);
    assert_eq!(done.code, 0, "{}", done.text);
}

fn runs(lab: &Lab, engine: &Value) -> bool {
    let node = engine["node"].as_str().expect("a node");
    let line = format!("kill -0 {}", engine["pid"]);
    lab.shell(ALICE, node, &line).code == 0
}

#[test]
fn killed_and_frozen_engines_come_back_as_steps_of_their_own() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=2", "--time=20"],
        &format!("exec ipjob --mode cluster-only --mpi none --respawn engine {IMPATIENT}"),
    );
    let profile = format!("job_{}", job.id);
    let before = job.wait_state("ready");
    let seen = px(&lab, "login", &profile, "mine = 7", &["mine"]);
    assert_eq!(seen, json!([[0, 1, 2, 3], [7, 7, 7, 7]]));
    let engine = |record: &Value, id: usize| record["engines"]["list"][id].clone();

    signal(&lab, &engine(&before, 3), "KILL");
    let after = wait_restarts(&job, 1);
    let cell = "import os\nproc = int(os.environ['SLURM_PROCID'])\nlocal = int(os.environ['SLURM_LOCALID'])\nnode = os.environ['SLURMD_NODENAME']\nold = globals().get('mine', 0)\npid = os.getpid()";
    let names = ["proc", "local", "node", "old", "pid"];
    let seen = px(&lab, "login", &profile, cell, &names);
    assert_eq!(seen[0], json!([0, 1, 2, 3]));
    assert_eq!(seen[1], seen[0], "its rank is what it was");
    assert_eq!(seen[2], json!([0, 1, 0, 1]));
    assert_eq!(seen[3], json!(["node1", "node1", "node2", "node2"]));
    assert_eq!(
        seen[4],
        json!([7, 7, 7, 0]),
        "the others keep their variables"
    );
    // Each engine starts a step of its own on its node, the one that was started again as well: what srun finds in its environment is
    // its step's, and not the batch script's.
    let nested = "import subprocess\nstep = int(os.environ['SLURM_STEP_ID'])\nline = ['srun', '--overlap', '-N1', '-n1', '-w', node, 'hostname']\ndone = subprocess.run(line, capture_output=True, text=True)\nhost = done.stdout.strip() or done.stderr";
    let names = ["step", "host", "node"];
    let nested = px(&lab, "login", &profile, nested, &names);
    assert_eq!(
        nested[1].as_array().map(|steps| &steps[..3]),
        Some(&[json!(0), json!(0), json!(0)][..])
    );
    assert!(nested[1][3].as_u64() > Some(0), "{nested}");
    assert_eq!(nested[2], nested[3], "where their own steps ran");
    let list = after["engines"]["list"].as_array().expect("a list");
    let pids: Vec<&Value> = list.iter().map(|engine| &engine["pid"]).collect();
    assert_eq!(json!(pids), seen[5]);
    assert_eq!(
        after["step"], before["step"],
        "the first step is still the engines'"
    );
    let log = fs::read_to_string(job.profile("log/ipjob-engine-3.log")).expect("a log of its own");
    assert!(log.contains("0: ipjob-engine rank 3 on node2"), "{log}");

    // Frozen, as a task of the first step and as a step of its own: the processes live, and are ended by who takes their place.
    for (id, times) in [(2, 2), (3, 3)] {
        let frozen = engine(&job.record().expect("a record"), id);
        signal(&lab, &frozen, "STOP");
        let now = wait_restarts(&job, times);
        assert_ne!(engine(&now, id)["pid"], frozen["pid"]);
        assert_eq!(engine(&now, id)["node"], "node2");
        assert!(!runs(&lab, &frozen), "the frozen one is left");
    }

    // Slurm ends all that is left of the first step: the job goes on, and both come back.
    let step = before["step"].as_str().expect("a step");
    let done = lab.shell(ALICE, "login", &format!("scancel {step}"));
    assert_eq!(done.code, 0, "{}", done.text);
    wait_restarts(&job, 5);
    let seen = px(&lab, "login", &profile, cell, &["proc", "node"]);
    assert_eq!(seen[1], json!([0, 1, 2, 3]));
    assert_eq!(seen[2], json!(["node1", "node1", "node2", "node2"]));

    // All of them together: the steps of single engines end as well, or the hub would never drop them.
    let line = format!("ipjob restart {} --all", job.id);
    let done = lab.shell(ALICE, "login", &line);
    assert_eq!(done.code, 0, "{}\n{}", done.text, job.output());
    let told = done.text.contains("4 of 4 engines are running");
    assert!(told, "{}", done.text);
    let seen = px(&lab, "login", &profile, cell, &["proc", "old"]);
    assert_eq!(seen, json!([[0, 1, 2, 3], [0, 1, 2, 3], [0, 0, 0, 0]]));
    let ended = job.cancel();
    assert_eq!(ended.state, "CANCELLED", "{}", ended.output);
    assert!(
        !ended.output.contains("did not end when asked"),
        "{}",
        ended.output
    );
}

#[test]
fn an_engine_that_is_killed_six_times_is_given_up_by_name() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=2", "--time=20"],
        &format!("exec ipjob --mode cluster-only --mpi none --respawn engine {IMPATIENT}"),
    );
    job.wait_state("ready");
    for times in 0..6 {
        let record = wait_restarts(&job, times);
        signal(&lab, &record["engines"]["list"][3], "KILL");
    }
    let text = "engine 3 was restarted 5 times and ended each time: the job continues without it";
    job.wait_line(text);
    // The record is written after the line.
    let record = job.wait_state("degraded");
    assert_eq!(record["restarts"]["engines"], 5);
    assert_eq!(record["engines"]["missing"], json!([3]));
    let output = job.output();
    let cause = "ended with exit code 137: srun: error: node2: task 0: Killed";
    assert!(output.contains(cause), "{output}");
    job.cancel();
}

/// What an open client sees of two worlds, one after the other: it waits for a line on stdin in between.
const OPEN: &str = "
import ipyparallel as ipp, sys
rc = ipp.Client(profile=sys.argv[1], timeout=30)
def world():
    from mpi4py import MPI
    return MPI.COMM_WORLD.rank, MPI.COMM_WORLD.allreduce(1)
print(rc.ids, rc[:].apply_sync(world), flush=True)
sys.stdin.readline()
print(rc.ids, rc[:].apply_sync(world), flush=True)
";

#[test]
fn an_mpi_world_that_loses_a_rank_starts_again_as_a_whole() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::Stdio;
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=2", "--time=20"],
        "exec ipjob --mode notebook --respawn set",
    );
    let before = job.wait_state("ready");
    let profile = format!("job_{}", job.id);
    let mut client = lab
        .on(ALICE, "login")
        .args(["python3", "-c", OPEN, &profile])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("lab runs");
    let mut lines = BufReader::new(client.stdout.take().expect("a pipe")).lines();
    let world = "[0, 1, 2, 3] [(0, 4), (1, 4), (2, 4), (3, 4)]";
    assert_eq!(lines.next().expect("a line").expect("text"), world);

    signal(&lab, &before["engines"]["list"][3], "KILL");
    let begin = Instant::now();
    let after = wait_restarts(&job, 1);
    let took = begin.elapsed();
    let silence = Duration::from_secs(30);
    assert!(took < silence, "the hub was not told: {took:?}");
    assert_ne!(after["step"], before["step"]);
    for part in ["controller", "jupyter"] {
        assert_eq!(after["restarts"][part], 0);
    }
    assert_eq!(after["url"], before["url"]);
    assert_eq!(after["controller"], before["controller"]);
    let mut input = client.stdin.take().expect("a pipe");
    writeln!(input).expect("it reads");
    assert_eq!(
        lines.next().expect("a line").expect("text"),
        world,
        "{}",
        job.output()
    );
    assert!(client.wait().expect("our child").success());

    // A frozen rank is the end of the set as well.
    let frozen = after["engines"]["list"][2].clone();
    signal(&lab, &frozen, "STOP");
    wait_restarts(&job, 2);
    assert!(!runs(&lab, &frozen), "the frozen rank is left");
    let cell =
        "from mpi4py import MPI\ntotal = MPI.COMM_WORLD.allreduce(1)\nrank = MPI.COMM_WORLD.rank";
    let seen = px(&lab, "login", &profile, cell, &["rank", "total"]);
    assert_eq!(seen, json!([[0, 1, 2, 3], [0, 1, 2, 3], [4, 4, 4, 4]]));
    job.cancel();
}
