//! Directories that are not what they should be: the profile's, the record's, the logs'.

use super::{CLUSTER, NOTEBOOK, start};
use crate::support::{Job, NOBODY, Place, chmod, root, wait_for};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::{chown, symlink};

/// The profile of every job here.
const PROFILE: &str = "job_local";

#[test]
fn a_profile_directory_that_cannot_be_written_is_named() {
    let place = Place::with_fakes();
    let dir = place.profile(PROFILE);
    fs::create_dir_all(&dir).expect("a directory");
    let command = place.ipjob_as_user(CLUSTER);
    chmod(&dir, 0o500);
    let told = format!("{}/ipjob.lock", dir.display());
    Job::spawn(&place, PROFILE, command).fails(4, &[&told, "Permission denied"]);
    assert_eq!(fs::read_dir(&dir).expect("readable").count(), 0);
    assert!(place.fake_log().is_empty());
    place.assert_deserted();
}

#[test]
fn an_ipython_directory_that_cannot_be_written_is_named() {
    let place = Place::with_fakes();
    let dir = place.ipython_dir();
    fs::create_dir(&dir).expect("a directory");
    let command = place.ipjob_as_user(CLUSTER);
    chmod(&dir, 0o500);
    let told = place.profile(PROFILE);
    let parts = [
        told.to_str().expect("text"),
        "Permission denied",
        "--ipython-dir",
    ];
    Job::spawn(&place, PROFILE, command).fails(4, &parts);
    place.assert_untouched();
}

#[test]
fn a_profile_directory_that_is_a_file_is_told_as_such() {
    let place = Place::with_fakes();
    fs::create_dir(place.ipython_dir()).expect("a directory");
    fs::write(place.profile(PROFILE), "mine").expect("a file");
    start(&place, &[], &[CLUSTER]).fails(4, &["is not a directory", "--profile"]);
    assert_eq!(fs::read(place.profile(PROFILE)).expect("it stays"), b"mine");
    place.assert_deserted();
}

#[test]
fn a_link_to_nowhere_is_told_with_its_target() {
    let place = Place::with_fakes();
    fs::create_dir(place.ipython_dir()).expect("a directory");
    symlink("/scratch/purged", place.profile(PROFILE)).expect("a link");
    let parts = ["is a link to /scratch/purged, which does not exist"];
    start(&place, &[], &[CLUSTER]).fails(4, &parts);
    fs::remove_file(place.profile(PROFILE)).expect("it stays");
    fs::remove_dir(place.ipython_dir()).expect("empty");
    symlink("/scratch/purged", place.ipython_dir()).expect("a link");
    start(&place, &[], &[CLUSTER]).fails(4, &parts);
    place.assert_deserted();
}

#[test]
fn a_link_to_a_directory_of_ours_is_as_good_as_the_directory() {
    let place = Place::with_fakes();
    let scratch = place.dir().join("scratch");
    fs::create_dir(&scratch).expect("a directory");
    symlink(&scratch, place.ipython_dir()).expect("a link");
    let mut job = start(&place, &[], &[CLUSTER]);
    job.wait_ready();
    assert!(scratch.join("profile_job_local/ipjob.json").is_file());
    job.stop();
}

#[test]
fn a_profile_directory_of_another_user_is_refused() {
    needed!(root());
    let place = Place::with_fakes();
    let dir = place.profile(PROFILE);
    fs::create_dir_all(&dir).expect("a directory");
    chown(&dir, Some(65534), None).expect("we are root");
    start(&place, &[], &[CLUSTER]).fails(4, &["belongs to uid 65534, and this is uid 0"]);
    assert_eq!(fs::read_dir(&dir).expect("readable").count(), 0);
}

#[test]
fn a_profile_directory_that_others_can_write_is_refused_with_its_mode_and_chmod() {
    for (mode, who) in [
        (0o720, "group"),
        (0o702, "every user"),
        (0o777, "every user"),
    ] {
        let place = Place::with_fakes();
        let dir = place.profile(PROFILE);
        fs::create_dir_all(&dir).expect("a directory");
        chmod(&dir, mode);
        let (told, chmod) = (
            format!("can write in {} (mode {mode:04o}", dir.display()),
            format!("chmod go-w {}", dir.display()),
        );
        start(&place, &[], &[CLUSTER]).fails(4, &[who, &told, &chmod]);
        assert_eq!(fs::read_dir(&dir).expect("readable").count(), 0);
        place.assert_deserted();
    }
}

#[test]
fn an_ipython_directory_that_everybody_can_write_is_refused_also_when_it_is_sticky() {
    let place = Place::with_fakes();
    let dir = place.ipython_dir();
    fs::create_dir(&dir).expect("a directory");
    for (mode, hint) in [(0o777, "chmod go-w"), (0o1777, "mkdir -m 700")] {
        chmod(&dir, mode);
        let told = format!("{} (mode {mode:04o}", dir.display());
        start(&place, &[], &[CLUSTER]).fails(4, &[&told, hint, "--ipython-dir"]);
        place.assert_untouched();
    }
    // Below one that is sticky, as below /tmp, what is ours stays ours.
    let own = dir.join("mine");
    let mut command = place.ipjob(CLUSTER);
    command.env("IPYTHONDIR", &own);
    let mut job = Job::spawn_in(&own, PROFILE, command);
    job.wait_ready();
    job.stop();
}

/// What a group can write in is refused with all that is below it, unless the group is the user's alone (a home with umask 002).
#[test]
fn directories_that_a_group_can_write_in_are_refused_unless_it_is_the_users_own() {
    needed!(root());
    for (shared, group) in [
        ("project/ipython", 4242),
        ("project", 4242),
        ("project", NOBODY),
    ] {
        let place = Place::with_fakes();
        let (shared, dir) = (
            place.dir().join(shared),
            place.dir().join("project/ipython"),
        );
        fs::create_dir_all(&shared).expect("a directory");
        let args = ["--ipython-dir", dir.to_str().expect("text")];
        let command = place.ipjob_as_user(&[CLUSTER, &args].concat());
        chown(&shared, None, Some(group)).expect("we are root");
        chmod(&shared, 0o2775);
        let mut job = Job::spawn_in(&dir, PROFILE, command);
        if group == NOBODY {
            job.wait_ready();
            job.stop();
            continue;
        }
        let told = format!("group 4242 can write in {} (mode 2775", shared.display());
        let chmod = format!("chmod go-w {}", shared.display());
        job.fails(4, &[&told, &chmod, "--ipython-dir"]);
        assert!(place.fake_log().is_empty());
        place.assert_deserted();
    }
}

#[test]
fn directories_in_the_profile_that_lead_elsewhere_or_are_open_are_refused() {
    for name in ["security", "log"] {
        let place = Place::with_fakes();
        let (dir, elsewhere) = (place.profile(PROFILE).join(name), place.dir().join("other"));
        fs::create_dir_all(place.profile(PROFILE)).expect("a directory");
        fs::create_dir(&elsewhere).expect("a directory");
        symlink(&elsewhere, &dir).expect("a link");
        let told = dir.to_str().expect("text");
        start(&place, &[], &[CLUSTER]).fails(4, &[told, "it is a link"]);
        assert_eq!(fs::read_dir(&elsewhere).expect("readable").count(), 0);
        fs::remove_file(&dir).expect("a link");
        fs::create_dir(&dir).expect("a directory");
        chmod(&dir, 0o775);
        start(&place, &[], &[CLUSTER]).fails(4, &[told, "(mode 0775", "chmod go-w"]);
        assert!(place.fake_log().is_empty());
    }
}

#[test]
fn locks_and_logs_that_are_links_are_refused_and_their_target_stays() {
    for (name, told) in [
        ("ipjob.lock", "ipjob.lock cannot be written"),
        ("log/ipjob-controller.log", "ipjob-controller.log"),
    ] {
        let place = Place::with_fakes();
        let (path, target) = (place.profile(PROFILE).join(name), place.dir().join("mine"));
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(&target, "mine").expect("written");
        symlink(&target, &path).expect("a link");
        // musl says "Symbolic link loop", glibc "Too many levels of symbolic links".
        start(&place, &[], &[CLUSTER]).fails(4, &[told, "ymbolic link"]);
        assert_eq!(fs::read(&target).expect("it stays"), b"mine");
        place.assert_deserted();
    }
}

#[test]
fn half_written_copies_beside_the_second_record_go_when_they_are_old_and_ours() {
    let place = Place::with_fakes();
    let records = place.dir().join("records");
    fs::create_dir(&records).expect("a directory");
    let [old, young, other] =
        [".ipjob-writing-old", ".ipjob-writing-young", "other"].map(|name| records.join(name));
    for path in [&old, &young, &other] {
        fs::write(path, "{\"token\": \"sec").expect("written");
    }
    for path in [&old, &other] {
        let file = fs::File::options().write(true).open(path).expect("ours");
        file.set_modified(std::time::SystemTime::UNIX_EPOCH)
            .expect("ours");
    }
    let record = records.join("ipjob.json");
    let args = ["--record", record.to_str().expect("text")];
    let mut job = start(&place, &[], &[CLUSTER, &args]);
    job.wait_ready();
    job.stop();
    assert!(!old.exists());
    assert!(young.exists() && other.exists());
}

#[test]
fn spaces_and_unicode_in_every_path_work() {
    let place = Place::with_fakes();
    let dir = place.dir().join("mein Verzeichnis ünd 计算 'x'");
    let (dir, record) = (dir.to_str().expect("text"), dir.join("der Rekord.json"));
    let record = record.to_str().expect("text");
    let command = place.ipjob(
        [
            NOTEBOOK,
            &[
                "--ipython-dir",
                dir,
                "--profile",
                "groesse+2",
                "--record",
                record,
            ],
        ]
        .concat(),
    );
    // The record's directory must exist; ipjob makes only its own.
    fs::create_dir(dir).expect("a directory");
    let mut job = Job::spawn_in(dir.as_ref(), "groesse+2", command);
    let ready = job.wait_ready();
    assert_eq!(ready["profile"]["name"], "groesse+2");
    wait_for("the second copy", || {
        let copy = fs::read(record).expect("a copy");
        let copy: serde_json::Value = serde_json::from_slice(&copy).expect("whole");
        (copy["token"] == ready["token"]).then_some(())
    });
    job.stop();
    let copy = fs::read_to_string(record).expect("it stays");
    assert!(!copy.contains(ready["token"].as_str().expect("a token")));
}

#[test]
fn a_record_that_cannot_be_written_ends_the_start_and_no_record_says_otherwise() {
    let place = Place::with_fakes();
    let args = ["--record", "/no/such/directory/ipjob.json"];
    let mut job = start(&place, &[], &[CLUSTER, &args]);
    let parts = [
        "the record /no/such/directory/ipjob.json cannot be written",
        "--record",
    ];
    job.fails(4, &parts);
    job.assert_nothing_left();
    assert_eq!(job.record().expect("the first place")["exit"], 4);
    assert!(place.fake_log().is_empty());
}

#[test]
fn a_record_that_is_a_directory_is_refused() {
    let place = Place::with_fakes();
    let record = place.profile(PROFILE).join("ipjob.json");
    fs::create_dir_all(&record).expect("a directory");
    let told = format!("the record {} cannot be written", record.display());
    start(&place, &[], &[CLUSTER]).fails(4, &[&told]);
    assert!(!place.profile(PROFILE).join("ipjob-runtime").exists());
    assert!(place.fake_log().is_empty());
}

#[test]
fn a_directory_that_was_closed_meanwhile_keeps_no_secret() {
    let place = Place::with_fakes();
    let mut job = Job::spawn(&place, PROFILE, place.ipjob_as_user(NOTEBOOK));
    let ready = job.wait_ready();
    let key = job.profile().join("ipjob-runtime/session.key");
    assert!(key.exists());
    chmod(job.profile(), 0o500);
    job.signal(Signal::SIGTERM);
    let (code, lines) = job.finish();
    assert_eq!(code, 0, "{lines}");
    let record = fs::read_to_string(job.profile().join("ipjob.json")).expect("it stays");
    assert!(!record.contains(ready["token"].as_str().expect("a token")));
    assert_eq!(job.record().expect("whole")["state"], "ended");
    assert!(!key.exists());
    place.assert_deserted();
    chmod(job.profile(), 0o700);
}

#[test]
fn a_log_directory_that_cannot_be_written_ends_the_start() {
    let place = Place::with_fakes();
    let log = place.profile(PROFILE).join("log");
    fs::create_dir_all(&log).expect("a directory");
    let command = place.ipjob_as_user(CLUSTER);
    chmod(&log, 0o500);
    let told = format!("the log {}/ipjob-controller.log", log.display());
    let mut job = Job::spawn(&place, PROFILE, command);
    job.fails(4, &[&told, "Permission denied", "log directory"]);
    job.assert_nothing_left();
    place.assert_deserted();
}

#[test]
fn a_log_directory_that_is_a_file_ends_the_start() {
    let place = Place::with_fakes();
    let log = place.profile(PROFILE).join("log");
    fs::create_dir_all(place.profile(PROFILE)).expect("a directory");
    fs::write(&log, "").expect("a file");
    start(&place, &[], &[CLUSTER]).fails(4, &[log.to_str().expect("text")]);
    assert!(!place.profile(PROFILE).join("ipjob-runtime").exists());
    place.assert_deserted();
}

#[test]
fn one_engines_log_that_cannot_be_written_is_named_as_the_cause() {
    let place = Place::with_fakes();
    let log = place.profile(PROFILE).join("log/ipjob-engine-1.log");
    fs::create_dir_all(&log).expect("a directory in the log's place");
    let told = format!("the log {} cannot be written", log.display());
    let mut job = start(&place, &[], &[CLUSTER]);
    job.fails(4, &["1 of 2 engines are left", &told]);
    job.assert_nothing_left();
    place.assert_deserted();
}
