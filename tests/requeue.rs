//! Does a requeued job believe nothing of its earlier life, and does that life, where it still runs, leave the new one alone?

use crate::support::lab::{ALICE, Lab, SlurmJob};
use crate::support::{Job, Place, carriers, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;

/// What the engines of a profile say of their world, from a client on the login node.
const CLIENT: &str = "
import ipyparallel as ipp
rc = ipp.Client(profile='$', timeout=30)
def look():
    from mpi4py import MPI
    import os
    return MPI.COMM_WORLD.allreduce(1), os.uname().nodename
print(rc.ids, *rc[:].apply_sync(look))
";

/// Waits until the job's later life is ready; its earlier life's record may say `ended` before.
fn wait_life(job: &SlurmJob, restart: u32) -> Value {
    wait_for(&format!("life {restart} of job {}", job.id), || {
        job.record()
            .filter(|record| record["job"]["restart"] == restart && record["state"] == "ready")
    })
}

/// What Slurm says of the job.
fn shown(lab: &Lab, job: &SlurmJob) -> String {
    lab.shell(ALICE, "login", &format!("scontrol show job {}", job.id))
        .text
}

/// Nothing that carries a key is left, under whatever name.
fn assert_no_life_left(job: &SlurmJob) {
    let names = |path: &str| -> Vec<String> {
        fs::read_dir(job.profile(path))
            .expect("a directory")
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    };
    assert_eq!(names("security"), Vec::<String>::new());
    let runtimes: Vec<String> = names("")
        .into_iter()
        .filter(|name| name.starts_with("ipjob-runtime"))
        .collect();
    assert_eq!(runtimes, Vec::<String>::new());
}

#[test]
fn a_requeued_job_starts_afresh_under_its_id() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=1", "--requeue"],
        "exec ipjob --mode cluster-only",
    );
    let first = job.wait_state("ready");
    assert_eq!(first["job"]["restart"], 0);
    let public = job.profile("security/ipcontroller-client.json");
    let before = fs::read_to_string(&public).expect("a connection file");
    let done = lab.shell(ALICE, "login", &format!("scontrol requeue {}", job.id));
    assert_eq!(done.code, 0, "{}", done.text);

    let second = wait_life(&job, 1);
    assert_eq!(second["job"]["id"], first["job"]["id"]);
    assert_ne!(second["incarnation"]["id"], first["incarnation"]["id"]);
    assert_eq!(second["engines"]["registered"], 2);
    // The first life ended in order: there was nothing to take over.
    assert!(!job.output().contains("taken over"), "{}", job.output());
    let after = fs::read_to_string(&public).expect("a connection file");
    assert_ne!(after, before);
    let text = lab.python("login", &CLIENT.replace('$', &format!("job_{}", job.id)));
    assert_eq!(text, "[0, 1] (2, 'node1') (2, 'node2')");
    job.cancel();
    assert_no_life_left(&job);
}

#[test]
fn an_earlier_life_on_a_cut_off_node_ends_itself_and_touches_nothing() {
    let conf = ["SlurmdTimeout=10", "MessageTimeout=5"];
    let mut options = vec!["--nodes", "3"];
    options.extend(conf.iter().flat_map(|line| ["--slurm-conf", line]));
    let lab = needed!(Lab::up(&options));
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=1", "--requeue"],
        "exec ipjob --mode cluster-only",
    );
    let first = job.wait_state("ready");
    let old = first["incarnation"]["id"].as_str().expect("an id");
    assert_eq!(first["incarnation"]["host"], "node1");
    let pull = lab.command("cable").args(["node1", "pull"]).status();
    assert!(pull.is_ok_and(|status| status.success()));

    // Slurm gives the node up, and later starts the job anew elsewhere; the first life runs on.
    wait_for("the end of node1", || {
        shown(&lab, &job).contains("Restarts=1").then_some(())
    });
    assert!(!carriers(old).is_empty(), "the first life lives still");
    let second = wait_life(&job, 1);
    let id = &second["incarnation"]["id"];
    assert_ne!(id, old);
    assert_eq!(second["incarnation"]["host"], "node2");
    job.wait_line(&format!(
        "taken over from an earlier life of this job, {old}"
    ));
    // The home directory does not go through the cable here, so the first life can see it at once.
    job.wait_line("stopping: a newer incarnation of this job");
    wait_for("the end of the first life", || {
        carriers(old).is_empty().then_some(())
    });

    let plug = lab.command("cable").args(["node1", "plug"]).status();
    assert!(plug.is_ok_and(|status| status.success()));
    // Slurm sends the first life's steps away once the node is back; the second life's have other numbers.
    wait_for("node1", || {
        let states = lab.shell(ALICE, "login", "sinfo -h -n node1 -o %T").text;
        (states.trim() == "idle").then_some(())
    });
    let record = job.record().expect("a record");
    assert_eq!(&record["incarnation"]["id"], id);
    assert_eq!(record["state"], "ready", "{}", job.output());
    assert_eq!(record["step"], format!("{}.1", job.id));
    let text = lab.python("login", &CLIENT.replace('$', &format!("job_{}", job.id)));
    assert_eq!(text, "[0, 1] (2, 'node2') (2, 'node3')");
    job.cancel();
    assert_no_life_left(&job);
}

#[test]
fn a_life_that_was_taken_over_from_unseen_touches_nothing_when_asked_to_end() {
    // A node that comes back gets Slurm's SIGTERM before anything else: by then all of this is the later life's.
    let place = Place::with_fakes();
    let mut job = Job::start(&place, &["--mode", "cluster-only", "-n", "1"]);
    let record = job.wait_ready();
    let old = record["incarnation"]["id"].as_str().expect("an id");
    let later = json!({
        "id": "local.local.1.0123456789abcdef", "host": "elsewhere", "boot": "another", "pid": 1, "pid_start": 1,
    });
    let theirs = [
        ("ipjob.lock", later.to_string()),
        (
            "ipjob.json",
            json!({"incarnation": later, "state": "ready"}).to_string(),
        ),
        (
            "security/ipcontroller-client.json",
            json!({"key": "theirs"}).to_string(),
        ),
        (
            "security/ipcontroller-engine.json",
            json!({"key": "theirs"}).to_string(),
        ),
    ];
    fs::remove_dir_all(job.profile().join("ipjob-runtime")).expect("ours to clear");
    for (name, text) in &theirs {
        let new = job.profile().join(".new");
        fs::write(&new, text).expect("writable");
        fs::rename(&new, job.profile().join(name)).expect("replaced");
    }
    job.signal(Signal::SIGTERM);
    let (code, transcript) = job.finish();
    assert_eq!(code, 1, "{transcript}");
    assert!(
        transcript.contains(
            "a newer incarnation of this job, local.local.1.0123456789abcdef (pid 1 on elsewhere)"
        ),
        "{transcript}"
    );
    assert_eq!(carriers(old), [], "its own processes ended");
    for (name, text) in &theirs {
        let now = fs::read_to_string(job.profile().join(name)).expect("still there");
        assert_eq!(&now, text, "{name}");
    }
}
