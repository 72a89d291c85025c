//! How many threads the libraries of an engine are told to use, by every launcher of one machine.

use super::start::{Start, python};
use crate::support::{Place, binary, venv};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::process::Command;

/// The variables of threads that each engine has, with what their texts are.
const TOLD: &str = "
import ipyparallel as ipp, json, sys
rc = ipp.Client(profile=sys.argv[1], timeout=60)
def told():
    import os
    return {name: text for name, text in os.environ.items() if name.endswith('_NUM_THREADS')}
print(json.dumps(rc[:].apply_sync(told)))
";

const VARIABLES: [&str; 5] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "BLIS_NUM_THREADS",
];

/// All of them with this number.
fn all(number: u32) -> Value {
    let pairs = VARIABLES.map(|name| (name.to_owned(), json!(number.to_string())));
    Value::Object(pairs.into_iter().collect())
}

/// What two engines of this start are told, and what the record says of it.
fn seen(place: &Place, command: Command) -> (Value, Value) {
    let mut job = Start::of(place, "job_local", command);
    let record = job.wait_state("ready");
    let told = python(place, TOLD, "job_local");
    job.signal(Signal::SIGTERM);
    let (code, output) = job.finish();
    assert_eq!(code, 0, "{output}");
    let list = record["engines"]["list"].as_array().expect("a list");
    let threads = list.iter().map(|engine| engine["threads"].clone());
    (told, threads.collect())
}

#[test]
fn are_the_cpus_of_each_engine_unless_the_user_says_so() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let each = u32::try_from(cpus / 2).expect("a number").max(1);
    let mpiexec = || {
        let mut command = place.command(venv.join("bin/mpiexec"));
        command.args(["-n", "2"]).arg(binary());
        command.arg("--mode=cluster-only");
        command
    };
    let local = |options: &[&str]| {
        let usual = ["--mode=cluster-only", "-n2"];
        place.ipjob(usual.iter().chain(options))
    };
    for command in [
        local(&["--engine-start=exec"]),
        local(&["--engine-start=fork"]),
        local(&["--launcher=mpiexec"]),
        mpiexec(),
    ] {
        let (told, threads) = seen(&place, command);
        assert_eq!(told, json!([all(each), all(each)]));
        assert_eq!(threads, json!([each, each]));
    }
    let mut own = local(&["--engine-start=fork"]);
    own.env("MKL_NUM_THREADS", "7");
    let (told, threads) = seen(&place, own);
    let one = json!({"MKL_NUM_THREADS": "7"});
    assert_eq!(told, json!([one, one]));
    assert_eq!(threads, json!([null, null]));
    for mut command in [local(&["--threads=3"]), mpiexec()] {
        command
            .env("OMP_NUM_THREADS", "7")
            .env("IPJOB_THREADS", "3");
        let (told, threads) = seen(&place, command);
        assert_eq!(told, json!([all(3), all(3)]));
        assert_eq!(threads, json!([3, 3]));
    }
    let (told, threads) = seen(&place, local(&["--threads=off"]));
    assert_eq!((told, threads), (json!([{}, {}]), json!([null, null])));
}

#[test]
fn are_shown_by_a_dry_run() {
    let place = Place::with_fakes();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    for (options, line) in [
        (&["-n1"][..], format!("{cpus} for each engine")),
        (&["-n1", "--threads=3"], "3 for each engine".to_owned()),
        (&["--threads=off"], "not limited: --threads off".to_owned()),
    ] {
        let usual = ["--mode=cluster-only", "--dry-run"];
        let output = place.ipjob(usual.iter().chain(options)).output();
        let plan = output.expect("it runs").stdout;
        let plan = String::from_utf8_lossy(&plan);
        assert!(plan.contains(&format!("\nthreads      {line}\n")), "{plan}");
    }
    let output = place
        .ipjob(["--mode=cluster-only", "--dry-run"])
        .env("OMP_NUM_THREADS", "1")
        .output()
        .expect("it runs");
    let plan = String::from_utf8_lossy(&output.stdout);
    let line = "\nthreads      not limited: OMP_NUM_THREADS=1 is set\n";
    assert!(plan.contains(line), "{plan}");
}
