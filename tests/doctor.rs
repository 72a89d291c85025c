//! Does the doctor find what would go wrong, and nothing where nothing does?

mod ticket;

use crate::support::lab::{ALICE, Done, Lab};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// The state and the rest of the line about a subject.
fn about<'a>(sheet: &'a str, subject: &str) -> (&'a str, &'a str) {
    sheet
        .lines()
        .find_map(|line| {
            let (state, rest) = line.split_once(' ')?;
            Some((state, rest.trim_start().strip_prefix(subject)?.trim_start()))
        })
        .unwrap_or_else(|| panic!("nothing about {subject}:\n{sheet}"))
}

/// Runs the doctor in a job of two nodes and returns its exit code and its sheet.
fn in_a_job(lab: &Lab, args: &str) -> (i32, String) {
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=2"],
        &format!("exec ipjob doctor {args}"),
    );
    let ended = job.finish();
    (ended.code, ended.output)
}

#[test]
fn a_login_node_and_an_allocation_are_looked_at() {
    let lab = needed!(Lab::up(&[]));
    let Done { code, text } = lab.shell(ALICE, "login", "ipjob doctor");
    assert_eq!(code, 0, "{text}");
    assert_eq!(about(&text, "ipcontroller").0, "ok");
    assert_eq!(about(&text, "srun").0, "ok");
    assert!(
        about(&text, "mpi")
            .1
            .contains("inside a job the doctor finds out"),
        "{text}"
    );

    let ipjob = lab.ipjob();
    let bare = format!("PATH=/usr/bin:/bin {} doctor", ipjob.display());
    let Done { code, text } = lab.shell(ALICE, "login", &bare);
    assert_eq!(code, 4, "{text}");
    for program in ["ipcontroller", "ipengine", "jupyter-lab"] {
        let (state, line) = about(&text, program);
        assert_eq!(state, "problem", "{line}");
        assert!(line.contains("not on PATH -> "), "{line}");
    }

    let (code, text) = in_a_job(&lab, "");
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains('\u{1b}'), "colours in a file");
    for (subject, part) in [
        ("exec", "started by slurmstepd"),
        ("cores", "4 engines on 2 nodes"),
        ("steps", "srun --overlap"),
        ("address", "all 2 nodes reach 10.77.0.11"),
        ("profile", "all 2 nodes see /home/alice/.ipython"),
        ("mpi", "ipjob uses pmi2"),
        ("slurm", "; ipjob was tested with 22.05, 24.11, 26.05"),
        ("step manager", "off"),
        ("OOMKillStep", "off"),
        ("MpiDefault", "none"),
        ("namespace", "none"),
        ("cgroup", "version 1; Slurm does not limit"),
    ] {
        let (state, line) = about(&text, subject);
        assert_eq!(state, "ok", "{line}");
        assert!(line.contains(part), "{line}");
    }
    // The lab's Slurm is impatient.
    let (state, line) = about(&text, "KillWait");
    assert_eq!(state, "note", "{line}");
    assert!(
        line.starts_with("Slurm kills 5 s after its SIGTERM"),
        "{line}"
    );
    // What it wrote to find that out is gone.
    let left = lab.shell(ALICE, "login", "ls -A ~ ~/.ipython 2>&1").text;
    assert!(!left.contains("ipjob-doctor"), "{left}");

    let (code, text) = in_a_job(&lab, "--ipython-dir /tmp/own --mpi cray_shasta");
    assert_eq!(code, 4, "{text}");
    let (state, line) = about(&text, "profile");
    assert_eq!(state, "problem");
    assert!(
        line.contains("/tmp/own is not visible from node2"),
        "{line}"
    );
    let (state, line) = about(&text, "mpi");
    assert_eq!(state, "problem");
    assert!(line.contains("cray_shasta gives worlds of 1"), "{line}");
    assert!(line.ends_with("run with --mpi pmi2"), "{line}");
}

#[test]
fn the_report_has_everything_but_secrets() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(
        &["-N1", "--ntasks-per-node=1"],
        "exec ipjob --mode notebook",
    );
    let record = job.wait_state("ready");
    let token = record["token"].as_str().expect("a token").to_owned();
    let client = fs::read_to_string(job.profile("security/ipcontroller-client.json"))
        .expect("a connection file");
    let client: serde_json::Value = serde_json::from_str(&client).expect("JSON");
    let url = record["url"].as_str().expect("a url");
    let base = url.split('/').nth(3).expect("a path");
    assert_eq!(base.len(), 16, "{url}");
    let key = client["key"].as_str().expect("a key").to_owned();

    let line = "umask 0; SITE_API_TOKEN=correct-horse IPP_CLUSTER_ID=battery_staple SITE_JWT=ey.jwt-of-alice GITHUB_PAT=ghp_of_alice MYSQL_PWD=hunter2 LDAP_BIND_PW=hunter3 SITE_WORD=unheard_of ipjob doctor --report=ticket.txt";
    let done = lab.shell(ALICE, "login", line);
    assert_eq!(done.code, 0, "{}", done.text);
    assert!(
        done.text.contains("/home/alice/ticket.txt"),
        "{}",
        done.text
    );
    let path = lab.home("ticket.txt");
    let mode = fs::metadata(&path).expect("a report").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let report = fs::read_to_string(&path).expect("a report");
    for secret in [
        token.as_str(),
        &key,
        "correct-horse",
        "battery_staple",
        "ey.jwt-of-alice",
        "ghp_of_alice",
        "hunter2",
        "hunter3",
        "unheard_of",
        base,
    ] {
        assert!(!report.contains(secret), "{secret} in\n{report}");
    }
    for part in [
        "\nSITE_API_TOKEN\n",
        "\nGITHUB_PAT\n",
        "\nHOME=/home/alice\n",
        "KillWait",
        "\"state\": \"ready\"",
        "ipjob-jupyter.log",
        "ipcontroller",
    ] {
        assert!(report.contains(part), "no {part} in\n{report}");
    }
    job.cancel();
}

#[test]
fn what_each_engine_gets_is_told() {
    let lab = needed!(Lab::up(&["--gpus", "2"]));
    let doctor = "exec ipjob doctor";
    let own = lab.submit(
        &[
            "-N2",
            "--ntasks-per-node=2",
            "--cpus-per-task=2",
            "--gpus-per-task=1",
        ],
        doctor,
    );
    let shared = lab.submit(&["-N1", "--ntasks-per-node=2", "--gres=gpu:2"], doctor);
    let none = lab.submit(&["-N1", "-n1"], doctor);
    for (job, state, gpus, cores) in [
        (
            own,
            "ok",
            "1 for each engine (--gpus-per-task)",
            "4 engines on 2 nodes: 2 each",
        ),
        (
            shared,
            "note",
            "every engine sees all GPUs of its node (2 here), 2 engines on each -> --bind gpu",
            "2 engines on 1 nodes: 2 share the",
        ),
        (
            none,
            "ok",
            "none in this job",
            "1 engines on 1 nodes: 1 share",
        ),
    ] {
        let ended = job.finish();
        let found = about(&ended.output, "gpus");
        assert_eq!(found.0, state, "{}", ended.output);
        assert!(found.1.starts_with(gpus), "{}", ended.output);
        let (state, line) = about(&ended.output, "cores");
        assert_eq!(state, "ok", "{line}");
        assert!(line.starts_with(cores), "{line}");
    }
}

#[test]
fn gpus_of_their_own_reach_the_engines() {
    let lab = needed!(Lab::up(&["--gpus", "2"]));
    let code = "import ipyparallel as ipp, os\nrc = ipp.Client(profile=os.environ['IPJOB_CLIENT_PROFILE'], timeout=30)\nprint('gpus', *sorted(rc[:].apply_sync(lambda: __import__('os').environ['SLURM_STEP_GPUS'] + '/' + __import__('os').environ['CUDA_VISIBLE_DEVICES'])))";
    let driver = lab.script("driver.py", code);
    let job = lab.submit(
        &["-N1", "--ntasks-per-node=2", "--gpus-per-task=1"],
        &format!(
            "exec ipjob --mode cluster-only --mpi none -- python3 {}",
            driver.display()
        ),
    );
    let ended = job.finish();
    assert_eq!(ended.code, 0, "{}", ended.output);
    assert!(ended.output.contains("gpus "), "{}", ended.output);
    a_task_with_a_gpu_is_one_engine(&lab);
}

/// Whatever the way to ask for GPUs, in the batch script, in a hub's step and as what --detach leaves.
fn a_task_with_a_gpu_is_one_engine(lab: &Lab) {
    let client = lab.script(
        "client.py",
        "import ipyparallel as ipp, os
profile = os.environ.get('IPJOB_CLIENT_PROFILE') or 'job_' + os.environ['SLURM_JOB_ID']
rc = ipp.Client(profile=profile, timeout=30)
print('ENGINES', *rc[:].apply_sync(lambda: __import__('os').environ['CUDA_VISIBLE_DEVICES']))",
    );
    let ipjob = "ipjob -q --mode cluster-only --mpi none";
    let client = format!("python3 {}", client.display());
    let once = format!("{ipjob} -- {client}");
    let more = format!("{ipjob} -n 4 -- {client}");
    let in_a_step = format!("srun --export=ALL -N1 -n1 {once}");
    let detached = format!("{ipjob} --detach >/dev/null; {client}");
    let local = format!("{ipjob} --detach --launcher local -n 2 >/dev/null; {client}");
    for (gpus, script, wanted) in [
        ("--gres=gpu:1", &once, "0"),
        ("--gres=gpu:1", &more, "0 0 0 0"),
        ("--gres=gpu:1", &in_a_step, "0"),
        ("--gres=gpu:1", &detached, "0"),
        ("--gres=gpu:1", &local, "0 0"),
        ("--gpus=1", &once, "0"),
        ("--gpus-per-node=1", &once, "0"),
    ] {
        let job = lab.submit(&["-N1", "-n1", "-c4", gpus], script);
        let ended = job.finish();
        let told = format!("ENGINES {wanted}\n");
        assert!(ended.output.contains(&told), "{gpus}: {}", ended.output);
    }
}
