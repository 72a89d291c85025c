//! No space is left where the profile lies.

use crate::support::{Lab, lab::ALICE, wait_for};
use serde_json::Value;

/// A place of so many bytes in alice's home, on the first node alone.
fn small(lab: &Lab, size: &str) -> String {
    let place = format!("/home/{ALICE}/{size}");
    let line = format!(
        "mkdir {place} && mount -t tmpfs -o size={size},uid={ALICE},gid={ALICE},mode=700 tmpfs {place}"
    );
    let mounted = lab.shell("root", "node1", &line);
    assert_eq!(mounted.code, 0, "{}", mounted.text);
    place
}

/// The record of a job whose profile is in that place, as alice reads it on the node.
fn record(lab: &Lab, place: &str, id: &str) -> Option<Value> {
    let line = format!("cat {place}/profile_job_{id}/ipjob.json");
    serde_json::from_str(&lab.shell(ALICE, "node1", &line).text).ok()
}

#[test]
fn a_full_file_system_is_named_and_a_job_that_runs_goes_on() {
    let lab = needed!(Lab::up(&[]));
    let submit = |place: &str, more: &str| {
        let body =
            format!("exec ipjob --mode cluster-only --mpi none --ipython-dir {place} {more}");
        lab.submit(&["-n2", "-N1", "-wnode1"], &body)
    };
    // Room for what ipjob itself writes first, and for nothing more.
    let full = submit(&small(&lab, "16k"), "");
    let place = small(&lab, "1m");
    let running = submit(&place, "");
    let ended = full.finish();
    assert_eq!(ended.code, 4, "{}", ended.output);
    for part in [
        "/16k/profile_job_",
        "cause: No space left on device",
        "hint: ",
    ] {
        assert!(ended.output.contains(part), "{part}: {}", ended.output);
    }

    running.wait_line("ready: 2 engines");
    let before = record(&lab, &place, &running.id).expect("a record");
    lab.shell(ALICE, "node1", &format!("cat /dev/zero >{place}/fill"));
    lab.kill("node1", &before["engines"]["list"][1]["pid"]);
    let line = running.wait_line("ipjob.json cannot be written: No space left on device");
    assert!(line.ends_with("the job keeps running"), "{line}");
    assert_eq!(
        record(&lab, &place, &running.id),
        Some(before),
        "half a record"
    );
    lab.shell(ALICE, "node1", &format!("rm {place}/fill"));
    running.scancel();
    let ended = running.finish();
    assert_eq!(ended.state, "CANCELLED", "{}", ended.output);
    running.wait_line("can be written again");
    let last = wait_for("the last record", || {
        record(&lab, &place, &running.id).filter(|record| record["state"] == "ended")
    });
    assert_eq!(last["exit"], 0);
    assert_eq!(last["engines"]["missing"], serde_json::json!([1]));
    let id = last["incarnation"]["id"].as_str().expect("an id");
    assert_eq!(crate::support::carriers(id), []);
    let left = lab.shell(ALICE, "node1", &format!("ls -A {place}/profile_*/security"));
    assert!(!left.text.contains("json"), "{}", left.text);
}

#[test]
fn a_step_that_floods_its_log_fills_no_quota_and_its_end_is_told() {
    let lab = needed!(Lab::up(&[]));
    let body = "exec ipjob --mode cluster-only --mpi none";
    let job = lab.submit(&["-n2", "-N1"], body);
    let record = job.wait_state("ready");
    let cell = include_str!("../security/pour.py");
    let cell = cell.split_once("def pour").expect("a function").1;
    let cell = cell.split_once("\n\n\n").expect("its end").0;
    let cell = format!("def pour{cell}\npoured = pour(400)");
    let profile = format!("job_{}", job.id);
    let seen = super::px(&lab, "login", &profile, &cell, &["poured"]);
    assert_eq!(seen[1], serde_json::json!([400, 400]));
    let log = job.profile("log/ipjob-engines.log");
    wait_for("the log to be cut", || {
        let length = std::fs::metadata(&log).ok()?.len();
        // Controller and step have a log each.
        (length <= 256 << 20).then_some(())
    });
    job.wait_line("ipjob-engines.log has grown too long");
    let engine = &record["engines"]["list"][1];
    lab.kill("node1", &engine["pid"]);
    job.wait_line("srun: error: node1: task 1: Killed");
    job.cancel();
}
