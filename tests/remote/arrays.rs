//! An element of a job array that has the array's own number: whatever is asked of it, the others stay.

use crate::support::lab::{ALICE, SlurmJob};
use crate::support::{Lab, wait_for};
use serde_json::Value;

/// Submits an array of two elements, of which the first only waits and the second, with the array's number, becomes `body`.
fn submit<'a>(lab: &'a Lab, body: &str) -> SlurmJob<'a> {
    let script = format!("[ $SLURM_ARRAY_TASK_ID != 0 ] || exec tail -f /dev/null\n{body}");
    lab.submit(&["-N1", "-n1", "--array=0-1"], &script)
}

/// What the laptop's `ipjob status --json` tells of the array's jobs.
fn status(lab: &Lab, array: &str) -> Vec<Value> {
    let line = format!("ipjob status login:{array} --json");
    let done = lab.shell(ALICE, "laptop", &line);
    assert_eq!(done.code, 0, "{}", done.text);
    serde_json::from_str(&done.text).unwrap_or_else(|error| panic!("{error}: {}", done.text))
}

/// The state of the first element, as Slurm tells it.
fn first_element(lab: &Lab, array: &str) -> String {
    let line = format!("squeue --noheader --jobs={array}_0 --format=%T");
    lab.shell(ALICE, "login", &line).text.trim().to_owned()
}

#[test]
fn an_element_with_the_arrays_number_is_stopped_alone() {
    let lab = needed!(Lab::up(&[]));
    let run = "ipjob --mode cluster-only --mpi none -n 1";
    let exec = submit(&lab, &format!("exec {run}"));
    let child = submit(&lab, &format!("{run}\necho code $?"));
    let step = submit(
        &lab,
        &format!("exec srun -N1 -n1 --overlap --mpi=none {run}"),
    );
    let arrays = [
        (&exec, "its batch script"),
        (&child, "pid"),
        (&step, "step"),
    ];
    for (job, way) in arrays {
        let name = format!("{}_1", job.id);
        let record = job.wait_state("ready");
        assert_eq!(record["job"]["id"], job.id.as_str());
        assert_eq!(record["job"]["name"], name.as_str());
        let told = format!("laptop   ipjob connect login:{name}");
        job.wait_line(&told);
        let shown = status(&lab, &job.id);
        let names: Vec<_> = shown.iter().map(|job| job["job"].as_str()).collect();
        let other = format!("{}_0", job.id);
        assert_eq!(names, [Some(name.as_str()), Some(other.as_str())]);

        // Where no profile is made, the job's own is told, which has the number in its name.
        let connect = format!(
            "coproc ipjob connect --print {name}; read -r _ <&${{COPROC[0]}}; read -r line <&${{COPROC[0]}}; \
             kill -INT $COPROC_PID; wait; echo \"$line\""
        );
        let told = lab.shell(ALICE, "login", &connect);
        let client = format!("rc = ipp.Client(profile=\"job_{}\")", job.id);
        assert!(told.text.contains(&client), "{}", told.text);

        // The number is that of the array as well.
        let laptop = |line: String| lab.shell(ALICE, "laptop", &line);
        let both = laptop(format!("ipjob stop login:{}", job.id));
        assert_eq!(both.code, 2, "{}", both.text);
        assert!(
            both.text.contains(&name) && both.text.contains(&other),
            "{}",
            both.text
        );
        let stopped = laptop(format!("ipjob stop login:{name}"));
        assert_eq!(stopped.code, 0, "{}\n{}", stopped.text, job.output());
        assert!(stopped.text.contains(way), "{way}: {}", stopped.text);
        assert!(
            stopped.text.contains("has ended: SIGTERM (exit code 0)"),
            "{}",
            stopped.text
        );
        job.assert_nothing_left();
        assert_eq!(first_element(&lab, &job.id), "RUNNING", "{}", stopped.text);
    }
}

#[test]
fn a_requeued_element_is_taken_out_of_the_queue_alone() {
    let lab = needed!(Lab::up(&[]));
    let job = submit(&lab, "exec ipjob --mode cluster-only --mpi none -n 1");
    job.wait_state("ready");
    let name = format!("{}_1", job.id);
    let requeued = lab.shell(ALICE, "login", &format!("scontrol requeue {name}"));
    assert_eq!(requeued.code, 0, "{}", requeued.text);
    wait_for("the element in the queue", || {
        let shown = status(&lab, &name);
        (shown[0]["state"] == "pending").then_some(())
    });
    let stopped = lab.shell(ALICE, "laptop", &format!("ipjob stop login:{name}"));
    assert_eq!(stopped.code, 0, "{}", stopped.text);
    assert!(
        stopped.text.contains("removed from the queue"),
        "{}",
        stopped.text
    );
    assert_eq!(first_element(&lab, &job.id), "RUNNING", "{}", stopped.text);
}
