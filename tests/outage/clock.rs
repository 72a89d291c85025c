//! The clock is set while a job runs.

use crate::support::{Job, Needed, Place, Skipped};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Cargo's own build: a static binary takes no library.
const BINARY: &str = env!("CARGO_BIN_EXE_ipjob");

/// libfaketime, which gives a program with a dynamic libc a clock that can be set while it runs.
fn library() -> Needed<PathBuf> {
    let linked = Command::new("ldd").arg(BINARY).output();
    if !linked.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("libc.so")) {
        return Err(Skipped::for_want_of(
            "cargo's own build has no dynamic libc here",
        ));
    }
    let found = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let found = found
        .map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists());
    found.ok_or_else(|| {
        Skipped::for_want_of("there is no libfaketime (make test installs it where it can)")
    })
}

/// How long the job has when Slurm is asked first, and when it is asked again, near that end.
const LIMITS: [u64; 2] = [45, 25];

/// Slurm as far as such a job sees it, with a clock that nobody sets: in a real one all programs of a node have the same clock.
fn slurm(place: &Place) {
    let [first, then] = LIMITS;
    let squeue = format!(
        r#"unset LD_PRELOAD
if [ -e begun ]; then limit={then}; else limit={first}; date +%s >begun; fi
begun=$(cat begun)
echo "77 77 RUNNING None $((begun + limit)) $begun 1:00""#
    );
    place.script("squeue", &squeue);
    let srun = r#"while [ "$1" != -- ]; do [ $# -gt 0 ] || exit 0; shift; done; shift
export SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_STEP_ID=0
sh -c 'echo $$ >engine.pid; exec "$@"' sh "$@" --IPEngine.id=0 2>&1 | sed -u 's/^/0: /'"#;
    place.script("srun", srun);
    place.script("scancel", "kill -TERM $(cat engine.pid)");
    place.script("scontrol", "exit 0");
}

fn job(place: &Place, library: &Path) -> Job {
    let args = [
        "--mode",
        "cluster-only",
        "-n",
        "1",
        "--mpi",
        "none",
        "--stop-before",
        "2",
        "--profile",
        "x",
    ];
    let mut command = place.command(BINARY);
    command.args(args);
    let host = nix::unistd::gethostname().expect("a name");
    let host = host
        .to_str()
        .expect("text")
        .split('.')
        .next()
        .expect("one")
        .to_owned();
    for (name, value) in [
        ("SLURM_JOB_ID", "77"),
        ("SLURM_CLUSTER_NAME", "fake"),
        ("SLURM_JOB_NODELIST", host.as_str()),
        ("SLURM_NODELIST", host.as_str()),
        ("SLURM_NTASKS", "1"),
        ("SLURM_JOB_NUM_NODES", "1"),
        ("SLURM_TASKS_PER_NODE", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
        ("FAKETIME_NO_CACHE", "1"),
    ] {
        command.env(name, value);
    }
    set_clock(place, 0);
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", place.dir().join("clock"));
    Job::spawn(place, "x", command)
}

/// Sets ipjob's clock so many seconds off.
fn set_clock(place: &Place, off: i64) {
    let new = place.dir().join("clock.new");
    fs::write(&new, format!("{off:+}\n")).expect("written");
    fs::rename(new, place.dir().join("clock")).expect("renamed");
}

/// Sets the clock once the job is ready, and tells after how many seconds of the true time it ends.
fn ends_after(off: i64) -> Needed<u64> {
    let library = library()?;
    let place = Place::with_fakes();
    slurm(&place);
    let begin = Instant::now();
    let mut job = job(&place, &library);
    let before = job.wait_ready();
    set_clock(&place, off);
    let (code, transcript) = job.finish();
    let took = begin.elapsed().as_secs();
    assert_eq!(code, 7, "{transcript}");
    job.assert_nothing_left();
    // The clock was indeed another one.
    let seconds = |value: &Value| {
        let time: jiff::Timestamp = value.as_str().expect("text").parse().expect("a time");
        time.as_second()
    };
    let record = job.record().expect("a record");
    let passed = seconds(&record["updated"]) - seconds(&before["updated"]);
    assert!((passed - off).abs() < 600, "{passed} s by its clock");
    assert_eq!(record["reason"], "the job's time limit");
    Ok(took)
}

#[test]
fn a_clock_that_is_set_ends_no_job_early_and_none_late() {
    for off in [3600, -3600] {
        let took = needed!(ends_after(off));
        assert!(
            (LIMITS[1] - 5..LIMITS[1] + 60).contains(&took),
            "{took} s with {off:+} s"
        );
    }
}
