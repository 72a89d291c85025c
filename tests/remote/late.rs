//! Where Slurm knows of a job's end before its record is seen to: what a network's file system does on its own for up to a minute,
//! a fake squeue does at its third answer.

use super::run;
use crate::support::Place;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::fs;

fn record(place: &Place, state: &str) -> Value {
    json!({
        "version": 1, "state": state, "mode": "notebook", "reason": "SIGTERM", "exit": 0,
        "job": {"cluster": "lab", "id": "77", "nodes": ["n"], "restart": 0, "deadline": null, "signal_to": "batch"},
        "incarnation": {"id": "lab.77.0.9f3c0d5e7a11b2c4", "host": "n", "boot": "b", "pid": 1, "pid_start": 1},
        "profile": {"name": "job_77", "dir": place.profile("job_77")},
        "engines": {"expected": 2, "registered": 2}, "updated": Timestamp::now().to_string(), "refresh_s": 60
    })
}

/// A job 77 that is over as soon as it is asked, and whose record says so from squeue's answer of that number on.
fn put(place: &Place, answer: u32) {
    let profile = place.profile("job_77");
    fs::create_dir_all(&profile).expect("made");
    for (path, state) in [("ipjob.json", "ready"), ("later.json", "ended")] {
        let text = serde_json::to_string_pretty(&record(place, state)).expect("JSON");
        fs::write(profile.join(path), text).expect("written");
    }
    place.script("scontrol", "echo 'ClusterName = lab'");
    place.script("scancel", "echo \"$*\" >\"$HOME/asked\"");
    let dir = profile.display();
    place.script(
        "squeue",
        &format!(
            "state=RUNNING
             if [ -e \"$HOME/asked\" ]; then
                 state=COMPLETED
                 echo >>\"$HOME/answers\"
                 [ \"$(wc -l <\"$HOME/answers\")\" -lt {answer} ] || cp '{dir}/later.json' '{dir}/ipjob.json'
             fi
             echo \"77|77|$state|1|1764000000|1764003600|n|me|None|x\""
        ),
    );
}

#[test]
fn a_record_that_is_seen_late_is_waited_for() {
    let place = Place::empty();
    put(&place, 3);
    let (code, _, errors) = run(&place, &["stop", "77"]);
    assert_eq!(code, 0, "{errors}");
    for part in [
        "job 77 is gone; its record may show in a moment",
        "job 77 has ended: SIGTERM (exit code 0)",
    ] {
        assert!(errors.contains(part), "no {part:?} in {errors}");
    }
    let asked = fs::read_to_string(place.dir().join("asked")).expect("scancel ran");
    assert_eq!(asked, "--batch --signal=TERM 77\n");
}

#[test]
fn a_job_whose_record_never_tells_its_end_is_told_of_at_the_timeout() {
    let place = Place::empty();
    put(&place, 1000);
    let (code, _, errors) = run(&place, &["stop", "77", "--timeout", "2s"]);
    assert_eq!(code, 1, "{errors}");
    assert!(
        errors.contains("job 77 is gone and did not say that it ended"),
        "{errors}"
    );
}
