//! `--engine-start fork` in a step: each engine is what one of its own would have been, to Slurm as well, and on each node one
//! Python has imported for all.

use super::px;
use crate::support::{
    Lab,
    lab::{ALICE, SlurmJob},
    wait_for,
};
use crate::support::{Needed, Skipped};
use serde_json::{Value, json};

/// What each engine sees of itself, one JSON object for all.
const DRIVER: &str = "
import ipyparallel as ipp, json, os, sys
rc = ipp.Client(profile=os.environ['IPJOB_CLIENT_PROFILE'], timeout=60)
def look():
    import os, random, signal, sys
    mask = os.umask(0o22)
    os.umask(mask)
    def files():
        frame = sys._getframe()
        while frame:
            yield frame.f_code.co_filename
            frame = frame.f_back
    return {
        'parent': open(f'/proc/{os.getppid()}/comm').read().strip(),
        'seen': {
            'argv': sys.argv, 'path': sys.path, 'affinity': sorted(os.sched_getaffinity(0)), 'umask': mask, 'directory': os.getcwd(),
            'environment': dict(os.environ), 'preloaded': 'numpy' in sys.modules,
            'signals': {n.name: str(signal.getsignal(n)).split(' object at ')[0] for n in signal.Signals},
            'blocked': sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
            'command': open('/proc/self/cmdline').read().strip('\\0').split('\\0'),
            # Python shows their lines in a traceback, and must not wait for ever for what is none.
            'files that are no files': [x for x in files() if x.startswith('/proc/')],
            'sockets to others': [x for x in os.listdir('/proc/self/fd') if 'ipjob' in os.path.realpath(f'/proc/self/fd/{x}')],
        },
        'random': random.random(),
        'sum': sum_of_ranks(),
        'nanny': [sorted(os.sched_getaffinity(int(pid))) for pid in os.listdir('/proc') if pid.isdigit() and is_nanny(pid)],
    }
def sum_of_ranks():
    import sys
    if 'mpi4py.MPI' not in sys.modules:
        return None
    from mpi4py import MPI
    world = MPI.COMM_WORLD
    # As large as what goes by shared memory, or by another rank's own, and not by the messages that announce it.
    given = bytearray(1 << 22)
    world.Sendrecv(bytes([world.rank + 1]) * (1 << 22), (world.rank + 1) % world.size, recvbuf=given, source=(world.rank - 1) % world.size)
    return [world.rank, world.size, world.allreduce(given[-1])]
def is_nanny(pid):
    import os
    try:
        return '\\0ipyparallel.engine.nanny\\0' in open(f'/proc/{pid}/cmdline').read() and os.getsid(int(pid)) == int(pid)
    except OSError:
        return False
rc[:].push({'is_nanny': is_nanny, 'sum_of_ranks': sum_of_ranks}, block=True)
print('SEEN', json.dumps(dict(zip(rc.ids, rc[:].apply_sync(look)))), flush=True)
";

/// Connects to every socket on which this node's engines are forked, and waits to be turned away.
const SILENT: &str = "
import socket
names = {line.split('@', 1)[1].strip() for line in open('/proc/net/unix') if '@ipjob-' in line}
for name in names:
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(60)
    one.connect('\\0' + name)
    assert one.recv(1) == b''
print('closed', len(names))
";

/// Variables in which two steps of one job differ.
const OF_A_STEP: [&str; 8] = [
    "IPJOB_INCARNATION",
    "PMI_FD",
    "PMI_JOBID",
    "SLURM_STEP_ID",
    "SLURM_STEPID",
    "SLURM_TASK_PID",
    "SLURM_SRUN_COMM_PORT",
    "SLURM_STEP_LAUNCHER_PORT",
];

/// Tasks are bound to a CPU each.
fn two_cpus() -> Needed<()> {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Err(Skipped::for_want_of("this machine has only one CPU"));
    }
    Ok(())
}

#[test]
fn a_forked_engine_of_a_step_sees_what_one_of_its_own_sees() {
    needed!(two_cpus());
    // As many CPUs as are there: task/affinity binds each task to one.
    let options = ["--cpus", "2", "--slurm-conf", "TaskPlugin=task/affinity"];
    let lab = needed!(Lab::up(&options));
    let driver = lab.script("driver.py", DRIVER);
    let mut seen: Vec<Value> = vec![];
    // Two tasks on one node, one on the other; then fewer engines than tasks; then as the ranks of one MPI world.
    for (options, engines) in [("--mpi none", 3), ("--mpi none -n 2", 2), ("--mpi pmi2", 3)] {
        let run = |way: &str| {
            let driver = driver.display();
            format!("ipjob --mode cluster-only --engine-start {way} {options} -- python3 {driver}")
        };
        let job = lab.submit(
            &["-N2", "-n3"],
            &format!("{}\n{}", run("exec"), run("fork")),
        );
        let ended = job.finish();
        assert_eq!(ended.code, 0, "{}", ended.output);
        let before = seen.len();
        let told = ended.output.lines();
        let told = told.filter_map(|line| line.strip_prefix("SEEN "));
        seen.extend(told.map(|text| serde_json::from_str::<Value>(text).expect("JSON")));
        assert_eq!(seen.len(), before + 2, "{}", ended.output);
        assert_same(&seen[before], &seen[before + 1], engines);
    }
    for rank in 0..3 {
        assert_eq!(seen[5][rank.to_string()]["sum"], json!([rank, 3, 6]));
    }
    let cpus = |id: &str| &seen[1][id]["seen"]["affinity"];
    assert_ne!(cpus("0"), cpus("1"), "each has a CPU of its own");
    let mut nannies = seen[1]["0"]["nanny"].as_array().expect("a list").clone();
    nannies.sort_by_key(Value::to_string);
    let mut engines = vec![cpus("0").clone(), cpus("1").clone()];
    engines.sort_by_key(Value::to_string);
    assert_eq!(nannies, engines, "a nanny runs where its engine does");
    assert_ne!(seen[1]["0"]["random"], seen[1]["1"]["random"]);
}

fn assert_same(exec: &Value, fork: &Value, engines: usize) {
    assert_eq!(exec.as_object().map(serde_json::Map::len), Some(engines));
    for id in 0..engines {
        let id = id.to_string();
        let (mut exec, mut fork) = (exec[&id].clone(), fork[&id].clone());
        assert_eq!(fork["parent"], "ipengine-forks");
        assert_ne!(exec["parent"], fork["parent"]);
        for engine in [&mut exec, &mut fork] {
            let environment = engine["seen"]["environment"].as_object_mut();
            environment
                .expect("an object")
                .retain(|name, _| !OF_A_STEP.contains(&name.as_str()));
        }
        assert_eq!(fork["seen"], exec["seen"]);
        assert_eq!(fork["seen"]["environment"]["SLURM_PROCID"], id);
        assert_eq!(fork["seen"]["preloaded"], true);
    }
}

/// The processes of alice's with this name on a machine.
fn named(lab: &Lab, machine: &str, name: &str) -> Vec<i64> {
    let line = format!("pgrep --exact --full --uid {ALICE} '{name}'");
    let text = lab.shell("root", machine, &line).text;
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// What forks the engines of a machine.
fn forker(lab: &Lab, machine: &str) -> Value {
    let pids = named(lab, machine, ".*forks the engines of this node.*");
    assert_eq!(pids.len(), 1, "{pids:?} on {machine}");
    json!(pids[0])
}

fn wait_missing(job: &SlurmJob, missing: &Value) {
    wait_for(&format!("the loss of {missing}"), || {
        (job.record()?["engines"]["missing"] == *missing).then_some(())
    });
}

#[test]
fn forked_engines_of_a_step_outlive_each_other_and_what_forked_them() {
    // Slurm fills the first node, and has two left for the second.
    let lab = needed!(Lab::up(&["--cpus", "3"]));
    let job = lab.submit(
        &["-N2", "-n5", "--time=20"],
        "exec ipjob --mode cluster-only --mpi none --engine-start fork",
    );
    let record = job.wait_state("ready");
    let profile = format!("job_{}", job.id);
    let cell = "import os, socket\nhost = socket.gethostname()\nproc = int(os.environ['SLURM_PROCID'])\npid = os.getpid()";
    let seen = px(&lab, "login", &profile, cell, &["proc", "host", "pid"]);
    assert_eq!(seen[0], json!([0, 1, 2, 3, 4]));
    assert_eq!(seen[1], seen[0], "an engine's id is its rank in the step");
    let hosts = ["node1", "node1", "node1", "node2", "node2"];
    assert_eq!(seen[2], json!(hosts));
    let list = record["engines"]["list"].as_array().expect("a list");
    let pids: Value = list.iter().map(|engine| engine["pid"].clone()).collect();
    assert_eq!(pids, seen[3]);
    forker(&lab, "node2");

    // Another user who finds the socket and says nothing is not waited for.
    let silent = lab
        .on("bob", "node1")
        .args(["python3", "-c", SILENT])
        .output();
    let silent = silent.expect("lab runs");
    assert_eq!(
        String::from_utf8_lossy(&silent.stdout).trim(),
        "closed 1",
        "{silent:?}"
    );

    // Whichever task of its node has started what forks: each loses its engine in turn, and each is told of by srun.
    lab.kill("node1", &pids[0]);
    job.wait_line("srun: error: node1: task 0: Killed");
    wait_missing(&job, &json!([0]));
    let done = lab.shell(ALICE, "node1", &format!("kill -SEGV {}", pids[1]));
    assert_eq!(done.code, 0, "{}", done.text);
    job.wait_line("srun: error: node1: task 1: Segmentation fault");
    wait_missing(&job, &json!([0, 1]));
    let seen = px(&lab, "login", &profile, "x = 1", &["x"]);
    assert_eq!(seen[0], json!([2, 3, 4]));

    // Without what forked them they work on, and only how they ended is not known.
    lab.kill("node2", &forker(&lab, "node2"));
    let seen = px(&lab, "login", &profile, "x = 2", &["x"]);
    assert_eq!(seen[0], json!([2, 3, 4]));
    lab.kill("node2", &pids[4]);
    job.wait_line("srun: error: node2: task 4: Exited with exit code 1");
    wait_missing(&job, &json!([0, 1, 4]));

    // A task that goes takes its engine with it.
    let task = named(&lab, "node1", "[^ ]*/ipjob engine .*");
    assert_eq!(task.len(), 1, "those of engines 0 and 1 have ended");
    lab.kill("node1", &json!(task[0]));
    wait_missing(&job, &json!([0, 1, 2, 4]));
    wait_for("the end of what forked", || {
        let left = named(&lab, "node1", "/[^ ]*/python .*ipengine.*");
        left.is_empty().then_some(())
    });
    let ended = job.cancel();
    assert!(ended.output.contains("ended; nothing is left running"));
    assert!(named(&lab, "node2", "/[^ ]*/python .*ipengine.*").is_empty());
}

#[test]
fn only_the_node_whose_python_cannot_fork_starts_engines_one_by_one() {
    let lab = needed!(Lab::up(&[]));
    lab.script(
        "sitecustomize.py",
        "import os, threading\nprint('Welcome')\nif os.uname().nodename == 'node2':\n    threading.Thread(target=threading.Event().wait, daemon=True).start()\n",
    );
    let run = "PYTHONPATH=$HOME exec ipjob --mode cluster-only --mpi none --engine-start fork";
    let job = lab.submit(&["-N2", "--ntasks-per-node=2"], run);
    job.wait_state("ready");
    let line = job.wait_line("engines are not forked, which only makes their start slower");
    let why = "1 more thread runs in its Python after the imports (on node2)";
    assert!(line.ends_with(why), "{line}");
    // Their Python prints, so that none of their nannies could tell its address.
    job.wait_line("engines that are not forked start without nannies: the Python of ");
    let log = std::fs::read_to_string(job.profile("log/ipjob-engines.log")).expect("a log");
    assert_eq!(log.matches("not forked on").count(), 1, "{log}");
    let cell = "import os\nparent = open(f'/proc/{os.getppid()}/comm').read().strip()";
    let seen = px(&lab, "login", &format!("job_{}", job.id), cell, &["parent"]);
    assert_eq!(seen[0], json!([0, 1, 2, 3]));
    let parents = ["ipengine-forks", "ipengine-forks"].map(Value::from);
    assert_eq!(seen[1].as_array().expect("a list")[..2], parents);
    for parent in &seen[1].as_array().expect("a list")[2..] {
        assert_eq!(parent, "slurmstepd");
    }
    job.cancel();
}

#[test]
fn a_dry_run_tells_what_forks_the_engines_of_a_step_or_why_none_are_forked() {
    let lab = needed!(Lab::up(&[]));
    let run = "ipjob --mode cluster-only --engine-start fork --dry-run";
    let cases = [
        ("", "--mpi none", "/ipjob engine --fork=/"),
        ("", "--mpi pmi2", "--fork=/"),
        (
            "",
            "--mpi cray_shasta",
            "ipjob does not know how `srun --mpi=cray_shasta` gives its world to a task",
        ),
        ("", "--launcher mpiexec", "/ipjob engine --fork=/"),
        (
            "",
            "--mpi none --engine-wrapper env",
            "--engine-wrapper puts a command between each task and its engine",
        ),
        (
            "",
            "--mpi none --srun-arg=--gpu-bind=single:1",
            "--gpu-bind gives each task something that a fork of another task would not get",
        ),
        (
            "",
            "--mpi none --srun-arg=--mem-bind=local",
            "--mem-bind gives each task something that a fork of another task would not get",
        ),
        // It does not reach srun.
        ("SLURM_MEM_BIND=local", "--mpi none", "--fork=/"),
        ("", "--mpi none --srun-arg=--mem-bind=none", "--fork=/"),
    ];
    let lines: Vec<String> = cases
        .iter()
        .map(|(variable, options, _)| format!("echo CASE\n{variable} {run} {options}"))
        .collect();
    let ended = lab.submit(&["-n2"], &lines.join("\n")).finish();
    assert_eq!(ended.code, 0, "{}", ended.output);
    let plans: Vec<&str> = ended.output.split("CASE\n").skip(1).collect();
    assert_eq!(plans.len(), cases.len(), "{}", ended.output);
    for ((variable, options, text), plan) in cases.iter().zip(plans) {
        assert!(plan.contains(text), "{variable} {options}: {plan}");
        let forks = text.contains("--fork");
        assert_eq!(plan.contains("--fork="), forks, "{options}: {plan}");
        assert_eq!(plan.contains("not forked"), !forks, "{options}: {plan}");
    }
}
