use super::px;
use crate::support::{Lab, lab::ALICE, wait_for};
use serde_json::{Value, json};
use std::fs;

/// Kills an engine of the second node; returns what the record says of it.
fn kill_engine<'a>(lab: &Lab, record: &'a Value, id: usize) -> &'a Value {
    let engine = &record["engines"]["list"][id];
    assert_eq!(engine["node"], "node2");
    lab.kill("node2", &engine["pid"]);
    engine
}

#[test]
fn six_engines_on_two_nodes_are_one_mpi_world() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=3", "--time=20"],
        // A user's own default, by which squeue would tell of no job at all.
        "export SQUEUE_STATES=SUSPENDED\nexec ipjob --mode notebook",
    );
    let record = job.wait_state("ready");

    let cell = "import os, socket\nfrom mpi4py import MPI\ntotal = MPI.COMM_WORLD.allreduce(1)\nrank = MPI.COMM_WORLD.rank\nhost = socket.gethostname()\npid = os.getpid()";
    let profile = format!("job_{}", job.id);
    let seen = px(
        &lab,
        "login",
        &profile,
        cell,
        &["rank", "total", "host", "pid"],
    );
    assert_eq!(seen[0], json!([0, 1, 2, 3, 4, 5]), "ids");
    assert_eq!(seen[1], seen[0], "a rank is its engine's id");
    assert_eq!(seen[2], json!([6, 6, 6, 6, 6, 6]));
    let hosts = ["node1", "node1", "node1", "node2", "node2", "node2"];
    assert_eq!(seen[3], json!(hosts));

    assert_eq!(record["job"]["id"], job.id.as_str());
    assert_eq!(record["job"]["cluster"], "lab");
    assert_eq!(record["job"]["nodes"], json!(["node1", "node2"]));
    assert_eq!(record["launcher"], "srun");
    assert_eq!(record["step"], format!("{}.0", job.id));
    assert_eq!(record["warnings"], json!([]));
    let places = |key: &str| -> serde_json::Value {
        let list = record["engines"]["list"].as_array().expect("a list");
        list.iter().map(|engine| engine[key].clone()).collect()
    };
    assert_eq!(places("id"), seen[0]);
    assert_eq!(places("rank"), seen[0]);
    assert_eq!(places("node"), seen[3]);
    assert_eq!(places("pid"), seen[4]);
    let deadline = record["job"]["deadline"].as_str().expect("a deadline");
    let end = lab.shell(
        ALICE,
        "login",
        &format!("SLURM_TIME_FORMAT=%s squeue -h -j {} -o %e", job.id),
    );
    let told: jiff::Timestamp = deadline.parse().expect("a time");
    assert_eq!(told.as_second().to_string(), end.text.trim());

    let log = fs::read_to_string(job.profile("log/ipjob-engines.log")).expect("a log");
    for (rank, host) in hosts.iter().enumerate().take(6) {
        let line = format!("{rank}: ipjob-engine rank {rank} on {host}");
        assert!(log.contains(&line), "{line}:\n{log}");
    }

    // Slurm kills what is left 5 s after a scancel here: the end in order must be faster, and Slurm must not have had to.
    let ended = job.cancel();
    assert_eq!(ended.state, "CANCELLED");
    assert!(ended.output.contains("ended; nothing is left running"));
}

#[test]
fn engines_without_mpi_outlive_a_lost_one() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=3", "--time=20"],
        "exec ipjob --mode cluster-only --mpi none --srun-arg=--comment=mine --engine-wrapper 'env WRAPPED=yes'",
    );
    let record = job.wait_state("ready");
    let profile = format!("job_{}", job.id);
    let cell = "import os\nproc = int(os.environ['SLURM_PROCID'])\nwrapped = os.environ['WRAPPED']";
    let seen = px(&lab, "node2", &profile, cell, &["proc", "wrapped"]);
    assert_eq!(seen[0], json!([0, 1, 2, 3, 4, 5]));
    assert_eq!(seen[1], seen[0], "an engine's id is its rank in the step");
    assert_eq!(seen[2][5], "yes");

    let engine = kill_engine(&lab, &record, 4);
    let line = format!(
        "engine 4 (rank 4 on node2, pid {}) left the hub's list",
        engine["pid"]
    );
    // srun hears of it once the nanny, which holds its pipes, has ended too: mostly after the hub, which it is enough to hear.
    job.wait_line("srun: error: node2: task 4: Killed");
    let record = job.wait_state("degraded");
    assert_eq!(record["engines"]["missing"], json!([4]));
    wait_for("the warning in the record", || {
        let record = job.record()?;
        let warnings = record["warnings"].as_array()?.iter();
        let texts: Vec<&str> = warnings.filter_map(|text| text.as_str()).collect();
        let hub = texts.iter().filter(|text| **text == line).count();
        let srun = texts.iter().any(|text| text.contains("task 4: Killed"));
        (srun && hub <= 1).then_some(())
    });
    let seen = px(&lab, "login", &profile, "x = 1", &["x"]);
    assert_eq!(seen[0], json!([0, 1, 2, 3, 5]));

    // The step goes alone: no engine is left, and the job says so.
    let step = record["step"].as_str().expect("a step");
    let scancel = lab.shell(ALICE, "login", &format!("scancel {step}"));
    assert_eq!(scancel.code, 0, "{}", scancel.text);
    let ended = job.finish();
    assert_eq!(
        (ended.state.as_str(), ended.code),
        ("FAILED", 1),
        "{}",
        ended.output
    );
    for text in [
        "the engines' srun",
        // Not that engine 4 was killed before.
        "*** STEP 1.0 ON node1 CANCELLED AT ",
        "somebody cancelled the engines' step (scancel JOB.STEP)",
    ] {
        assert!(ended.output.contains(text), "{text}: {}", ended.output);
    }
    let record = job.assert_nothing_left();
    let reason = record["reason"].as_str().expect("a reason");
    assert!(!reason.contains("task 4: Killed"), "{reason}");
}

#[test]
fn an_mpi_world_ends_with_its_first_lost_rank() {
    let lab = needed!(Lab::up(&[]));
    for way in ["exec", "fork"] {
        ends_with_its_first_lost_rank(&lab, way);
    }
}

fn ends_with_its_first_lost_rank(lab: &Lab, way: &str) {
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=2", "--time=20"],
        &format!("exec ipjob --mode cluster-only --engine-start {way}"),
    );
    let record = job.wait_state("ready");
    kill_engine(lab, &record, 3);
    let ended = job.finish();
    assert_eq!(
        (ended.state.as_str(), ended.code),
        ("FAILED", 1),
        "{}",
        ended.output
    );
    let cause = "cause: srun: error: node2: task 3: Killed";
    assert!(ended.output.contains(cause), "{}", ended.output);
    let record = job.assert_nothing_left();
    assert_eq!(record["exit"], 1);
    let reason = record["reason"].as_str().expect("a reason");
    assert!(reason.contains("node2: task 3: Killed"), "{reason}");
}
