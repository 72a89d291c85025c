//! What is wrong, or means harm: words, records, pointers, ssh.

use super::{jobs, run};
use crate::support::Place;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// A record of a job that ended here, to be spoilt.
fn record(place: &Place, name: &str) -> Value {
    json!({
        "version": 1, "state": "ended", "mode": "notebook", "reason": "SIGTERM", "exit": 0,
        "job": {"cluster": "local", "id": null, "nodes": ["n"], "restart": 0, "deadline": null, "signal_to": null},
        "incarnation": {"id": "local.local.0.9f3c0d5e7a11b2c4", "host": "n", "boot": "b", "pid": 1, "pid_start": 1},
        "profile": {"name": name, "dir": place.profile(name)},
        "engines": {"expected": 2, "registered": 2}, "updated": "2026-01-01T00:00:00Z", "refresh_s": 60
    })
}

/// Puts a profile there that carries the marker, and a pointer to its record.
fn put(place: &Place, name: &str, record: &[u8]) -> PathBuf {
    let profile = place.profile(name);
    fs::create_dir_all(&profile).expect("made");
    fs::write(profile.join(".made-by-ipjob"), "").expect("written");
    fs::write(profile.join("ipjob.json"), record).expect("written");
    let state = place.dir().join(".local/state/ipjob");
    fs::create_dir_all(&state).expect("made");
    let pointer = json!({"version": 1, "cluster": "local", "job": null, "profile": name, "host": "n",
        "record": profile.join("ipjob.json")});
    let text = serde_json::to_string_pretty(&pointer).expect("JSON");
    fs::write(state.join(format!("local.n.{name}.0.json")), text).expect("written");
    profile
}

#[test]
fn words_that_a_shell_would_run_are_refused() {
    let place = Place::empty();
    place.script("ssh", "touch \"$HOME/ssh-ran\"; exit 255");
    for word in [
        "$(touch x):1",
        "h:$(touch x)",
        "h;touch x:1",
        "-oProxyCommand=touch x:1",
        "`touch x`",
        "h:1;touch x",
        "../x",
        "a b",
    ] {
        for command in ["status", "stop", "clean"] {
            let (code, _, errors) = run(&place, &[command, "--", word]);
            assert_eq!(code, 2, "{command} {word}: {errors}");
            assert!(errors.contains("hint:"), "{errors}");
        }
    }
    for args in [
        &["stop"][..],
        &["clean"],
        &["clean", "h:"],
        &["clean", "--all", "5"],
        &["stop", "h:"],
        &["status", "--watch=soon"],
    ] {
        assert_eq!(run(&place, args).0, 2, "{args:?}");
    }
    let left: Vec<_> = fs::read_dir(place.dir())
        .expect("a directory")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left, ["bin"], "something ran");
}

#[test]
fn ssh_fails_with_its_own_words_and_exit_code_6() {
    let place = Place::empty();
    place.script("ssh", "printf '%s\\n' \"$@\" >\"$HOME/argv\"; echo 'me@h: \u{1b}[31mPermission denied (publickey).' >&2; exit 255");
    let (code, _, errors) = run(&place, &["status", "me@h:"]);
    assert_eq!(code, 6, "{errors}");
    for part in [
        "ssh to me@h failed",
        "me@h: Permission denied (publickey).",
        "by hand",
    ] {
        assert!(errors.contains(part), "no {part:?} in {errors}");
    }
    let argv = fs::read_to_string(place.dir().join("argv")).expect("ssh ran");
    assert!(argv.ends_with("--\nme@h\nexec /bin/sh -s\n"), "{argv}");
    assert!(!argv.contains("StrictHostKeyChecking"), "{argv}");
    // A login shell that ends by itself, and one that says nothing that could be meant.
    place.script("ssh", "echo hello; exit 0");
    let (code, _, errors) = run(&place, &["status", "h:5"]);
    assert!(code == 6 && errors.contains("incomplete"), "{errors}");
    place.script("ssh", "exit 3");
    let (code, _, errors) = run(&place, &["stop", "h:5"]);
    assert!(code == 6 && errors.contains("exit code 3"), "{errors}");
}

#[test]
fn a_machine_without_ssh_says_so() {
    let place = Place::empty();
    let output = place
        .ipjob(["status", "h:"])
        .env("PATH", place.dir().join("bin"))
        .output()
        .expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{errors}");
    assert!(errors.contains("ssh is not on PATH"), "{errors}");
}

#[test]
fn hostile_records_are_shown_as_what_they_are_and_nothing_is_removed_for_them() {
    let place = Place::empty();
    let treasure = place.dir().join("treasure/profile_x");
    fs::create_dir_all(&treasure).expect("made");
    fs::write(treasure.join(".made-by-ipjob"), "").expect("written");
    let spoilt = |name: &str, field: &str, value: Value| {
        let mut record = record(&place, name);
        *record.pointer_mut(field).expect("a field") = value;
        put(
            &place,
            name,
            &serde_json::to_vec_pretty(&record).expect("JSON"),
        )
    };
    let kept = [
        spoilt("elsewhere", "/profile/dir", json!(treasure)),
        spoilt(
            "climbs",
            "/profile/dir",
            json!(format!(
                "{}/../../treasure/profile_x",
                place.profile("climbs").display()
            )),
        ),
        spoilt("named", "/profile/name", json!("../../treasure")),
        spoilt("life", "/incarnation/id", json!("$(touch ran)")),
        spoilt("newer", "/version", json!(2)),
        spoilt("states", "/state", json!("\u{1b}[2J")),
        put(&place, "huge", &vec![b' '; 3 << 20]),
        put(
            &place,
            "cut",
            &serde_json::to_vec(&record(&place, "cut")).expect("JSON")[..100],
        ),
        put(&place, "empty", b""),
        put(&place, "binary", &[0xff; 5000]),
    ];
    // A profile that is a link to another directory.
    put(
        &place,
        "link",
        &serde_json::to_vec_pretty(&record(&place, "link")).expect("JSON"),
    );
    let real = place.dir().join("real");
    fs::rename(place.profile("link"), &real).expect("moved");
    symlink(&real, place.profile("link")).expect("a link");
    // Pointers to what is no record at all.
    let state = place.dir().join(".local/state/ipjob");
    for (name, target) in [
        ("a", "/dev/zero"),
        ("b", "/etc"),
        ("c", "$(touch ran)"),
        ("d", "/x'; touch ran; '"),
        ("e", "/\u{1b}[31m"),
    ] {
        let text = serde_json::to_string_pretty(
            &json!({"version": 1, "cluster": "local", "job": null, "profile": name,
            "host": "n", "record": target}),
        );
        fs::write(
            state.join(format!("local.n.{name}.0.json")),
            text.expect("JSON"),
        )
        .expect("written");
    }
    fs::write(state.join("local.n.$(touch ran).0.json"), "garbage").expect("written");
    symlink("/dev/zero", state.join("local.n.zero.0.json")).expect("a link");
    let (code, table, errors) = run(&place, &["status"]);
    assert_eq!(code, 0, "{errors}");
    assert!(!table.contains('\u{1b}'), "{table:?}");
    let shown = jobs(&place);
    let note = |name: &str| {
        let job = shown.iter().find(|job| job["profile"] == name).expect(name);
        job["note"].as_str().unwrap_or_default().to_owned()
    };
    assert!(note("newer").contains("a newer ipjob is needed"), "{table}");
    assert!(note("huge").contains("longer than"), "{table}");
    assert!(note("cut").contains("cut off"), "{table}");
    assert!(note("empty").contains("empty"), "{table}");
    let (code, removed, errors) = run(&place, &["clean", "--all"]);
    assert_eq!(code, 0, "{errors}");
    assert!(!removed.contains("profile_"), "{removed}{errors}");
    for profile in kept.iter().chain([&treasure, &real]) {
        assert!(
            profile.join(".made-by-ipjob").exists(),
            "{} is gone: {removed}",
            profile.display()
        );
    }
    assert!(
        !place.dir().join("ran").exists() && !state.join("ran").exists(),
        "something ran"
    );
}
