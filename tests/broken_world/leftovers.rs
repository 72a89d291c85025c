//! Files of an earlier run: never taken for this one's, removed where they are ours, never touched where they are not.

use super::{CLUSTER, LIMIT, start};
use crate::support::{Job, Place};
use std::fs;
use std::path::Path;

const CLIENT: &str = "security/ipcontroller-client.json";
const ENGINE: &str = "security/ipcontroller-engine.json";

/// A connection file that is whole, as far as ipjob reads it; its ports are nobody's.
const WHOLE: &str = r#"{"key": "stale", "interface": "tcp://127.0.0.1", "registration": 1, "mux": 2, "task": 3,
    "hb_ping": 4, "hb_pong": 5, "location": "gone"}"#;

/// What an earlier run can leave in place of each connection file.
const STALE: &[&str] = &[WHOLE, "", "{\"key\": \"sta", "no JSON", "{\"key\": 7}"];

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a directory")).expect("made");
    fs::write(path, text).expect("written");
}

/// A profile that ipjob made, by an earlier run that ended in order.
fn place_with_own_profile() -> Place {
    let place = Place::with_fakes();
    let mut job = start(&place, &[], &[CLUSTER]);
    job.wait_ready();
    job.stop();
    place
}

#[test]
fn stale_files_in_a_profile_of_ours_are_replaced() {
    let place = place_with_own_profile();
    for stale in STALE {
        for file in [CLIENT, ENGINE] {
            write(&place.profile("job_local").join(file), stale);
        }
        let mut job = start(&place, &[], &[CLUSTER]);
        job.wait_ready();
        for file in [CLIENT, ENGINE] {
            let text = fs::read_to_string(job.profile().join(file)).expect("a new file");
            assert_ne!(&text, stale);
            assert!(!text.contains("stale"), "{text}");
        }
        job.stop();
    }
}

#[test]
fn stale_files_do_not_make_a_hung_controller_ready() {
    let place = place_with_own_profile();
    for file in [CLIENT, ENGINE] {
        write(&place.profile("job_local").join(file), WHOLE);
    }
    for (order, lack) in [
        ("sequential", "the client file is missing or empty"),
        ("overlapped", "it listens on none of its 15 ports"),
    ] {
        let options = ["--start-timeout", "1s", "--start", order];
        let mut job = start(&place, &[("FAKE_CONTROLLER", "hang")], &[CLUSTER, &options]);
        job.fails(3, &["controller was not ready within 1 s", lack]);
        job.assert_nothing_left();
    }
}

#[test]
fn a_stale_list_does_not_make_silent_engines_ready() {
    let place = place_with_own_profile();
    let list = place.profile("job_local").join("log/enginesipjob0.json");
    write(&list, r#"{"engines": {"0": "a", "1": "b"}, "next_id": 2}"#);
    let limit = format!("engines={LIMIT}");
    let mut job = start(
        &place,
        &[("FAKE_ENGINE", "silent")],
        &[CLUSTER, &["--start-timeout", &limit]],
    );
    job.fails(3, &["0 of 2 engines registered within 5 s"]);
    job.assert_nothing_left();
}

#[test]
fn what_a_killed_ipjob_left_half_written_is_removed() {
    let place = place_with_own_profile();
    let half = place.profile("job_local").join(".ipjob-writing-AbCdEf");
    let key = place.profile("job_local").join("ipjob-runtime/session.key");
    write(&half, "{\"token\": \"sec");
    write(&key, "an old key");
    let mut job = start(&place, &[], &[CLUSTER]);
    job.wait_ready();
    assert!(!half.exists());
    assert_ne!(fs::read(&key).expect("a new key"), b"an old key");
    job.stop();
}

#[test]
fn connection_files_in_somebody_elses_profile_are_refused_and_stay() {
    for stale in STALE {
        for file in [CLIENT, ENGINE] {
            let place = Place::with_fakes();
            let path = place.profile("default").join(file);
            write(&path, stale);
            let args = [CLUSTER, &["--profile", "default"]].concat();
            let told = format!("{} already exists", path.display());
            let parts = [
                &told,
                "ipjob did not create this profile",
                "choose another --profile",
            ];
            Job::spawn(&place, "default", place.ipjob(args)).fails(4, &parts);
            assert_eq!(&fs::read_to_string(&path).expect("it stays"), stale);
            assert!(!place.profile("default").join("ipjob.json").exists());
            assert!(!place.profile("default").join("ipjob-runtime").exists());
            assert!(place.fake_log().is_empty());
            place.assert_deserted();
        }
    }
}

#[test]
fn somebody_elses_profile_without_connection_files_is_used_and_kept() {
    let place = Place::with_fakes();
    let config = place.profile("default").join("ipython_config.py");
    write(&config, "# mine");
    let args = [CLUSTER, &["--profile", "default"]].concat();
    let mut job = Job::spawn(&place, "default", place.ipjob(args));
    job.wait_ready();
    job.stop();
    assert_eq!(fs::read(config).expect("it stays"), b"# mine");
}

#[test]
fn a_controller_started_meanwhile_in_somebody_elses_profile_keeps_its_file() {
    let place = Place::with_fakes();
    fs::create_dir_all(place.profile("default")).expect("made");
    let args = [CLUSTER, &["--profile", "default"]].concat();
    let mut job = Job::spawn(&place, "default", place.ipjob(args));
    job.wait_ready();
    let client = place.profile("default").join(CLIENT);
    write(&client, WHOLE);
    job.signal(nix::sys::signal::Signal::SIGTERM);
    let (code, lines) = job.finish();
    assert_eq!(code, 0, "{lines}");
    assert_eq!(fs::read_to_string(client).expect("it stays"), WHOLE);
    assert!(!place.profile("default").join(ENGINE).exists());
    place.assert_deserted();
}
