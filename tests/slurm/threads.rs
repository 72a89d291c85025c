//! How many threads the engines of a job are told to use: their CPUs, however few of the node's Slurm keeps them to.

use crate::support::{Lab, lab::ALICE, wait_for};
use serde_json::{Value, json};

/// What each engine was told, in the order of the ids.
const DRIVER: &str = "
import ipyparallel as ipp, json, os
rc = ipp.Client(profile=os.environ['IPJOB_CLIENT_PROFILE'], timeout=60)
def told():
    import os
    numbers = {os.environ.get(name + '_NUM_THREADS') for name in ('OMP', 'OPENBLAS', 'MKL', 'NUMEXPR', 'BLIS')}
    return numbers.pop() if len(numbers) == 1 else sorted(map(str, numbers))
print('TOLD', json.dumps(rc[:].apply_sync(told)), flush=True)
";

/// What the lines of a job's output tell.
fn told(output: &str) -> Vec<Value> {
    let lines = output.lines().filter_map(|line| line.strip_prefix("TOLD "));
    lines
        .map(|text| serde_json::from_str(text).expect("JSON"))
        .collect()
}

#[test]
fn engines_of_a_step_use_the_cpus_that_they_have() {
    // Two real CPUs, and four that Slurm counts: none of the tasks is bound.
    let lab = needed!(Lab::up(&["--nodes", "3"]));
    let driver = lab.script("driver.py", DRIVER);
    let driver = driver.display();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let number = |most: usize| json!(cpus.min(most).to_string());
    let run = |options: &str| format!("ipjob --mode cluster-only {options} -- python3 {driver}");
    let (exec, fork) = (
        "--mpi none --engine-start exec",
        "--mpi none --engine-start fork",
    );
    let two = number(2);
    let one = number(1);
    for (options, lines, expected) in [
        (
            &["-N2", "--ntasks-per-node=2", "-c2"][..],
            vec![
                // Newer Slurm does not hand -c on from a job to its steps.
                run(fork),
                format!("srun -n4 -c2 {}", run("")),
                run("--launcher mpiexec"),
                format!("OMP_NUM_THREADS=5 {}", run("--mpi none --threads 3")),
            ],
            vec![
                json!([two, two, two, two]),
                json!([two, two, two, two]),
                json!([two, two, two, two]),
                json!(["3", "3", "3", "3"]),
            ],
        ),
        // One CPU each, where the node's four by its two tasks would be more.
        (
            &["-N2", "--ntasks-per-node=2", "-c1", "--exclusive"],
            vec![
                run(fork),
                run(exec),
                format!("srun -n4 -c1 {}", run("")),
                run("--launcher mpiexec"),
            ],
            vec![json!([one, one, one, one]); 4],
        ),
        // Of nothing that the job said: its part of the node, the most of it and the least.
        (
            &["-N2", "-n3", "--exclusive"],
            vec![run(exec)],
            vec![json!([two, two, two])],
        ),
        (
            &["-N1", "-n4", "--exclusive"],
            vec![run(exec)],
            vec![json!([one, one, one, one])],
        ),
        // One task is as many engines as it has CPUs.
        (
            &["-N1", "-n1", "-c4"],
            vec![run(fork)],
            vec![json!([one, one, one, one])],
        ),
    ] {
        // A job for each: a busy machine takes half a minute for one.
        for (line, expected) in lines.iter().zip(expected) {
            let ended = lab.submit(options, line).finish();
            assert_eq!(ended.code, 0, "{}", ended.output);
            assert_eq!(told(&ended.output), [expected], "{}", ended.output);
        }
    }
    // Each component tells of its own nodes.
    let line = run("--mpi none --srun-arg=--het-group=0,1");
    let text = format!(
        "#!/bin/bash\n#SBATCH -N1 -n1 -c2\n#SBATCH hetjob\n#SBATCH -N2 --ntasks-per-node=2 -c2\n{line}\n"
    );
    let script = lab.script("het.sbatch", &text);
    let line = format!("sbatch --parsable --output=%j.out {}", script.display());
    let done = lab.shell(ALICE, "login", &line);
    let id = done.text.trim().split('+').next().expect("a component");
    let ended = lab.job(id).finish();
    assert_eq!(ended.code, 0, "{}", ended.output);
    let five = json!([two, two, two, two, two]);
    assert_eq!(told(&ended.output), [five], "{}", ended.output);
}

#[test]
fn an_engine_that_starts_again_uses_as_many_as_before() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(
        &["-N1", "-n2", "--exclusive", "--time=20"],
        "exec ipjob --mode cluster-only --mpi none --respawn engine",
    );
    let before = job.wait_state("ready");
    let engine = |record: &Value| record["engines"]["list"][1].clone();
    lab.kill("node1", &engine(&before)["pid"]);
    let after = wait_for("the engine", || {
        let record = job.record()?;
        let back = record["restarts"]["engines"] == 1 && record["state"] == "ready";
        back.then_some(record)
    });
    assert_ne!(engine(&after)["pid"], engine(&before)["pid"]);
    assert!(engine(&before)["threads"].is_u64(), "{before}");
    assert_eq!(engine(&after)["threads"], engine(&before)["threads"]);
    job.cancel();
}
