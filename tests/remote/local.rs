//! On this machine, without Slurm.

use super::{jobs, pointers, run};
use crate::support::{Job, Place, carriers, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

const RUN: [&str; 4] = ["--mode", "cluster-only", "-n", "2"];

#[test]
fn who_names_no_host_on_a_laptop_is_told_how_to() {
    let place = Place::empty();
    // Without Slurm's programs.
    let programs = place.dir().join("programs");
    fs::create_dir(&programs).expect("made");
    for entry in fs::read_dir("/usr/bin").expect("programs").flatten() {
        let name = entry.file_name();
        if !["squeue", "scontrol"].iter().any(|slurm| name == *slurm) {
            symlink(entry.path(), programs.join(name)).expect("a link");
        }
    }
    let id = "on a laptop write HOST:1, where HOST is what you type after `ssh`";
    for (args, hint) in [
        (&["connect", "1"][..], id),
        (&["connect", "login"], "if login is a host, write `login:`"),
        (&["stop", "1"], id),
        (&["status", "login"], "if login is a host, write `login:`"),
        (&["wait", "1"], id),
    ] {
        let output = place.ipjob(args).env("PATH", &programs).output();
        let output = output.expect("it runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{args:?}: {errors}");
        assert!(errors.contains(hint), "{args:?}: {errors}");
    }
}

#[test]
fn a_job_is_shown_stopped_and_cleaned() {
    let place = Place::with_fakes();
    let mut job = Job::start(&place, &RUN);
    job.wait_ready();
    let shown = &jobs(&place)[0];
    assert_eq!(shown["state"], "ready");
    assert_eq!(shown["profile"], "job_local");
    assert_eq!(
        shown["engines"],
        json!({"registered": 2, "expected": 2, "guests": 0})
    );
    let (code, table, _) = run(&place, &["status", "job_local"]);
    assert_eq!(code, 0);
    for part in [
        "JOB ",
        "job_local  -     job_local  ready",
        "cluster-only",
        "2/2",
        "record   ",
    ] {
        assert!(table.contains(part), "no {part:?} in {table}");
    }
    let secret =
        fs::read_to_string(job.profile().join("ipjob-runtime/session.key")).expect("a key");
    assert!(!table.contains(&secret));
    let (code, _, errors) = run(&place, &["clean", "job_local"]);
    assert_eq!(code, 1, "{errors}");
    assert_eq!(errors.matches("it is ready").count(), 1, "{errors}");
    let (code, _, errors) = run(&place, &["stop", "job_local"]);
    assert_eq!(code, 0, "{errors}");
    assert!(
        errors.contains("job job_local has ended: SIGTERM (exit code 0)"),
        "{errors}"
    );
    assert_eq!(job.finish().0, 0);
    job.assert_nothing_left();
    assert_eq!(jobs(&place)[0]["state"], "ended");
    let (code, _, errors) = run(&place, &["stop", "job_local"]);
    assert_eq!(code, 0, "{errors}");
    assert!(errors.contains("has ended already"), "{errors}");
    let (code, would, _) = run(&place, &["clean", "--all", "--dry-run"]);
    assert_eq!((code, would.lines().count()), (0, 2), "{would}");
    assert!(
        job.profile().exists() && would.contains("would remove /"),
        "{would}"
    );
    let (code, removed, _) = run(&place, &["clean", "job_local"]);
    assert_eq!((code, removed.lines().count()), (0, 2), "{removed}");
    assert!(!job.profile().exists());
    assert!(pointers(&place).is_empty());
    let left: Vec<_> = fs::read_dir(place.ipython_dir())
        .expect("a directory")
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(jobs(&place).is_empty());
    for command in ["status", "stop", "clean"] {
        let (code, _, errors) = run(&place, &[command, "job_local"]);
        assert_eq!(code, 5, "{command}: {errors}");
    }
}

#[test]
fn the_pointer_leads_to_the_record_wherever_that_lies() {
    let place = Place::with_fakes();
    let elsewhere = place.dir().join("scratch it's/ipython");
    let mut command = place.ipjob(RUN);
    command
        .arg("--ipython-dir")
        .arg(&elsewhere)
        .args(["--profile", "mine"]);
    let mut job = Job::spawn_in(&elsewhere, "mine", command);
    job.wait_ready();
    let pointer = pointers(&place).pop().expect("a pointer");
    let mode = |path: &std::path::Path| {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(
        (mode(&pointer), mode(pointer.parent().expect("a directory"))),
        (0o600, 0o700)
    );
    let name = pointer
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    assert!(
        name.starts_with("local.") && name.contains(".mine."),
        "{name}"
    );
    let told: Value =
        serde_json::from_str(&fs::read_to_string(&pointer).expect("text")).expect("JSON");
    assert_eq!(
        told["record"],
        elsewhere
            .join("profile_mine/ipjob.json")
            .to_str()
            .expect("text")
    );
    assert_eq!(
        (&told["version"], &told["job"], &told["cluster"]),
        (&json!(1), &Value::Null, &json!("local"))
    );
    assert_eq!(jobs(&place)[0]["state"], "ready");
    assert_eq!(run(&place, &["stop", "mine"]).0, 0);
    job.finish();
}

#[test]
fn a_state_directory_that_cannot_be_written_is_a_warning() {
    let place = Place::with_fakes();
    fs::write(place.dir().join(".local"), "in the way").expect("written");
    let mut job = Job::start(&place, &RUN);
    job.wait_ready();
    let transcript = job.stop();
    assert_eq!(
        transcript
            .matches("the pointer to the record cannot be written")
            .count(),
        1,
        "{transcript}"
    );
    // The usual place tells of it all the same.
    assert_eq!(jobs(&place)[0]["state"], "ended");
}

#[test]
fn a_killed_job_is_dead_and_goes_only_with_all_that_it_left_running() {
    let place = Place::with_fakes();
    let mut job = Job::start(&place, &RUN);
    let record = job.wait_ready();
    job.signal(Signal::SIGKILL);
    job.finish();
    let dead = &jobs(&place)[0];
    assert_eq!(dead["state"], "dead", "{dead}");
    assert!(
        dead["note"]
            .as_str()
            .is_some_and(|note| note.contains("is gone")),
        "{dead}"
    );
    let (code, _, errors) = run(&place, &["clean", "job_local"]);
    assert!(
        code == 1 && errors.contains("its record is recent"),
        "{errors}"
    );
    let mut old = record.clone();
    old["updated"] = json!("2026-01-01T00:00:00Z");
    let text = serde_json::to_string_pretty(&old).expect("JSON");
    fs::write(job.profile().join("ipjob.json"), text).expect("written");
    let (code, _, errors) = run(&place, &["clean", "--all"]);
    assert!(
        code == 0 && errors.contains("processes of the job still run"),
        "{errors}"
    );
    assert!(job.profile().exists());
    let id = record["incarnation"]["id"].as_str().expect("an id");
    wait_for("the end of what it left", || {
        let left = carriers(id);
        for (pid, _) in &left {
            let _ = kill(
                Pid::from_raw(i32::try_from(*pid).expect("a pid")),
                Signal::SIGKILL,
            );
        }
        left.is_empty().then_some(())
    });
    let (code, _, errors) = run(&place, &["clean", "--all"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(!job.profile().exists());
}

#[test]
fn of_a_profile_that_ipjob_did_not_make_only_its_own_files_go() {
    let place = Place::with_fakes();
    let profile = place.profile("mine");
    fs::create_dir_all(profile.join("log")).expect("made");
    for path in [&profile, &profile.join("log"), &place.ipython_dir()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("mode");
    }
    for name in ["ipython_config.py", "log/other.log"] {
        fs::write(profile.join(name), "mine").expect("written");
    }
    let mut command = place.ipjob(RUN);
    command.args(["--profile", "mine"]);
    let mut job = Job::spawn(&place, "mine", command);
    job.wait_ready();
    job.stop();
    // What a link of a killed ipjob leads to counts only by the names that ipjob draws.
    let (notes, sockets) = (
        place.dir().join("ipjob-notes"),
        place.dir().join("ipjobabc234"),
    );
    for (life, target) in [("1", &notes), ("2", &sockets)] {
        let runtime = profile.join(format!("ipjob-runtime-{life}"));
        for dir in [&runtime, target] {
            fs::create_dir(dir).expect("made");
        }
        symlink(target, runtime.join("jupyter")).expect("a link");
    }
    assert_eq!(run(&place, &["clean", "mine"]).0, 0);
    assert!(notes.exists() && !sockets.exists());
    for name in ["ipython_config.py", "log/other.log"] {
        assert!(profile.join(name).exists(), "{name} is gone");
    }
    for name in ["ipjob.json", "ipjob.lock", "log/ipjob-controller.log"] {
        assert!(!profile.join(name).exists(), "{name} is left");
    }
}

#[test]
fn what_could_not_be_removed_goes_with_the_next_clean() {
    let place = Place::with_fakes();
    let mut job = Job::start(&place, &RUN);
    job.wait_ready();
    job.stop();
    // As with a file that is still open on NFS.
    place.script(
        "rm",
        "case $* in *.ipjob-removing-*) [ ! -e \"$HOME/busy\" ] || { echo 'Device or resource busy' >&2; exit 1; } ;; esac\nexec /bin/rm \"$@\"",
    );
    let busy = place.dir().join("busy");
    fs::write(&busy, "").expect("written");
    let left = || {
        fs::read_dir(place.ipython_dir())
            .expect("a directory")
            .count()
    };
    // The profile is moved first; then only the pointer leads to what is left of it.
    for _ in 0..2 {
        let (code, _, errors) = run(&place, &["clean", "job_local"]);
        assert!(code == 1 && errors.contains("busy"), "{errors}");
        assert!(!job.profile().exists());
        assert_eq!((left(), pointers(&place).len()), (1, 1));
    }
    fs::remove_file(&busy).expect("removed");
    let (code, removed, errors) = run(&place, &["clean", "job_local"]);
    assert_eq!((code, removed.lines().count()), (0, 2), "{removed}{errors}");
    assert_eq!((left(), pointers(&place).len()), (0, 0));
}

#[test]
fn watching_ends_with_the_job() {
    let place = Place::with_fakes();
    let mut job = Job::start(&place, &RUN);
    job.wait_ready();
    let mut watch = place
        .ipjob(["status", "job_local", "--json", "--watch=1s"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut lines = BufReader::new(watch.stdout.take().expect("piped"))
        .lines()
        .map_while(Result::ok);
    // One line for each look, also where nothing has changed between two.
    let mut before = String::new();
    wait_for("two lines that say the same", || {
        let line = lines.next().expect("a line");
        assert!(line.contains("\"state\":\"ready\""), "{line}");
        let is_same = line == before;
        before = line;
        is_same.then_some(())
    });
    job.stop();
    let last = lines.last().expect("another line");
    assert!(last.contains("\"state\":\"ended\""), "{last}");
    assert!(watch.wait().expect("our child").success());
}

#[test]
fn what_a_killed_connect_left_on_the_laptop_goes() {
    let place = Place::empty();
    let profile = place.profile("job_77");
    fs::create_dir_all(profile.join("security")).expect("made");
    fs::write(profile.join("security/ipcontroller-client.json"), "{}").expect("written");
    fs::write(profile.join(".made-by-ipjob"), "").expect("written");
    let sign = profile.join("ipjob-connect.json");
    fs::write(
        &sign,
        json!({"pid": 1, "target": "h:77", "url": null, "private": "/etc"}).to_string(),
    )
    .expect("written");
    let lives = fs::File::options()
        .read(true)
        .write(true)
        .open(&sign)
        .expect("a file");
    lives.try_lock().expect("free");
    let (code, _, errors) = run(&place, &["clean", "77"]);
    assert!(
        code == 1 && errors.contains("used by an `ipjob connect`"),
        "{errors}"
    );
    drop(lives);
    let (code, would, _) = run(&place, &["clean", "--all", "--dry-run"]);
    assert!(
        code == 0 && would.contains("would remove") && profile.exists(),
        "{would}"
    );
    let (code, removed, errors) = run(&place, &["clean", "77"]);
    assert_eq!(
        (code, removed),
        (0, format!("removed {}\n", profile.display())),
        "{errors}"
    );
    assert!(!profile.exists());
}
