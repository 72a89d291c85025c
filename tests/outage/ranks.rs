//! Ranks of one mpiexec hear of each other in the home directory. That they hear nothing for a while ends none of their engines.

use super::unmounted::{client, mounted};
use super::{Home, engine, image};
use crate::healing::send;
use crate::support::{Job, Place, binary, carriers, venv, wait_for, wait_within};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Looks that a rank has made at the home, of which each wakes it up.
const LOOKS: u64 = 12;

/// `mpiexec -n 3 ipjob` without MPI, on that home.
fn start(home: &Home, venv: &Path) -> (Job, Value) {
    let mut command = home.place.command(venv.join("bin/mpiexec"));
    command
        .args(["-n", "3"])
        .arg(binary())
        .args(["--mode", "cluster-only", "--mpi", "none"])
        .env("HOME", &home.path);
    let job = Job::spawn_in(&home.path.join(".ipython"), "job_local", command);
    let record = wait_for("the ranks", || {
        let record = job.record().filter(|record| record["state"] == "ready");
        assert!(!job.transcript().contains("error:"), "{}", job.transcript());
        record
    });
    (job, record)
}

/// A field of /proc/PID/status.
fn field(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The ipjobs of the ranks that don't lead: the parents of their engines.
fn ranks(record: &Value) -> Vec<u32> {
    let parent = |id| u32::try_from(field(engine(record, id), "PPid:")?).ok();
    [1, 2].map(|id| parent(id).expect("a rank")).to_vec()
}

/// Waits until each of these has looked again and again, and still runs.
fn wait_looks(pids: &[u32]) {
    let switches = |pid| {
        let count = field(pid, "voluntary_ctxt_switches:");
        Some(count.unwrap_or_else(|| panic!("rank {pid} has ended")))
    };
    let before: Vec<Option<u64>> = pids.iter().map(|pid| switches(*pid)).collect();
    wait_for("looks of the ranks", || {
        let mut both = pids.iter().zip(&before);
        both.all(|(pid, before)| {
            let (now, before) = (switches(*pid), *before);
            now >= before.map(|before| before + LOOKS)
        })
        .then_some(())
    });
}

#[test]
fn go_on_while_their_home_is_away() {
    let venv = needed!(venv("main"));
    let home = needed!(mounted(Place::with_venv(&venv)));
    let (mut job, record) = start(&home, &venv);
    client(&home, &record, "push");
    let ranks = ranks(&record);
    home.go();
    assert!(job.record().is_none(), "it is away");
    wait_looks(&ranks);
    // The end of this one can be told only once the home is back.
    send(engine(&record, 1), Signal::SIGKILL);
    wait_looks(&ranks);
    home.come();
    job.wait_line("engine 1 (pid ");
    wait_looks(&ranks);
    client(&home, &record, "pull");
    let last = job.record().expect("a record");
    assert_eq!(
        last["engines"]["missing"],
        json!([1]),
        "{}",
        job.transcript()
    );
    job.stop();
}

#[test]
fn go_on_while_their_home_is_full() {
    let venv = needed!(venv("main"));
    let home = needed!(Home::in_place(Place::with_venv(&venv)));
    let directory = home.place.dir().to_owned();
    needed!(image(&home, &directory));
    let (mut job, record) = start(&home, &venv);
    client(&home, &record, "push");
    let ranks = ranks(&record);
    let filler = home.path.join("filler");
    let mut file = fs::File::create(&filler).expect("a file");
    for size in [1 << 20, 1 << 10, 1] {
        let piece = vec![0_u8; size];
        while file.write_all(&piece).is_ok() {}
    }
    drop(file);
    send(engine(&record, 1), Signal::SIGKILL);
    wait_looks(&ranks);
    client(&home, &record, "pull");
    fs::remove_file(&filler).expect("there");
    job.wait_line("engine 1 (pid ");
    client(&home, &record, "pull");
    job.stop();
}

/// Stops all of a job for so long, and lets it go on.
fn suspended(time: Duration) {
    let venv = needed!(venv("main"));
    let home = needed!(mounted(Place::with_venv(&venv)));
    let (mut job, record) = start(&home, &venv);
    client(&home, &record, "push");
    let id = record["incarnation"]["id"].as_str().expect("an id");
    let leader = crate::healing::pid_of(&record["incarnation"]["pid"]);
    // The controller stops before who watches it, and goes on after.
    let mut all: Vec<u32> = carriers(id).into_iter().map(|(pid, _)| pid).collect();
    all.extend(ranks(&record));
    all.push(leader);
    for pid in &all {
        send(*pid, Signal::SIGSTOP);
    }
    let begin = Instant::now();
    wait_within(2 * time, "the end of it", || {
        (begin.elapsed() > time).then_some(())
    });
    for pid in all.iter().rev() {
        send(*pid, Signal::SIGCONT);
    }
    wait_looks(&ranks(&record));
    client(&home, &record, "pull");
    let last = job.record().expect("a record");
    assert_eq!(last["restarts"], record["restarts"], "{}", job.transcript());
    assert_eq!(last["engines"]["missing"], json!([]));
    let transcript = job.stop();
    for untrue in ["has died", "is stopped"] {
        assert!(!transcript.contains(untrue), "{transcript}");
    }
}

#[test]
fn and_a_controller_outlive_a_suspension_of_the_whole_job() {
    suspended(Duration::from_secs(5));
}

#[test]
#[ignore = "make test LONG=1"]
fn and_a_controller_outlive_a_suspension_that_is_longer_than_every_limit() {
    suspended(Duration::from_secs(205));
}
