//! `--idle-timeout`: a job that is in use goes on, one that nobody uses ends itself.

use super::run_python;
use crate::support::{Job, Place, venv, wait_for};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

/// The limit of these jobs, in seconds.
const LIMIT: u64 = 4;

/// Seconds of CPU time of a process.
fn ran(pid: u64) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields = stat.rsplit_once(')').expect("a name").1;
    let ticks = fields.split_ascii_whitespace().skip(11).take(2);
    ticks
        .map(|ticks| ticks.parse::<u64>().expect("a number"))
        .sum::<u64>()
        / 100
}

#[test]
fn a_busy_engine_and_a_waiting_kernel_keep_a_job_that_ends_itself_when_idle() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let busy = place.dir().join("busy");
    fs::write(&busy, "").expect("a file");
    let path = busy.to_str().expect("text");
    // The engine computes from its first moment on, so that no slow client comes too late.
    let compute = format!(
        "import os, threading; compute = compile('while os.path.exists({path:?}): pass', '', 'exec'); threading.Thread(target=exec, args=(compute, dict(os=os)), daemon=True).start()"
    );
    let engine = format!("--engine-arg=--IPEngine.startup_command={compute}");
    let limit = format!("{LIMIT}s");
    let args = ["--mode", "notebook", "-n", "1", "--idle-timeout", &limit];
    let mut job = Job::start(&place, &[&args[..], &[&engine]].concat());
    let record = job.wait_ready();
    let pid = record["engines"]["list"][0]["pid"].as_u64().expect("a pid");
    let begun = ran(pid);
    wait_for("more CPU time than the limit", || {
        let state = job.record()?["state"].clone();
        assert_eq!(state, "ready", "{}", job.transcript());
        (ran(pid) > begun + 2 * LIMIT).then_some(())
    });
    // The kernel waits and does not compute: that a cell runs must be enough.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let cell = format!(
        "import os, socket\nprint('the cell runs')\nwaiting = socket.create_connection(('127.0.0.1', {port}))\nos.remove({path:?})\nwaiting.recv(1)"
    );
    let file = job.profile().join("ipjob.json");
    let file = file.to_str().expect("text");
    let until = ["--until", "the cell runs", file, &cell];
    run_python(&place, &venv, "jupyter.py", &until);
    let cell = listener.accept().expect("the cell");
    wait_for("the engine's rest", || (!busy.exists()).then_some(()));
    let at_rest = Instant::now();
    wait_for("twice the limit", || {
        let state = job.record()?["state"].clone();
        assert_eq!(state, "ready", "{}", job.transcript());
        (at_rest.elapsed() > Duration::from_secs(2 * LIMIT)).then_some(())
    });
    drop(cell);
    let (code, transcript) = job.finish();
    assert_eq!(code, 0, "{transcript}");
    let reason = "idle for 4 s (--idle-timeout): no kernel, no engine and no client did anything";
    assert!(transcript.contains(&format!("stopping: {reason}")));
    let record = job.record().expect("it stays");
    assert_eq!(record["reason"], reason);
    let warnings = record["warnings"].to_string();
    assert!(
        warnings.contains("nobody uses the job: it ends in"),
        "{warnings}"
    );
    job.assert_nothing_left();
}
