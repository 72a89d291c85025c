//! Clusters that cells of a notebook start, several in one job: each has its name, knows the job, and ends with it.

use crate::support::lab::ALICE;
use crate::support::lab::SlurmJob;
use crate::support::{Lab, assert_nothing_left, wait_for};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What a hub's server has: a kernel, and that it ends it when Slurm's signal comes, which reaches the batch script alone.
const KERNEL: &str = "tail -f /dev/null &\nkernel=$!";

/// How to start a cluster that ends with that.
const START: &str = "ipjob --mode cluster-only --mpi none --detach --follow $kernel --json";

/// Ends with it, and waits for no cluster.
const WAITS: &str = "trap 'kill $kernel' TERM\nwait";

fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[test]
fn clusters_of_one_job_are_told_apart_and_end_in_order_when_it_is_cancelled() {
    let lab = needed!(Lab::up(&["--slurm-conf", "KillWait=30"]));
    let start = START;
    let job = lab.submit(
        &["-N1", "-n2", "--time=10"],
        &format!(
            "{KERNEL}\n{start} -n 1 --launcher local >one; {start} -n 2 >two; {start} -n 1 --launcher local >three\n{WAITS}"
        ),
    );
    let id = &job.id;
    let refused = lab.shell(
        ALICE,
        "login",
        "srun -n1 ipjob --mode cluster-only --detach",
    );
    assert!(
        refused.text.contains("Slurm kills whatever it leaves"),
        "{}",
        refused.text
    );
    let names = ["", "-2", "-3"].map(|end| format!("job_{id}{end}"));
    let profile = |name: &str| lab.home(format!(".ipython/profile_{name}"));
    let record = |name: &str| json(&profile(name).join("ipjob.json"));
    let mut steps = BTreeSet::new();
    for (file, name) in ["one", "two", "three"].iter().zip(&names) {
        let told = wait_for(&format!("{file}: {}", job.output()), || {
            json(&lab.home(file))
        });
        assert_eq!(told["profile"], name.as_str(), "{told}");
        assert_eq!(told["job"], id.as_str(), "{told}");
        let record = wait_for("the end of its time", || {
            record(name).filter(|record| record["job"]["deadline"].is_string())
        });
        assert_eq!(record["job"]["cluster"], "lab", "{record}");
        let alone = record["launcher"] == "local";
        assert_eq!(alone, *file != "two", "{record}");
        // Each is a step of its own.
        let step = record["job"]["signal_to"].as_str().expect("a step");
        let number = step.strip_prefix(&format!("{id}."));
        assert!(number.is_some_and(|it| it.parse::<u32>().is_ok()), "{step}");
        assert!(steps.insert(step.to_owned()), "{step}");
    }
    let shell = |line: String| lab.shell(ALICE, "login", &line);
    let shown = shell("ipjob status".to_owned());
    for name in &names {
        assert!(shown.text.contains(&format!(" {name} ")), "{}", shown.text);
    }
    let which = shell(format!("ipjob stop {id}"));
    assert_eq!(which.code, 2, "{}", which.text);
    let all = format!("job {id} has several clusters: {}", names.join(", "));
    assert!(which.text.contains(&all), "{}", which.text);
    let stopped = shell(format!("ipjob stop {}", names[2]));
    assert_eq!(stopped.code, 0, "{}", stopped.text);
    let told = format!("the cluster of job {id} ({}) has ended: ", names[2]);
    assert!(stopped.text.contains(&told), "{}", stopped.text);
    let still = "; the Slurm job is still RUNNING";
    assert!(stopped.text.contains(still), "{}", stopped.text);
    job.scancel();
    assert_eq!(job.finish().state, "CANCELLED");
    for name in &names {
        let record = wait_for(&format!("the end of {name}: {:?}", record(name)), || {
            record(name).filter(|record| record["state"] == "ended")
        });
        let log = fs::read_to_string(profile(name).join("log/ipjob-detached.log"));
        let log = log.expect("a log");
        assert_eq!(record["exit"], 0, "{log}");
        assert_nothing_left(&record, &profile(name), &log);
    }
    a_cluster_that_is_killed_half_way_leaves_no_key(&lab);
    let cleaned = shell("ipjob clean --all".to_owned());
    assert_eq!(cleaned.code, 0, "{}", cleaned.text);
    for name in &names {
        assert!(!profile(name).exists(), "{}", cleaned.text);
    }
}

/// A cluster that is no step of its own because srun fails, with a deaf engine, in a job whose script ends soon after Slurm's signal, as a
/// hub's server does.
fn a_cluster_that_is_killed_half_way_leaves_no_key(lab: &Lab) {
    let deaf = lab.script("deaf", DEAF);
    let srun = lab.script(
        "srun",
        "#!/bin/sh\necho 'srun: error: no steps today' >&2\nexit 1\n",
    );
    let job = lab.submit(
        &["-N1", "-n1"],
        &format!(
            "{KERNEL}\nmkdir bin; mv {} bin\nPATH=$PWD/bin:$PATH {START} -n 1 --launcher local --engine-wrapper {} >four\n\
             trap 'kill $kernel; timeout 2 tail -f /dev/null; exit' TERM\nwait",
            srun.display(),
            deaf.display()
        ),
    );
    wait_for(&format!("four: {}", job.output()), || {
        json(&lab.home("four"))
    });
    job.wait_line("no step of its own (srun: error: no steps today)");
    let held = |path: &str| job.profile(path).exists();
    let keys = [
        "security/ipcontroller-client.json",
        "security/ipcontroller-engine.json",
        "security/ipcontroller-ipjob0-client.json",
        "security/ipcontroller-ipjob0-engine.json",
        "ipjob-runtime/session.key",
    ];
    assert!(keys.iter().all(|key| held(key)), "{}", job.output());
    job.scancel();
    job.finish();
    assert!(!keys.iter().any(|key| held(key)), "{}", job.output());
}

/// Connects to the ipjob that waits for a step, tells so, and says nothing more.
const SILENT: &str = "#!/usr/bin/env python3
import signal, socket, sys
one = socket.socket(socket.AF_UNIX)
one.connect('\\0' + sys.argv[-1])
open('met', 'w').write('met')
signal.pause()
";

#[test]
fn a_hand_over_to_a_step_that_takes_nothing_is_left_at_once() {
    let lab = needed!(Lab::up(&[]));
    let srun = lab.script("srun", SILENT);
    let job = lab.submit(
        &["-N1", "-n1"],
        &format!(
            "mkdir -p bin; mv {} bin; mkfifo met\nPATH=$PWD/bin:$PATH ipjob --mode cluster-only -n 1 --launcher local --detach &\n\
             read word <met; SECONDS=0; kill -TERM $!; wait $!; echo code $? seconds $SECONDS",
            srun.display()
        ),
    );
    let ended = job.finish();
    let told = ended.output.split("code 3 seconds ").nth(1);
    let seconds = told.and_then(|told| told.split_whitespace().next()?.parse::<u32>().ok());
    // It waits 15 s for an answer.
    assert!(
        seconds.is_some_and(|seconds| seconds < 8),
        "{}",
        ended.output
    );
    let why = "error: the job ended before it was ready\ncause: SIGTERM";
    assert!(ended.output.contains(why), "{}", ended.output);
}

/// Runs a command and hears no SIGTERM; nor does what it runs.
const DEAF: &str = "#!/bin/sh\ntrap '' TERM\nexec \"$@\"\n";

#[test]
fn a_cluster_outlives_the_step_that_started_it_to_an_orderly_end() {
    let lab = needed!(Lab::up(&["--slurm-conf", "KillWait=30"]));
    let deaf = lab.script("deaf", DEAF);
    // As a server that ends by itself, and one that a hub cancels while an engine takes its time.
    let server = lab.script(
        "server",
        &format!("#!/bin/bash\n{KERNEL}\n{START} $1 >$2\n$3\n"),
    );
    let start = |words: &str, then: &str| {
        let line = format!(
            "srun --nodes=1 --ntasks=1 {} \"{words}\" $SLURM_JOB_ID \"{then}\"",
            server.display()
        );
        lab.submit(&["-N1", "-n2", "--no-requeue"], &line)
    };
    let log = |job: &SlurmJob| {
        let log = fs::read_to_string(job.profile("log/ipjob-detached.log"));
        format!("{}{}", job.output(), log.unwrap_or_default())
    };
    let ended = |job: &SlurmJob| {
        let record = wait_for(&format!("the end of {}: {}", job.id, log(job)), || {
            job.record().filter(|record| record["state"] == "ended")
        });
        assert_eq!(record["exit"], 0, "{}", log(job));
        assert_nothing_left(&record, &job.profile(""), &log(job));
        record
    };
    let left = start("-n 2", "exit");
    let reason = ended(&left)["reason"].to_string();
    assert!(
        reason.contains("(tail), has ended") || reason.contains("SIGTERM"),
        "{reason}"
    );
    let words = format!("-n 1 --launcher local --engine-wrapper {}", deaf.display());
    let cancelled = start(&words, "wait");
    wait_for(&format!("ready: {}", cancelled.output()), || {
        json(&lab.home(&cancelled.id))
    });
    cancelled.scancel();
    assert_eq!(ended(&cancelled)["reason"], "SIGTERM");

    // What is not followed lasts as long as the job, and ends with its script in order.
    let job = lab.submit(
        &["-N1", "-n2"],
        "srun --nodes=1 --ntasks=1 bash -c 'ipjob --mode cluster-only --mpi none --detach; exit 0'
         python3 -c \"import os, ipyparallel as ipp; print(ipp.Client(profile='job_' + os.environ['SLURM_JOB_ID'])[:].apply_sync(int, '4'))\"",
    );
    job.wait_line("[4, 4]");
    assert_eq!(ended(&job)["reason"], "SIGTERM");
}
