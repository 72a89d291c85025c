//! `--bind` on one machine: each engine has CPUs and GPUs of its own, by every launcher, and ipjob knows whether it sees them.

use super::start::{Start, python};
use crate::support::{Needed, Place, Skipped, binary, pretended_gpus, venv};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::process::Command;

/// The CPUs of each engine and the GPUs that its environment lists, in the order of the ids.
const SEEN: &str = "
import ipyparallel as ipp, json, sys
rc = ipp.Client(profile=sys.argv[1], timeout=60)
def seen():
    import os
    names = 'CUDA_VISIBLE_DEVICES', 'ROCR_VISIBLE_DEVICES', 'CUDA_DEVICE_ORDER', 'OMP_NUM_THREADS'
    return [sorted(os.sched_getaffinity(0)), [os.environ.get(name) for name in names]]
print(json.dumps(rc[:].apply_sync(seen)))
";

/// Nothing of the job's is bound to fewer CPUs than these.
fn two_cpus() -> Needed<()> {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Err(Skipped::for_want_of("this machine has only one CPU"));
    }
    Ok(())
}

/// A list of CPUs as the kernel writes it.
fn numbers(list: &Value) -> Vec<u64> {
    let parts = list.as_str().expect("CPUs").split(',');
    let of = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        from.parse::<u64>().expect("a CPU")..=to.parse().expect("a CPU")
    };
    parts.flat_map(of).collect()
}

/// Waits until every engine has told what it sees, and ends the job; the record and what the engines saw.
fn seen(place: &Place, command: Command) -> (Value, Value) {
    let mut job = Start::of(place, "job_local", command);
    job.wait_state("ready");
    let seen = python(place, SEEN, "job_local");
    let record = crate::support::wait_for("what engines see", || {
        let record = job.record()?;
        let list = record["engines"]["list"].as_array()?;
        let told = list.iter().all(|engine| engine["confirmed"].is_boolean());
        (told && list.len() == 2).then_some(record)
    });
    job.signal(Signal::SIGTERM);
    let (code, output) = job.finish();
    assert_eq!(code, 0, "{output}");
    (record, seen)
}

/// Two engines by every launcher, with further options and variables.
fn ways(place: &Place, venv: &std::path::Path, options: &[&str]) -> Vec<Command> {
    let mut ranks = place.command(venv.join("bin/mpiexec"));
    ranks.args(["-n", "2"]).arg(binary());
    ranks.arg("--mode=cluster-only").args(options);
    let local = |further: &[&str]| {
        let usual = ["--mode=cluster-only", "-n2"];
        place.ipjob(usual.iter().chain(further).chain(options))
    };
    vec![
        local(&["--engine-start=exec"]),
        local(&["--engine-start=fork"]),
        local(&["--launcher=mpiexec"]),
        ranks,
    ]
}

#[test]
fn gives_each_engine_its_own_cpus() {
    needed!(two_cpus());
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    for command in ways(&place, &venv, &["--bind=cpu"]) {
        let (record, seen) = seen(&place, command);
        let list = record["engines"]["list"].as_array().expect("a list");
        let mut all = Vec::new();
        for (engine, seen) in list.iter().zip(seen.as_array().expect("a list")) {
            let cpus = numbers(&engine["cpus"]);
            assert_eq!(json!(cpus), seen[0], "{record}");
            assert_eq!(engine["confirmed"], true, "{record}");
            assert_eq!(engine["gpus"], Value::Null);
            assert_eq!(engine["threads"], cpus.len());
            assert_eq!(seen[1][3], cpus.len().to_string());
            all.extend(cpus);
        }
        all.sort_unstable();
        let number = all.len();
        all.dedup();
        assert_eq!(all.len(), number, "they share none: {record}");
        assert_eq!(record["warnings"], json!([]));
    }
}

#[test]
fn gives_each_engine_its_own_gpu() {
    needed!(pretended_gpus());
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    for (gpus, own) in [
        ("3,5", ["3", "5"]),
        ("4", ["4", "4"]),
        ("0,1,2,3,4", ["0,1", "2,3"]),
    ] {
        for mut command in ways(&place, &venv, &["--bind=gpu"]) {
            command.env("CUDA_VISIBLE_DEVICES", gpus);
            let (record, seen) = seen(&place, command);
            for (id, own) in own.iter().enumerate() {
                let engine = &record["engines"]["list"][id];
                assert_eq!(engine["gpus"], format!("CUDA_VISIBLE_DEVICES={own}"));
                assert_eq!(engine["confirmed"], true, "{record}");
                assert_eq!(seen[id][1][0], *own);
                assert_eq!(seen[id][1][2], "PCI_BUS_ID");
            }
            assert_eq!(record["warnings"], json!([]));
            if gpus != "3,5" {
                break;
            }
        }
    }
}

#[test]
fn is_checked_by_what_the_engine_sees() {
    needed!(pretended_gpus());
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    place.script("wrapper", "CUDA_VISIBLE_DEVICES=7 exec \"$@\"");
    let mut command = place.ipjob([
        "--mode=cluster-only",
        "-n2",
        "--launcher=mpiexec",
        "--engine-wrapper=wrapper",
        "--bind=gpu",
    ]);
    command.env("CUDA_VISIBLE_DEVICES", "0,1");
    let (record, _) = seen(&place, command);
    let warnings = record["warnings"].as_array().expect("a list");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for engine in record["engines"]["list"].as_array().expect("a list") {
        assert_eq!(engine["confirmed"], false);
        let (id, gpus) = (&engine["id"], engine["gpus"].as_str().expect("GPUs"));
        let text = format!("engine {id} on ");
        let it = warnings
            .iter()
            .filter_map(Value::as_str)
            .find(|line| line.starts_with(&text));
        let line = it.expect("a warning");
        let what = format!("it sees CUDA_VISIBLE_DEVICES=7, not {gpus}; does a wrapper");
        assert!(line.contains(&what), "{line}");
    }
    // Before anything is started.
    let output = place
        .ipjob(["--mode=cluster-only", "-n2", "--bind=gpu"])
        .env("CUDA_VISIBLE_DEVICES", "")
        .output()
        .expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{errors}");
    assert!(
        errors.contains("--bind gpu: it may use no GPU here"),
        "{errors}"
    );
}

#[test]
fn is_shown_by_a_dry_run() {
    needed!(pretended_gpus());
    let place = Place::with_fakes();
    let plan = |options: &[&str]| {
        let usual = ["--mode=cluster-only", "--dry-run", "-n2"];
        let mut command = place.ipjob(usual.iter().chain(options));
        command.env("CUDA_VISIBLE_DEVICES", "1,2");
        let output = command.output().expect("it runs");
        String::from_utf8(output.stdout).expect("text")
    };
    for (options, lines) in [
        // Nobody binds any.
        (&[][..], &["respawn      off"][..]),
        (&["--bind=none"], &["bind         nothing"]),
        (
            &["--bind=cpu"],
            &[
                "bind         each engine to CPUs of its own",
                "    bind  CPUs ",
            ],
        ),
        (
            &["--bind=gpu"],
            &[
                "bind         each engine to its own GPU and to CPUs near it",
                "    bind  CUDA_VISIBLE_DEVICES=1, CPUs ",
                "    bind  CUDA_VISIBLE_DEVICES=2, CPUs ",
            ],
        ),
    ] {
        let plan = plan(options);
        assert_eq!(plan.contains("\nbind  "), !options.is_empty(), "{plan}");
        for line in lines {
            assert!(
                plan.contains(&format!("\n{line}")),
                "no {line:?} in\n{plan}"
            );
        }
    }
}

#[test]
fn is_told_by_the_doctor_without_a_job_too() {
    needed!(pretended_gpus());
    let place = Place::with_fakes();
    let sheet = |gpus: &str| {
        let mut command = place.ipjob(["doctor"]);
        let output = command.env("CUDA_VISIBLE_DEVICES", gpus).output();
        String::from_utf8(output.expect("it runs").stdout).expect("text")
    };
    let told = sheet("3");
    for line in [
        "note    gpus          every engine sees all GPUs of this machine (CUDA_VISIBLE_DEVICES=3) -> --bind gpu gives each its own and CPUs near it",
        "ok      bind          --bind gpu would give here: 0: CUDA_VISIBLE_DEVICES=3, CPUs 0",
    ] {
        assert!(told.contains(line), "no {line:?} in\n{told}");
    }
    let told = sheet("");
    assert!(!told.contains(" gpus "), "{told}");
}
