//! In a real cluster: from the login node, and from a laptop that reaches only that.

use crate::support::lab::{ALICE, SlurmJob};
use crate::support::{Lab, wait_for};
use serde_json::{Value, json};
use std::fs;

const CLUSTER: &str = "ipjob --mode cluster-only --mpi none";

/// The jobs as `ipjob status --json` tells them on the laptop.
fn jobs(lab: &Lab) -> Vec<Value> {
    let done = lab.shell(ALICE, "laptop", "ipjob status login: --json");
    assert_eq!(done.code, 0, "{}", done.text);
    serde_json::from_str(&done.text).unwrap_or_else(|error| panic!("{error}: {}", done.text))
}

#[test]
fn jobs_are_shown_stopped_and_cleaned_from_a_laptop() {
    let lab = needed!(Lab::up(&[]));
    let exec = lab.submit(&["-N2", "--ntasks-per-node=1"], &format!("exec {CLUSTER}"));
    let step = lab.submit(
        &["-N1", "-n1"],
        &format!("exec srun -N1 -n1 --overlap --mpi=none {CLUSTER} -n 1"),
    );
    let child = lab.submit(&["-N1", "-n1"], &format!("{CLUSTER} -n 1\necho code $?"));
    let waits = lab.submit(
        &["-N1", "-n1", "--hold", "--job-name=ipjob-jupyter"],
        "true",
    );
    let other = lab.submit(&["-N1", "-n1", "--hold", "--job-name=other"], "true");
    for (job, signal_to) in [
        (&exec, json!("batch")),
        (&step, json!(format!("{}.0", step.id))),
        (&child, Value::Null),
    ] {
        assert_eq!(job.wait_state("ready")["job"]["signal_to"], signal_to);
    }
    let shown = jobs(&lab);
    let states: Vec<_> = shown
        .iter()
        .map(|job| (job["job"].as_str(), job["state"].as_str()))
        .collect();
    let ready = |id| (Some(id), Some("ready"));
    assert_eq!(
        states,
        [
            ready(&*exec.id),
            ready(&*step.id),
            ready(&*child.id),
            (Some(waits.id.as_str()), Some("pending"))
        ]
    );
    assert_eq!(
        shown[0]["engines"],
        json!({"registered": 2, "expected": 2, "guests": 0})
    );
    assert!(
        shown[0]["left_s"].as_i64().is_some_and(|left| left > 0),
        "{shown:?}"
    );
    // On the login node the same without HOST, whatever the user's own squeue is told to hide.
    let here = lab.shell(
        ALICE,
        "login",
        &format!(
            "SQUEUE_STATES=PENDING SQUEUE_USERS=bob ipjob status {} | tail -n +2",
            exec.id
        ),
    );
    assert!(
        here.text.starts_with(&format!(
            "{0}    job-0.sbatch  job_{0}    ready  cluster-only  2      2/2",
            exec.id
        )),
        "{}",
        here.text
    );
    let laptop = |line: String| lab.shell(ALICE, "laptop", &line);
    let foreign = lab.shell("bob", "login", &format!("ipjob stop {}", exec.id));
    assert!(
        foreign.code == 5 && foreign.text.contains("is alice's, not yours"),
        "{}",
        foreign.text
    );
    let none = laptop("ipjob stop login:4711".to_owned());
    assert!(
        none.code == 5 && none.text.contains("you have no job 4711 on login"),
        "{}",
        none.text
    );
    let held = laptop(format!("ipjob stop login:{}", other.id));
    assert!(
        held.code == 5 && held.text.contains("may not be an ipjob job"),
        "{}",
        held.text
    );
    for (job, way) in [
        (&exec, "its batch script"),
        (&step, "its step"),
        (&child, "SIGTERM to pid"),
    ] {
        let kept = laptop(format!("ipjob clean login:{}", job.id));
        assert!(
            kept.code == 1 && kept.text.contains("squeue says RUNNING"),
            "{}",
            kept.text
        );
        let stopped = laptop(format!("ipjob stop login:{}", job.id));
        assert_eq!(stopped.code, 0, "{}\n{}", stopped.text, job.output());
        assert!(
            stopped.text.contains(way) && stopped.text.contains("has ended: SIGTERM (exit code 0)"),
            "{}",
            stopped.text
        );
        job.finish();
        job.assert_nothing_left();
    }
    a_template_that_waits_is_taken_out_of_the_queue(&lab, &waits);
    another_cluster_is_left_alone(&lab, &[&exec, &step, &child]);
}

fn a_template_that_waits_is_taken_out_of_the_queue(lab: &Lab, waits: &SlurmJob) {
    let line = format!("ipjob stop login:{}", waits.id);
    let removed = lab.shell(ALICE, "laptop", &line);
    assert_eq!(removed.code, 0, "{}", removed.text);
    let told = format!("job {} was removed from the queue", waits.id);
    assert!(removed.text.contains(&told), "{}", removed.text);
}

/// Cleans all, with a job of the same number on another cluster that shares this home.
fn another_cluster_is_left_alone(lab: &Lab, jobs: &[&SlurmJob]) {
    let id = &jobs[0].id;
    let state = lab.home(".local/state/ipjob");
    let pointer = fs::read_dir(&state)
        .expect("pointers")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.to_string_lossy()
                .contains(&format!("/lab.{id}.job_{id}."))
        })
        .expect("a pointer");
    let text = fs::read_to_string(&pointer)
        .expect("a pointer")
        .replace("\"lab\"", "\"eiger\"");
    lab.script(&format!(".local/state/ipjob/eiger.{id}.json"), &text);
    let cleaned = lab.shell(ALICE, "laptop", "ipjob clean login: --all");
    assert_eq!(cleaned.code, 0, "{}", cleaned.text);
    for job in jobs {
        assert!(!job.profile("").exists(), "{}", cleaned.text);
    }
    assert!(
        cleaned.text.contains("it belongs to cluster eiger"),
        "{}",
        cleaned.text
    );
    assert!(
        lab.home(format!(".local/state/ipjob/eiger.{id}.json"))
            .exists()
    );
    assert!(!pointer.exists());
}

#[test]
fn a_job_that_slurm_killed_is_dead_and_its_remains_go() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(&["-N1", "-n1"], &format!("exec {CLUSTER}"));
    job.wait_state("ready");
    let killed = lab.shell(
        ALICE,
        "login",
        &format!(
            "scancel --batch --signal=KILL {0}; scancel --signal=KILL {0}",
            job.id
        ),
    );
    assert_eq!(killed.code, 0, "{}", killed.text);
    let dead = wait_for("squeue's word of the end", || {
        jobs(&lab)
            .into_iter()
            .find(|shown| shown["state"] == "dead" && shown["slurm"]["state"] != "COMPLETING")
    });
    assert!(
        dead["note"]
            .as_str()
            .is_some_and(|note| note.starts_with("squeue says ")),
        "{dead}"
    );
    // While Slurm's controller is away nothing is known of the job.
    lab.script(
        "squeue",
        "#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact slurm controller' >&2\nexit 1\n",
    );
    let silent = lab.shell(
        ALICE,
        "login",
        &format!("PATH=$HOME:$PATH ipjob clean {}", job.id),
    );
    assert!(
        silent.code == 1 && silent.text.contains("squeue: slurm_load_jobs error"),
        "{}",
        silent.text
    );
    assert!(job.profile("ipjob.json").exists());
    let cleaned = lab.shell(ALICE, "login", &format!("ipjob clean {}", job.id));
    assert_eq!(cleaned.code, 0, "{}", cleaned.text);
    assert!(!job.profile("").exists());
}
