//! A real controller with hundreds and thousands of engines. They are stand-ins (`scale/starter`): memory for as many real ones is
//! nowhere, and to the hub they are the same.

use crate::support::{Job, Place, made, venv, wait_within};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// From the hub's last registration to the job's being ready.
const SOON: Duration = Duration::from_secs(2);

/// The longest that a start of stand-ins is waited for: the hub itself writes the list of all engines at every registration.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Resident memory of ipjob at the most, in kB.
const MOST_MEMORY: u64 = 16 * 1024;

/// CPU time of ipjob until all are counted, for each engine; the unoptimised program of `cargo test` takes the most of it.
const MOST_CPU_PER_ENGINE: Duration = Duration::from_millis(5);

/// How often ipjob woke up until all are counted: it looks every 10 ms at the most.
const MOST_WAKE_UPS_PER_SECOND: f64 = 200.0;

#[test]
fn five_hundred_engines_are_all_counted() {
    all_are_counted(500, "3m");
}

#[test]
#[ignore = "make test LONG=1"]
fn a_thousand_engines_are_all_counted() {
    all_are_counted(1_000, "5m");
}

#[test]
#[ignore = "make test LONG=1"]
fn two_thousand_engines_are_all_counted() {
    all_are_counted(2_000, "10m");
}

#[test]
#[ignore = "make test LONG=1"]
fn five_thousand_engines_are_all_counted() {
    all_are_counted(5_000, "30m");
}

#[test]
fn sixty_four_real_engines_are_all_counted() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let args = ["--mode", "cluster-only", "-n", "64", "--engine-start"];
    let mut job = Job::start(&place, &[&args[..], &["fork"]].concat());
    let record = job.wait_ready();
    assert_eq!(record["engines"]["registered"], 64);
    assert_eq!(record["engines"]["list"].as_array().map(Vec::len), Some(64));
    job.stop();
}

fn all_are_counted(engines: u32, limit: &str) {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let starter = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scale/starter");
    let mut command = place.ipjob([
        "--mode",
        "cluster-only",
        "--mpi",
        "none",
        "--launcher",
        "mpiexec",
    ]);
    command
        .args(["-n", &engines.to_string(), "--start-timeout", limit])
        .arg("--launcher-command")
        .arg(starter);
    let mut job = Job::spawn(&place, "job_local", command);
    // The line, not the record: to read that again and again is work of its own at this size.
    wait_within(PATIENCE, "the ready line", || {
        let transcript = job.transcript();
        assert!(!transcript.contains("error:"), "{transcript}");
        transcript.contains("ready: ").then_some(())
    });
    let record = job.wait_ready();
    let proc = PathBuf::from(format!("/proc/{}", job.pid()));
    let (memory, wake_ups, cpu) = (
        number_after(&proc.join("status"), "VmHWM:"),
        number_after(&proc.join("status"), "voluntary_ctxt_switches:"),
        cpu(&proc),
    );
    assert_eq!(record["engines"]["registered"], engines);
    assert_eq!(
        record["engines"]["missing"].as_array().map(Vec::len),
        Some(0)
    );
    let list = record["engines"]["list"].as_array().expect("a list");
    assert_eq!(list.len(), engines as usize);
    assert_eq!(
        record["warnings"].as_array().map(Vec::len),
        Some(0),
        "{}",
        record["warnings"]
    );

    // The hub has the same, and had it only just before.
    let hub = job.profile().join("log/enginesipjob0.json");
    let known: Value = serde_json::from_slice(&fs::read(&hub).expect("a file")).expect("JSON");
    assert_eq!(
        known["engines"].as_object().map(serde_json::Map::len),
        Some(engines as usize)
    );
    let written = |path: &Path| {
        fs::metadata(path)
            .and_then(|data| data.modified())
            .expect("a file")
    };
    let registered = written(&hub);
    let ready = written(&job.profile().join("ipjob.json"));
    let late = ready.duration_since(registered).unwrap_or_default();
    let took = record["timeline"]
        .as_array()
        .and_then(|moments| moments.last()?["at"].as_f64());
    let took = took.expect("a timeline");
    println!(
        "{engines} engines in {took:.1} s, counted {late:.2?} later; ipjob: {memory} kB, {cpu:.2?} of CPU, {wake_ups} wake-ups"
    );
    assert!(
        late < SOON,
        "counted {late:?} after the hub's last registration"
    );
    // Much of cargo's own build is debug information, which is mapped and counts as well.
    if made("IPJOB_TEST_BINARY").is_ok() {
        assert!(memory < MOST_MEMORY, "{memory} kB");
    }
    assert!(cpu < MOST_CPU_PER_ENGINE * engines, "{cpu:?}");
    #[allow(clippy::cast_precision_loss)]
    let per_second = wake_ups as f64 / took;
    assert!(
        per_second < MOST_WAKE_UPS_PER_SECOND,
        "{per_second} wake-ups a second"
    );
    job.stop();
}

/// A number of /proc/PID/status.
fn number_after(path: &Path, name: &str) -> u64 {
    let text = fs::read_to_string(path).expect("ipjob lives");
    text.lines()
        .find_map(|line| {
            line.strip_prefix(name)?
                .split_ascii_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// CPU time of a process, of /proc/PID/stat in clock ticks of 10 ms.
fn cpu(proc: &Path) -> Duration {
    let text = fs::read_to_string(proc.join("stat")).expect("ipjob lives");
    let (_, fields) = text.rsplit_once(") ").expect("a name");
    let ticks = |field: &str| field.parse::<u64>().expect("a number");
    let fields: Vec<&str> = fields.split(' ').collect();
    Duration::from_millis(10 * (ticks(fields[11]) + ticks(fields[12])))
}
