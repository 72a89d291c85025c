//! ipjob as the ranks of a Slurm step, on two nodes.

use super::{IDS, WORLD, one_world};
use crate::support::{Lab, lab::ALICE, wait_for};
use serde_json::{Value, json};
use std::fs;

/// The batch script's own process gets the signals of `scancel` as well: it stays, so that srun, to which TERM means "kill
/// at once", hears nothing and the tasks, which get it from Slurm, end in order.
const STAY: &str = "trap : TERM\n";

/// Runs Python code with the profile's name as its argument as alice on a machine.
fn python(lab: &Lab, machine: &str, code: &str, profile: &str) -> Value {
    let output = lab
        .on(ALICE, machine)
        .args(["python3", "-c", code, profile])
        .output()
        .expect("lab runs");
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.trim()).unwrap_or_else(|error| {
        panic!(
            "{error}: {text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

/// The record of a profile, once it is in this state.
fn wait_state(lab: &Lab, profile: &str, state: &str) -> Value {
    let path = lab.home(format!(".ipython/profile_{profile}/ipjob.json"));
    wait_for(&format!("the state {state} of {profile}"), || {
        let record: Value = serde_json::from_str(&fs::read_to_string(&path).ok()?).ok()?;
        (record["state"] == state).then_some(record)
    })
}

fn nodes(record: &Value) -> Vec<&str> {
    let list = record["engines"]["list"].as_array().expect("a list");
    list.iter()
        .map(|engine| engine["node"].as_str().expect("a node"))
        .collect()
}

fn assert_no_meeting(lab: &Lab) {
    let left: Vec<_> = fs::read_dir(lab.home(".ipython"))
        .expect("it is there")
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(".ipjob"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn with_pmi2_is_one_world_that_scancel_ends_in_order() {
    let lab = needed!(Lab::up(&[]));
    let body = format!("{STAY}srun --mpi=pmi2 -n 6 ipjob --mode notebook & wait; wait");
    let job = lab.submit(&["--nodes=2", "--ntasks-per-node=3"], &body);
    let record = job.wait_state("ready");
    assert_eq!(record["launcher"], "ranks");
    assert_eq!(record["step"], format!("{}.0", job.id));
    assert_eq!(
        nodes(&record),
        ["node1", "node1", "node1", "node2", "node2", "node2"]
    );
    let profile = format!("job_{}", job.id);
    assert_eq!(python(&lab, "login", WORLD, &profile), one_world(6));
    let ended = job.cancel();
    assert!(!ended.output.contains("killed"), "{}", ended.output);
    assert_no_meeting(&lab);
}

#[test]
fn without_mpi_is_independent_engines_and_does_not_meet_another() {
    let lab = needed!(Lab::up(&[]));
    let body = format!(
        "{STAY}for name in a b; do srun --overlap -n 4 ipjob --mode cluster-only --profile $name & done\nwait; wait"
    );
    let job = lab.submit(&["--nodes=2", "--ntasks-per-node=2"], &body);
    let a = wait_state(&lab, "a", "ready");
    let b = wait_state(&lab, "b", "ready");
    assert_ne!(a["step"], b["step"]);
    for (name, record) in [("a", &a), ("b", &b)] {
        assert_eq!(nodes(record), ["node1", "node1", "node2", "node2"]);
        assert_eq!(python(&lab, "login", IDS, name), json!([0, 1, 2, 3]));
    }
    lab.kill("node2", &a["engines"]["list"][3]["pid"]);
    let a = wait_state(&lab, "a", "degraded");
    assert_eq!(a["engines"]["missing"], json!([3]));
    assert_eq!(
        wait_state(&lab, "b", "ready")["engines"]["missing"],
        json!([])
    );
    job.scancel();
    job.finish();
    for name in ["a", "b"] {
        let record = wait_state(&lab, name, "ended");
        assert_eq!(record["reason"], "SIGTERM", "{}", job.output());
        let id = record["incarnation"]["id"].as_str().expect("an id");
        assert_eq!(crate::support::carriers(id), [], "processes are left");
    }
    assert_no_meeting(&lab);
}

#[test]
fn ends_on_all_nodes_when_its_first_task_is_killed() {
    let lab = needed!(Lab::up(&[]));
    let body = format!("{STAY}srun -n 4 ipjob --mode cluster-only & wait");
    let job = lab.submit(&["--nodes=2", "--ntasks-per-node=2"], &body);
    let record = job.wait_state("ready");
    lab.kill("node1", &record["incarnation"]["pid"]);
    let ended = job.finish();
    let text = "has died: engine 1 on node1 ends";
    assert!(ended.output.contains(text), "{}", ended.output);
    let id = record["incarnation"]["id"].as_str().expect("an id");
    assert_eq!(crate::support::carriers(id), [], "processes are left");
    assert_no_meeting(&lab);
}

/// `exec srun ipjob`: srun gets the SIGTERM of scancel as well, but the job is ended by then, and Slurm kills nothing at srun's word.
#[test]
fn that_the_batch_script_became_ends_in_order() {
    let lab = needed!(Lab::up(&["--mpi-packages", "openmpi"]));
    let options = ["--nodes=2", "--ntasks-per-node=1"];
    let ranks = |environment: &str, srun: &str| {
        let body = format!("{environment}\nexec srun {srun} -n 2 ipjob --mode cluster-only");
        lab.submit(&options, &body)
    };
    let unoffered = "engines start without MPI, although mpi4py is installed";
    let types = lab.shell(ALICE, "login", "srun --mpi=list").text;
    for (environment, srun) in [
        (":", "--mpi=pmi2"),
        ("export MPI4PY_MPIABI=openmpi", "--mpi=pmix"),
        (":", "--mpi=none"),
    ] {
        // Debian builds Slurm 26.05 without it.
        if srun == "--mpi=pmix" && !types.contains("pmix") {
            continue;
        }
        let job = ranks(environment, srun);
        let record = job.wait_state("ready");
        assert_eq!(record["launcher"], "ranks");
        let ended = job.cancel();
        assert_eq!(ended.state, "CANCELLED", "{}", ended.output);
        assert_eq!(
            ended.output.contains(unoffered),
            srun == "--mpi=none",
            "{}",
            ended.output
        );
        assert_no_meeting(&lab);
    }
    // What `--signal=TERM@60`, without `B:`, sends: the tasks get it, and srun does not.
    let job = ranks(":", "--mpi=pmi2");
    job.wait_state("ready");
    let asked = lab.shell(ALICE, "login", &format!("scancel --signal=TERM {}", job.id));
    assert_eq!(asked.code, 0, "{}", asked.text);
    let ended = job.finish();
    assert_eq!((ended.state.as_str(), ended.code), ("COMPLETED", 0));
    job.assert_nothing_left();
    // What `--signal=B:TERM@60` sends: srun alone gets it while the job runs, and kills its tasks. docs/slurm.md warns of it.
    let job = ranks(":", "--mpi=pmi2");
    job.wait_state("ready");
    let asked = lab.shell(
        ALICE,
        "login",
        &format!("scancel --batch --signal=TERM {}", job.id),
    );
    assert_eq!(asked.code, 0, "{}", asked.text);
    assert_eq!(job.finish().state, "FAILED", "{}", job.output());
}

#[test]
fn that_its_starter_gave_no_common_world_is_said() {
    let lab = needed!(Lab::up(&[]));
    // MPICH knows nothing of cray_shasta.
    let job = lab.submit(
        &["--nodes=2", "--ntasks-per-node=1"],
        "exec srun --mpi=cray_shasta -n 2 ipjob --mode cluster-only --mpi pmi2",
    );
    let ended = job.finish();
    let text = "error: what started the ranks made no common MPI world: that of engine 0 has a size of 1, not 2";
    assert!(ended.output.contains(text), "{}", ended.output);
    assert_eq!(job.assert_nothing_left()["exit"], 3);
    assert_no_meeting(&lab);
}

#[test]
fn that_cannot_meet_says_where_and_who_is_missing() {
    let lab = needed!(Lab::up(&[]));
    // Each node of the lab has a /tmp of its own.
    let job = lab.submit(
        &["--nodes=2", "--ntasks-per-node=1"],
        "exec srun -n 2 ipjob --mode cluster-only --ipython-dir /tmp/unshared --start-timeout 35s",
    );
    let ended = job.finish();
    assert_eq!(ended.code, 3, "{}", ended.output);
    for part in [
        "rank 1 on node2 has waited for rank 0 for 30 s in /tmp/unshared/.ipjob-meeting-",
        "error: 1 of 2 engines registered within 35 s",
        "cause: nothing was heard from rank 1 in /tmp/unshared/.ipjob-meeting-",
        "error: rank 1 of 2 on node2 found no rank 0 within 35 s",
        "hint: is the IPython directory on a file system that all nodes share?",
    ] {
        assert!(ended.output.contains(part), "{part}: {}", ended.output);
    }
}
