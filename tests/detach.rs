//! `--detach` and `--follow`: a job that outlives what has started it, and ends with what it is for.

use crate::support::{Place, assert_nothing_left, command_line, venv, wait_for};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getsid};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn pid(number: &Value) -> Pid {
    let number = number.as_u64().and_then(|pid| i32::try_from(pid).ok());
    Pid::from_raw(number.expect("a process id"))
}

fn record(profile: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(profile.join("ipjob.json")).ok()?).ok()
}

/// Waits for a job's end, after which nothing of it may be left; returns its record.
fn ended(profile: &Path) -> Value {
    let record = wait_for("the end", || {
        record(profile).filter(|record| record["state"] == "ended")
    });
    let process = pid(&record["incarnation"]["pid"]);
    wait_for("the end of its ipjob", || kill(process, None).err());
    let log = record["log"].as_str().expect("a log");
    let lines = fs::read_to_string(log).unwrap_or_default();
    assert_nothing_left(&record, profile, &lines);
    record
}

/// Starts the ipjob in front, as a notebook does: in a process group with others, with pipes that are read to their end.
fn front(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("it starts")
}

/// What it printed; the pipes end only once nobody has them any more.
fn outcome(front: Child) -> (Option<i32>, Value, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = front.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&stderr).into_owned();
    let text = String::from_utf8(stdout).expect("text");
    let told =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}"));
    (status.code(), told, errors)
}

#[test]
fn it_returns_when_the_job_is_ready_and_leaves_it_behind() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    // A descriptor that its starter has left open, as `flock` does.
    let mut command = place.command("/bin/sh");
    let words = "exec 7>held; exec \"$0\" --mode cluster-only -n 2 --detach --json";
    command.args(["-c", words]).arg(crate::support::binary());
    // As a notebook's kernel does.
    command.env("CLICOLOR_FORCE", "1");
    let (code, told, errors) = outcome(front(&mut command));
    assert_eq!(code, Some(0), "{errors}");
    for line in ["engines ready (2/2)", "ready: 2 engines, profile job_local"] {
        assert!(errors.contains(line), "no {line:?} in {errors}");
    }
    let profile = place.profile("job_local");
    let found = record(&profile).expect("a record");
    assert_eq!(found["state"], "ready", "{found}");
    for (field, place) in [
        ("/version", "/version"),
        ("/job", "/job/id"),
        ("/profile", "/profile/name"),
        ("/profile_dir", "/profile/dir"),
        ("/incarnation", "/incarnation/id"),
        ("/state", "/state"),
        ("/engines/expected", "/engines/expected"),
        ("/engines/registered", "/engines/registered"),
        ("/log", "/log"),
    ] {
        assert_eq!(told.pointer(field), found.pointer(place), "{field}: {told}");
    }
    assert_eq!(told["record"].as_str(), profile.join("ipjob.json").to_str());
    let process = pid(&found["incarnation"]["pid"]);
    assert_eq!(getsid(Some(process)), Ok(process), "a session of its own");
    let held: Vec<_> = fs::read_dir(format!("/proc/{process}/fd"))
        .expect("it lives")
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter(|path| path.ends_with("held") || path.starts_with("pipe:"))
        .collect();
    assert!(held.is_empty(), "{held:?}");
    let lines: Vec<&str> = told["python"]
        .as_array()
        .expect("lines")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let program = format!("{}\nprint(rc[:].apply_sync(int, '4'))", lines.join("\n"));
    let python = place
        .command(venv.join("bin/python"))
        .args(["-c", &program])
        .output();
    let answer = python.expect("it runs").stdout;
    assert_eq!(String::from_utf8_lossy(&answer).trim(), "[4, 4]");
    let status = place.ipjob(["status", "job_local"]).output();
    let status = String::from_utf8(status.expect("it runs").stdout).expect("text");
    let log = told["log"].as_str().expect("a path");
    assert!(status.contains(&format!("log      {log}")), "{status}");
    let stop = place
        .ipjob(["stop", "job_local"])
        .output()
        .expect("it runs");
    assert_eq!(stop.status.code(), Some(0), "{stop:?}");
    assert_eq!(ended(&profile)["exit"], 0);
    let log = fs::read_to_string(log).expect("the log");
    assert!(
        !format!("{log}{errors}").contains('\u{1b}'),
        "{log}{errors}"
    );
    for line in [
        "engines ready (2/2)",
        "stopping: SIGTERM",
        "nothing is left running",
    ] {
        assert_eq!(log.matches(line).count(), 1, "{line:?} in {log}");
    }
}

/// A job whose engines never register, once they run.
fn waits(place: &Place) -> (Child, Value) {
    let mut command = place.ipjob(["--mode", "cluster-only", "-n", "1", "--detach", "--json"]);
    let front = front(command.env("FAKE_ENGINE", "silent"));
    let profile = place.profile("job_local");
    let record = wait_for("engines that run", || {
        // That of an earlier job has ended.
        record(&profile)
            .filter(|record| record["state"] == "starting")
            .filter(|record| record["engines"]["list"].get(0).is_some())
    });
    (front, record)
}

#[test]
fn a_signal_before_it_is_ready_ends_both_in_order() {
    let place = Place::with_fakes();
    let (front, _) = waits(&place);
    let late = place.ipjob(["wait", "--timeout", "10ms"]).output();
    assert_eq!(late.expect("it runs").status.code(), Some(3));
    let words = ["wait", "job_local", "--for", "ready"];
    let mut unready = place.ipjob(words);
    let unready = unready.stderr(Stdio::piped()).spawn().expect("it starts");
    let group = Pid::from_raw(i32::try_from(front.id()).expect("a pid"));
    killpg(group, Signal::SIGINT).expect("it lives");
    let (code, told, errors) = outcome(front);
    assert_eq!(code, Some(3), "{errors}");
    assert_eq!(told["error"]["exit_code"], 3, "{told}");
    assert_eq!(told["error"]["cause"], "SIGINT", "{told}");
    assert!(errors.contains("cause: SIGINT"), "{errors}");
    let record = ended(&place.profile("job_local"));
    assert_eq!(record["reason"], "SIGINT");
    assert_eq!(told["log"], record["log"], "{told}");
    let unready = unready.wait_with_output().expect("it ends");
    assert_eq!(unready.status.code(), Some(3), "{unready:?}");
    assert!(
        String::from_utf8_lossy(&unready.stderr).contains("cause: SIGINT"),
        "{unready:?}"
    );
}

#[test]
fn a_front_that_is_killed_leaves_no_half_of_a_job() {
    let place = Place::with_fakes();
    let (mut front, _) = waits(&place);
    front.kill().expect("ours");
    front.wait().expect("it ends");
    let record = ended(&place.profile("job_local"));
    assert_eq!(record["reason"], "the ipjob that waited for it was killed");
    // And the other way round.
    let (front, record) = waits(&place);
    kill(pid(&record["incarnation"]["pid"]), Signal::SIGKILL).expect("it lives");
    let failed = front.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(3), "{errors}");
    assert!(errors.contains("cause: signal 9 (SIGKILL)"), "{errors}");
    let mut command = place.ipjob(["--mode", "cluster-only", "-n", "1", "--detach", "--json"]);
    let (code, _, errors) = outcome(self::front(&mut command));
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("processes running: ended"), "{errors}");
    let stop = place
        .ipjob(["stop", "job_local"])
        .output()
        .expect("it runs");
    assert_eq!(stop.status.code(), Some(0), "{stop:?}");
    ended(&place.profile("job_local"));
}

#[test]
fn a_job_ends_with_the_process_that_it_follows() {
    let place = Place::with_fakes();
    let mut followed = place
        .command("sleep")
        .arg("1000")
        .spawn()
        .expect("it starts");
    let number = followed.id().to_string();
    let words = [
        "--mode",
        "cluster-only",
        "-n",
        "1",
        "--detach",
        "--follow",
        &number,
    ];
    let output = place.ipjob(words).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let lines = String::from_utf8(output.stdout).expect("text");
    assert!(
        lines.contains("rc = ipp.Client(profile=\"job_local\")"),
        "{lines}"
    );
    assert!(command_line(followed.id()).starts_with("sleep"));
    let wait = |moment: &str| {
        let output = place.ipjob(["wait", "--for", moment, "job_local"]).output();
        output.expect("it runs").status.code()
    };
    assert_eq!(wait("ready"), Some(0));
    // A zombie has ended.
    followed.kill().expect("ours");
    assert_eq!(wait("ended"), Some(0));
    let record = ended(&place.profile("job_local"));
    let reason = format!("the process that it followed, {number} (sleep), has ended");
    assert_eq!(record["reason"], reason.as_str());
    assert_eq!(record["exit"], 0);
    followed.wait().expect("it ends");
    let again = place.ipjob(words).output().expect("it runs");
    let errors = String::from_utf8_lossy(&again.stderr);
    assert_eq!(again.status.code(), Some(2), "{errors}");
    assert!(
        errors.contains("no such process on this machine"),
        "{errors}"
    );
}

#[test]
fn clusters_of_one_home_have_names_of_their_own_and_leave_them_free() {
    let place = Place::with_fakes();
    let start = || {
        let words = ["--mode", "cluster-only", "-n", "1", "--detach", "--json"];
        front(&mut place.ipjob(words))
    };
    let name = |front: Child| -> (String, String) {
        let (code, told, errors) = outcome(front);
        assert_eq!(code, Some(0), "{errors}");
        (told["profile"].as_str().expect("a name").to_owned(), errors)
    };
    // Two cells at once.
    let both = [start(), start()].map(|front| name(front).0);
    assert_eq!(
        BTreeSet::from(both.each_ref().map(String::as_str)),
        BTreeSet::from(["job_local", "job_local-2"])
    );
    let (third, errors) = name(start());
    assert_eq!(third, "job_local-3");
    assert!(
        errors.contains("this one's profile is job_local-3"),
        "{errors}"
    );
    let run = |words: &[&str]| {
        let output = place.ipjob(words).output().expect("it runs");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let shown = run(&["status"]);
    for name in ["job_local ", "job_local-2 ", "job_local-3 "] {
        assert!(shown.lines().any(|line| line.starts_with(name)), "{shown}");
    }
    run(&["stop", "job_local-2"]);
    ended(&place.profile("job_local-2"));
    assert_eq!(name(start()).0, "job_local-2", "the name is free again");
    for name in ["job_local", "job_local-2", "job_local-3"] {
        run(&["stop", name]);
        ended(&place.profile(name));
    }
    run(&["clean", "--all"]);
    assert_eq!(run(&["status", "--json"]).trim(), "[]");
}

#[test]
fn a_profile_name_of_two_ipython_directories_means_the_one_in_force() {
    let place = Place::with_fakes();
    let [other, none] = ["other", "none"].map(|name| place.dir().join(name));
    fs::create_dir(&other).expect("made");
    let run = |directory: &Path, words: &str| {
        let mut command = place.ipjob(words.split(' '));
        let output = command.env("IPYTHONDIR", directory).output();
        let output = output.expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    let own = place.ipython_dir();
    for directory in [&own, &other] {
        let (code, text) = run(directory, "--mode cluster-only -n 1 --detach");
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("profile job_local\n"), "{text}");
    }
    let (code, text) = run(&none, "stop job_local");
    assert_eq!(code, Some(2), "{text}");
    let words = "the profile job_local is in use in several IPython directories: ";
    assert!(text.contains(words), "{text}");
    for directory in [&own, &other] {
        assert!(text.contains(&directory.display().to_string()), "{text}");
    }
    let (_, shown) = run(&none, "status");
    let rows = shown.lines().filter(|line| line.starts_with("job_local "));
    assert_eq!(rows.count(), 2, "{shown}");
    let (code, text) = run(&other, "stop job_local");
    assert_eq!(code, Some(0), "{text}");
    ended(&other.join("profile_job_local"));
    assert_eq!(
        record(&place.profile("job_local")).expect("a record")["state"],
        "ready"
    );
    let (code, text) = run(&none, "stop job_local");
    assert_eq!(code, Some(0), "{text}");
    ended(&place.profile("job_local"));
}

#[test]
fn a_program_is_told_of_every_failure_in_the_same_form() {
    let place = Place::empty();
    for (words, code, message) in [
        ("--mode cluster-only", 4, "ipcontroller is not on PATH"),
        ("--mode cluster-only -n 0", 2, "invalid value '0'"),
        ("--mode cluster-only -- true", 2, "with a driver COMMAND"),
        ("-n 2", 2, "--mode is missing"),
    ] {
        let words = format!("--detach --json {words}");
        let (exit, told, errors) = outcome(front(&mut place.ipjob(words.split(' '))));
        assert_eq!(exit, Some(code), "{errors}");
        let error = &told["error"];
        assert_eq!(error["exit_code"], code, "{told}");
        let text = error["message"].as_str().expect("a message");
        assert!(text.contains(message), "{message:?} in {told}");
        assert!(errors.contains(text), "{text:?} in {errors}");
        assert!(error["hints"].is_array(), "{told}");
    }
    place.assert_untouched();
}
