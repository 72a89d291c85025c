//! `--mode cluster-only -- python driver.py`: a real computation, whose output and exit code are ipjob's.

use crate::support::{Job, Place, venv};
use std::fs::File;

#[test]
fn a_driver_computes_and_its_output_and_exit_code_are_ipjobs() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/driver.py");
    let printed = place.dir().join("stdout");
    let mut command = place.ipjob(["--mode", "cluster-only", "-n", "2", "--", "python", script]);
    command.stdout(File::create(&printed).expect("a file"));
    let mut job = Job::spawn(&place, "job_local", command);
    let (code, transcript) = job.finish();
    assert_eq!(code, 7, "{transcript}");
    assert!(
        transcript.contains("the driver's own complaint"),
        "{transcript}"
    );
    assert_eq!(
        std::fs::read_to_string(printed).expect("text"),
        "[0, 1] [0, 1, 4, 9, 16, 25, 36, 49]\n"
    );
    job.assert_nothing_left();
    let record = job.record().expect("it stays");
    assert_eq!(record["exit"], 7);
    assert_eq!(record["reason"], "driver ended with exit code 7");
}
