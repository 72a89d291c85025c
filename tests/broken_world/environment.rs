//! Variables left over from a Jupyter terminal, another cluster, an MPI launcher or a Slurm job change nothing by accident.

use super::NOTEBOOK;
use crate::support::{HUB, Job, Place, carriers};
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
    "JUPYTERHUB_API_TOKEN",
    "JUPYTERHUB_SERVICE_URL",
    "JUPYTER_TOKEN",
    "JUPYTER_TOKEN_FILE",
    "JUPYTER_PORT",
    "JUPYTER_RUNTIME_DIR",
    "JUPYTER_SERVER_ROOT",
    "JPY_API_TOKEN",
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
            .filter(|line| !line.contains("drop  "))
            // Both are of chance.
            .filter(|line| {
                !line.contains("IPJOB_INCARNATION=") && !line.contains("JUPYTER_RUNTIME_DIR=")
            })
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
fn a_hubs_server_is_told_what_leads_to_it() {
    let place = Place::with_fakes();
    let hub = place.dir().join("hub.py");
    fs::write(&hub, HUB).expect("written");
    let told = |mut command: Command| {
        let output = command.output().expect("ipjob starts");
        assert!(output.status.success(), "{output:?}");
        let plan = String::from_utf8_lossy(&output.stdout).into_owned();
        plan.contains("the hub leads no browser to the Jupyter of --mode notebook")
    };
    let mode = |mode| ["--mode", mode, "--dry-run", "-n", "1"];
    let below = |mode_name| {
        let mut command = place.command("python3");
        command.args([&hub, &crate::support::binary()]);
        command.args(mode(mode_name));
        command
    };
    assert!(told(below("notebook")) && !told(below("cluster-only")));
    // A job that was submitted in the hub's terminal inherits its variables.
    let mut inherited = place.ipjob(mode("notebook"));
    inherited.env("JUPYTERHUB_SERVICE_URL", "http://0.0.0.0:1/user/alice/");
    assert!(!told(inherited));
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

#[test]
fn a_working_directory_that_is_gone_is_named() {
    let place = Place::with_fakes();
    let gone = place.dir().join("gone");
    fs::create_dir(&gone).expect("a directory");
    let script = "cd gone && rmdir \"$PWD\" && exec \"$IPJOB\" --mode cluster-only -n 1";
    let mut command = place.command("/bin/sh");
    command
        .args(["-c", script])
        .env("IPJOB", crate::support::binary());
    let told = format!("error: the working directory {} is gone", gone.display());
    let lines =
        Job::spawn(&place, "job_local", command).fails(4, &["`cd` to a directory", "--chdir"]);
    assert!(lines.contains(&told), "{lines}");
    place.assert_untouched();
}

#[test]
fn a_job_of_slurms_without_its_programs_is_told_how_to_start_here_alone() {
    let place = Place::with_fakes();
    let mut command = place.ipjob(["--mode", "cluster-only", "-n", "1"]);
    let bin = place.dir().join("bin");
    let host = nix::unistd::gethostname().expect("a name");
    let host = host.to_string_lossy();
    let host = host.split('.').next().expect("one").to_owned();
    // The fakes' Python, and no srun of this machine's.
    std::os::unix::fs::symlink("/usr/bin/python3", bin.join("python3")).expect("a link");
    command.env("PATH", &bin).envs([
        ("SLURM_JOB_ID", "7"),
        ("SLURM_JOB_NODELIST", host.as_str()),
        ("SLURM_TASKS_PER_NODE", "1"),
        ("SLURM_NTASKS", "1"),
        ("SLURM_JOB_NUM_NODES", "1"),
    ]);
    let parts = ["--launcher local", "unset SLURM_JOB_ID"];
    let lines = Job::spawn(&place, "job_7", command).fails(4, &parts);
    assert!(lines.contains("error: srun is not on PATH"), "{lines}");
    assert!(!lines.contains("pip install"), "{lines}");
    place.assert_untouched();
}

#[test]
fn a_variable_in_a_path_that_was_not_replaced_is_refused_and_the_home_is_what_ipython_takes() {
    let place = Place::with_fakes();
    for (value, variable) in [("$HOME/x", "$HOME"), ("/scratch/${USER}/x", "${USER}")] {
        let mut command = place.ipjob(["--mode", "cluster-only", "-n", "1"]);
        command.env("IPYTHONDIR", value);
        let told = format!("error: IPYTHONDIR is {value:?}: {variable} was not expanded");
        let lines = Job::spawn(&place, "job_local", command).fails(2, &["os.getenv"]);
        assert!(lines.contains(&told), "{lines}");
    }
    let mut command = place.ipjob(["--mode", "cluster-only", "-n", "1"]);
    command.env("IPYTHONDIR", "~/own");
    let mut job = Job::spawn_in(&place.dir().join("own"), "job_local", command);
    job.wait_ready();
    job.stop();
}
