//! `--bind` in a job: the GPUs that Slurm gave to it are divided among the engines of each node. The lab's GPUs are names only.

use crate::support::{Lab, lab::ALICE, pretended_gpus, wait_for};
use serde_json::{Value, json};

/// The GPUs of each engine, in the order of the ids.
const DRIVER: &str = "
import ipyparallel as ipp, json, os, time
rc = ipp.Client(profile=os.environ['IPJOB_CLIENT_PROFILE'], timeout=60)
def seen():
    import os
    return os.environ.get('CUDA_VISIBLE_DEVICES')
print('SEEN', json.dumps(rc[:].apply_sync(seen)), flush=True)
";

fn told(output: &str) -> Vec<Value> {
    let lines = output.lines().filter_map(|line| line.strip_prefix("SEEN "));
    lines
        .map(|text| serde_json::from_str(text).expect("JSON"))
        .collect()
}

#[test]
fn engines_of_a_node_divide_the_gpus_of_the_job() {
    needed!(pretended_gpus());
    let lab = needed!(Lab::up(&["--gpus", "4"]));
    let driver = lab.script("driver.py", DRIVER);
    let driver = driver.display();
    let run = |options: &str| {
        format!(
            "ipjob --mode cluster-only --mpi none {options} -- python3 {driver} || echo FAILED $?"
        )
    };
    let (exec, fork) = (
        "--engine-start exec --bind gpu",
        "--engine-start fork --bind gpu",
    );
    for (options, lines, expected) in [
        (
            &["-N2", "--ntasks-per-node=2", "--gpus-per-node=2"][..],
            vec![run(fork), run("")],
            vec![
                json!(["0", "1", "0", "1"]),
                json!(["0,1", "0,1", "0,1", "0,1"]),
            ],
        ),
        // More engines than GPUs, and fewer.
        (
            &["-N1", "-n3", "--gres=gpu:2"],
            vec![
                run(exec),
                run(&format!("{fork} -n 1")),
                run(&format!("--launcher local -n 2 {exec}")),
            ],
            vec![json!(["0", "1", "0"]), json!(["0,1"]), json!(["0", "1"])],
        ),
        // Slurm has given each task its own.
        (
            &["-N1", "-n2", "--gpus-per-task=2"],
            vec![run(exec)],
            vec![json!(["0,1", "2,3"])],
        ),
    ] {
        // A job for each: a busy machine takes half a minute for one.
        for (line, expected) in lines.iter().zip(expected) {
            let ended = lab.submit(options, line).finish();
            assert_eq!(ended.code, 0, "{}", ended.output);
            assert_eq!(told(&ended.output), [expected], "{}", ended.output);
        }
    }
    let ended = lab.submit(&["-N1", "-n2"], &run(exec)).finish();
    let why = "--bind gpu: it may use no GPU here";
    assert!(ended.output.contains(why), "{}", ended.output);
    assert!(ended.output.contains("FAILED"), "{}", ended.output);
    let both = run(&format!("{exec} --srun-arg=--cpu-bind=cores"));
    let ended = lab.submit(&["-N1", "-n2", "--gres=gpu:2"], &both).finish();
    let why = "--bind gpu and --srun-arg=--cpu-bind=cores both bind engines to CPUs";
    assert!(ended.output.contains(why), "{}", ended.output);
    assert!(ended.output.contains("FAILED 2"), "{}", ended.output);
}

#[test]
fn nothing_shall_be_bound_and_srun_is_told_to_bind() {
    let lab = needed!(Lab::up(&[]));
    let run = "ipjob --mode cluster-only --mpi none --bind none --dry-run";
    let line = format!(
        "{run} --srun-arg=--cpu-bind=cores; echo code $?; {run} --srun-arg=--cpu-bind=none; echo code $?"
    );
    let ended = lab.submit(&["-n1"], &line).finish();
    let why = "--bind none and --srun-arg=--cpu-bind=cores contradict each other";
    assert!(ended.output.contains(why), "{}", ended.output);
    assert!(ended.output.contains("code 2\n"), "{}", ended.output);
    assert!(ended.output.contains("code 0\n"), "{}", ended.output);
}

#[test]
fn an_engine_that_starts_again_has_the_gpu_that_it_had() {
    needed!(pretended_gpus());
    let lab = needed!(Lab::up(&["--gpus", "2"]));
    let job = lab.submit(
        &["-N1", "-n2", "--gres=gpu:2", "--time=20"],
        "exec ipjob --mode cluster-only --mpi none --respawn engine --bind gpu",
    );
    job.wait_state("ready");
    let confirmed = |record: &Value| {
        let list = record["engines"]["list"]
            .as_array()
            .expect("a list")
            .clone();
        list.len() == 2 && list.iter().all(|engine| engine["confirmed"] == true)
    };
    let before = wait_for("what engines see", || job.record().filter(confirmed));
    let engine = |record: &Value| record["engines"]["list"][1].clone();
    assert_eq!(engine(&before)["gpus"], "CUDA_VISIBLE_DEVICES=1");
    let status = lab
        .shell(ALICE, "login", &format!("ipjob status {}", job.id))
        .text;
    let line = "bound    engine 1 on node1: CUDA_VISIBLE_DEVICES=1, CPUs ";
    assert!(status.contains(line), "{status}");
    lab.kill("node1", &engine(&before)["pid"]);
    let after = wait_for("the engine", || {
        let record = job.record()?;
        let back = record["restarts"]["engines"] == 1 && record["state"] == "ready";
        (back && confirmed(&record)).then_some(record)
    });
    assert_ne!(engine(&after)["pid"], engine(&before)["pid"]);
    for field in ["gpus", "cpus", "threads"] {
        assert_eq!(engine(&after)[field], engine(&before)[field], "{field}");
    }
    assert!(!after["warnings"].to_string().contains("bound"), "{after}");
    job.cancel();
}
