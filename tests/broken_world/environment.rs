//! Variables left over from a Jupyter terminal, another cluster, an MPI launcher or a Slurm job change nothing by accident.

use super::NOTEBOOK;
use crate::support::{Job, Place, carriers};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

/// Must not reach a service.
const DROPPED: &[&str] = &[
    "IPP_CONNECTION_INFO",
    "IPP_CLUSTER_ID",
    "IPP_PROFILE_DIR",
    "IPP_SESSION_KEY",
    "IPP_ENABLE_CURVE",
    "JUPYTER_TOKEN",
    "JUPYTER_TOKEN_FILE",
    "JUPYTER_PORT",
    "JUPYTER_RUNTIME_DIR",
    "JUPYTER_SERVER_ROOT",
    "JPY_PARENT_PID",
    "JPY_SESSION_NAME",
    "PMI_RANK",
    "PMI_SIZE",
    "PMIX_NAMESPACE",
    "IPJOB_INCARNATION",
    "IPJOB_SERVICE",
    "XDG_RUNTIME_DIR",
];

/// May reach services, and must not change the plan: no job id, so no Slurm job.
const SLURM: &[(&str, &str)] = &[
    ("SLURM_NTASKS", "77"),
    ("SLURM_TASKS_PER_NODE", "11(x7)"),
    ("SLURM_CPUS_ON_NODE", "99"),
    ("SLURM_PROCID", "3"),
    ("SLURM_JOB_NODELIST", "elsewhere[1-7]"),
];

/// The value of every leftover: a directory that is not there, for those that name one.
const STRAY: &str = "/stray/leftover";

fn with_leftovers(mut command: Command) -> Command {
    command
        .envs(DROPPED.iter().map(|name| (name, STRAY)))
        .envs(SLURM.iter().copied())
        .env("IPP_NOT_UNICODE", OsStr::from_bytes(b"\xff/stray/leftover"));
    command
}

#[test]
fn leftovers_do_not_change_the_plan() {
    let place = Place::with_fakes();
    let plan = |command: Command| {
        let mut command = command;
        let output = command.output().expect("ipjob starts");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout)
            .expect("text")
            .lines()
            .filter(|line| !line.contains("drop  ") && !line.contains("IPJOB_INCARNATION="))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    // Without -n, so that a leftover could set the number of engines.
    let dry_run = || place.ipjob(["--mode", "notebook", "--dry-run"]);
    let without = plan(dry_run());
    assert!(without.iter().any(|line| line.contains("ipcontroller")));
    assert_eq!(plan(with_leftovers(dry_run())), without);
}

#[test]
fn leftovers_reach_no_service() {
    let place = Place::with_fakes();
    let mut job = Job::spawn(&place, "job_local", with_leftovers(place.ipjob(NOTEBOOK)));
    let record = job.wait_ready();
    let services = carriers(record["incarnation"]["id"].as_str().expect("an id"));
    assert!(
        services.len() >= 3,
        "controller, engine, jupyter: {services:?}"
    );
    for (pid, name) in services {
        let environment = fs::read(format!("/proc/{pid}/environ")).expect("it lives");
        let environment = String::from_utf8_lossy(&environment);
        let stray: Vec<&str> = environment
            .split('\0')
            .filter(|entry| entry.ends_with(STRAY))
            .collect();
        assert!(stray.is_empty(), "{name}: {stray:?}");
    }
    job.stop();
    place.assert_deserted();
}

#[test]
fn the_users_own_variables_reach_every_service() {
    let place = Place::with_fakes();
    let own = ["OMP_NUM_THREADS", "JUPYTER_CONFIG_DIR", "PYTHONPATH"];
    let mut command = place.ipjob(NOTEBOOK);
    command.envs(own.map(|name| (name, "/mine")));
    let mut job = Job::spawn(&place, "job_local", command);
    let record = job.wait_ready();
    for (pid, name) in carriers(record["incarnation"]["id"].as_str().expect("an id")) {
        let environment = fs::read(format!("/proc/{pid}/environ")).expect("it lives");
        let environment = String::from_utf8_lossy(&environment);
        for variable in own {
            let entry = format!("{variable}=/mine");
            assert!(
                environment.split('\0').any(|found| found == entry),
                "{name}: {variable}"
            );
        }
    }
    job.stop();
}
