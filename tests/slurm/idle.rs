//! `--idle-timeout` with engines on other nodes: only their own node sees that they compute.

use crate::support::{Lab, lab::ALICE, wait_for};
use std::fs;
use std::time::{Duration, Instant};

/// The limit of these jobs.
const LIMIT: Duration = Duration::from_secs(12);

const REASON: &str =
    "idle for 12 s (--idle-timeout): no kernel, no engine and no client did anything";

/// Checks that a job has ended itself because nobody used it, with a warning before.
fn assert_idle_end(job: &crate::support::lab::SlurmJob) {
    let ended = job.finish();
    assert_eq!(
        (ended.state.as_str(), ended.code),
        ("COMPLETED", 0),
        "{}",
        ended.output
    );
    let record = job.assert_nothing_left();
    assert_eq!(record["reason"], REASON, "{}", ended.output);
    let warnings = record["warnings"].to_string();
    let warned = "nobody uses the job: it ends in";
    assert!(warnings.contains(warned), "{warnings}");
    let lines: Vec<&str> = ended.output.lines().collect();
    let place = |text: &str| lines.iter().position(|line| line.contains(text));
    assert!(place(warned) < place(REASON), "{}", ended.output);
}

#[test]
fn jobs_on_two_nodes_that_nobody_uses_end_themselves() {
    let lab = needed!(Lab::up(&[]));
    let run = "exec ipjob --mode cluster-only --idle-timeout 12s";
    let local = lab.script(
        "mpiexec-here",
        "#!/bin/sh\nexec mpiexec -launcher fork \"$@\"\n",
    );
    let jobs = [
        lab.submit(
            &["-N2", "--ntasks-per-node=2"],
            &format!("{run} --mpi none"),
        ),
        lab.submit(&["-N2", "--ntasks-per-node=1"], run),
        lab.submit(
            &["-N1", "-n1"],
            &format!(
                "{run} --launcher mpiexec --mpi none --launcher-command {}",
                local.display()
            ),
        ),
    ];
    for job in &jobs {
        assert_idle_end(job);
    }
    let log = fs::read_to_string(jobs[0].profile("log/ipjob-engines.log")).expect("a log");
    for node in ["node1", "node2"] {
        let told = log.matches(&format!("ipjob-engine {node} at rest")).count();
        // One engine of each node tells, and seldom.
        assert!((2..=12).contains(&told), "{node}: {told}\n{log}");
    }
}

#[test]
fn an_engine_that_computes_on_the_other_node_keeps_the_job_until_it_is_done() {
    let lab = needed!(Lab::up(&[]));
    lab.script("busy", "");
    // From the engine's first moment on, and without any message: no client has a part in it.
    let compute = "import os, threading; compute = compile(\"while os.path.exists('/home/alice/busy'): pass\", '', 'exec'); os.uname().nodename == 'node2' and threading.Thread(target=exec, args=(compute, dict(os=os)), daemon=True).start()";
    lab.script("compute.py", compute);
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=1"],
        "exec ipjob --mode cluster-only --mpi none --idle-timeout 12s --engine-arg=--IPEngine.startup_command=\"$(cat compute.py)\"",
    );
    let record = job.wait_state("ready");
    let pid = &record["engines"]["list"][1]["pid"];
    let ran = || {
        let line = format!("awk '{{print $14 + $15}}' /proc/{pid}/stat");
        let ticks = lab.shell(ALICE, "node2", &line);
        ticks.text.trim().parse::<u64>().expect("clock ticks")
    };
    let (ready, before) = (Instant::now(), ran());
    wait_for("twice the limit, and some CPU time", || {
        let state = job.record()?["state"].clone();
        assert_eq!(state, "ready", "{}", job.output());
        (ready.elapsed() > 2 * LIMIT && ran() > before + 200).then_some(())
    });
    let warned = job.output().contains("nobody uses the job");
    assert!(!warned, "{}", job.output());
    fs::remove_file(lab.home("busy")).expect("it is there");
    let at_rest = Instant::now();
    assert_idle_end(&job);
    assert!(at_rest.elapsed() > LIMIT, "{:?}", at_rest.elapsed());
}
