//! Places that others can write in: /tmp and its like.

use crate::support::{Job, Place, chmod, root};
use std::fs;
use std::os::unix::fs::{chown, symlink};

/// A notebook with one engine.
const NOTEBOOK: &[&str] = &["--mode", "notebook", "-n", "1"];

/// Who makes things in a shared directory before ipjob, which runs as nobody, gets there.
const MALLORY: u32 = 65533;

#[test]
fn what_another_user_made_where_the_second_record_goes_is_neither_followed_nor_filled() {
    needed!(root());
    for is_link in [true, false] {
        let place = Place::with_fakes();
        let shared = place.dir().join("tmp");
        let (record, target) = (shared.join("ipjob.json"), place.dir().join("mine"));
        fs::create_dir(&shared).expect("a directory");
        fs::write(&target, "mine").expect("written");
        let arguments = [NOTEBOOK, &["--record", record.to_str().expect("text")]].concat();
        let command = place.ipjob_as_user(&arguments);
        chown(&shared, Some(0), Some(0)).expect("we are root");
        chmod(&shared, 0o1777);
        if is_link {
            symlink(&target, &record).expect("a link");
            std::os::unix::fs::lchown(&record, Some(MALLORY), None).expect("we are root");
        } else {
            fs::write(&record, "his").expect("written");
            chown(&record, Some(MALLORY), None).expect("we are root");
            chmod(&record, 0o666);
        }
        let mut job = Job::spawn(&place, "job_local", command);
        job.fails(
            4,
            &["the record", "cannot be written", "Operation not permitted"],
        );
        assert_eq!(fs::read(&target).expect("it stays"), b"mine");
        if !is_link {
            assert_eq!(fs::read(&record).expect("it stays"), b"his");
        }
        let left: Vec<_> = fs::read_dir(&shared).expect("readable").flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        place.assert_deserted();
    }
}

/// What leads to a directory of the user's own, and what is told of it: who can replace something on the way can put in its place what
/// he likes, while the job starts.
#[test]
fn what_another_user_can_replace_on_the_way_is_not_used() {
    needed!(root());
    for (name, dir, told) in [
        (
            "an own one in his",
            "his/own",
            "his (mode 0755) belongs to uid 65533",
        ),
        (
            "below an own one in his",
            "his/own/deep",
            "his (mode 0755) belongs to uid 65533",
        ),
        (
            "his link to an own one",
            "tmp/link",
            "tmp/link is a link of uid 65533",
        ),
        (
            "his sticky one",
            "his-tmp",
            "his-tmp (mode 1777) belongs to uid 65533",
        ),
        ("his own", "his", "his (mode 0755) belongs to uid 65533"),
        (
            "one that is not yet there in his",
            "his/new",
            "his (mode 0755) belongs to uid 65533",
        ),
        (
            "an own one where all can rename",
            "all/own",
            "every user can write in",
        ),
        (
            "an own one where a group can rename",
            "group/own",
            "group 4242 can write in",
        ),
        (
            "an own link through his",
            "mine/link",
            "his (mode 0755) belongs to uid 65533",
        ),
        ("a shared one", "tmp", "others can put their files into"),
    ] {
        let place = Place::with_fakes();
        let path = |name: &str| place.dir().join(name);
        for dir in [
            "his/own",
            "all/own",
            "group/own",
            "tmp/own",
            "mine",
            "his-tmp",
        ] {
            fs::create_dir_all(path(dir)).expect("a directory");
        }
        symlink(path("his/own"), path("mine/link")).expect("a link");
        let dir = path(dir);
        let arguments = [NOTEBOOK, &["--ipython-dir", dir.to_str().expect("text")]].concat();
        let command = place.ipjob_as_user(&arguments);
        symlink(path("tmp/own"), path("tmp/link")).expect("a link");
        for (dir, owner, group, mode) in [
            ("his", MALLORY, MALLORY, 0o755),
            ("his-tmp", MALLORY, MALLORY, 0o1777),
            ("all", 0, 0, 0o777),
            ("group", 0, 4242, 0o2775),
            ("tmp", 0, 0, 0o1777),
        ] {
            chown(path(dir), Some(owner), Some(group)).expect("we are root");
            chmod(&path(dir), mode);
        }
        std::os::unix::fs::lchown(path("tmp/link"), Some(MALLORY), None).expect("we are root");
        Job::spawn_in(&dir, "job_local", command).fails(4, &[told, "--ipython-dir"]);
        for own in ["his/own", "all/own", "group/own", "tmp/own"] {
            let left: Vec<_> = fs::read_dir(path(own)).expect("readable").collect();
            assert!(left.is_empty(), "{name}: {left:?}");
        }
        place.assert_untouched();
    }
}

#[test]
fn nothing_is_started_in_a_working_directory_where_every_user_can_put_modules() {
    needed!(root());
    for (mode, told) in [
        (0o1777, "others can put their files into"),
        (0o777, "every user can write in"),
    ] {
        let place = Place::with_fakes();
        let shared = place.dir().join("tmp");
        fs::create_dir(&shared).expect("a directory");
        let mut command = place.ipjob_as_user(NOTEBOOK);
        command.current_dir(&shared);
        chown(&shared, Some(0), Some(0)).expect("we are root");
        chmod(&shared, mode);
        let mut job = Job::spawn(&place, "job_local", command);
        job.fails(4, &["the working directory", told, "--root-dir"]);
        place.assert_untouched();
    }
}

/// As slurmstepd starts it on a node that lacks the job's directory.
#[test]
fn a_task_that_starts_where_every_user_can_put_modules_goes_elsewhere() {
    for mode in [0o1777, 0o777, 0o755] {
        let place = Place::with_fakes();
        let shared = place.dir().join("tmp");
        fs::create_dir(&shared).expect("a directory");
        chmod(&shared, mode);
        let mut command = place.ipjob(["engine", "--", "/bin/sh", "-c", "pwd"]);
        let output = command.current_dir(&shared).output().expect("it runs");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{text}");
        let told = format!("the working directory {} is not safe", shared.display());
        let is_open = mode & 0o002 != 0;
        assert_eq!(text.contains(&told), is_open, "{text}");
        let at = text.lines().last().expect("a line");
        assert_eq!(at == "/", is_open, "{text}");
    }
}

/// The site's directory tells by `getent`; the job's own group is another one, as after newgrp.
#[test]
fn a_primary_group_of_the_users_name_without_others_is_the_users_own() {
    needed!(root());
    for (members, is_own) in [("", true), ("somebody", false)] {
        let place = Place::with_fakes();
        let dir = place.dir().join("group");
        fs::create_dir(&dir).expect("a directory");
        let entries = format!(
            "case $1 in passwd) echo \"me:x:$2:4242::/:/bin/sh\" ;; group) echo \"me:x:$2:{members}\" ;; esac"
        );
        let arguments = [NOTEBOOK, &["--ipython-dir", dir.to_str().expect("text")]].concat();
        let command = place.ipjob_as_user(&arguments);
        place.script("getent", &entries);
        chown(&dir, None, Some(4242)).expect("we are root");
        chmod(&dir, 0o2775);
        let mut job = Job::spawn_in(&dir, "job_local", command);
        if is_own {
            job.wait_ready();
            job.stop();
        } else {
            job.fails(4, &["group 4242 can write in", "IPYTHONDIR=$(mktemp -d)"]);
        }
    }
}

#[test]
fn a_second_record_is_not_written_where_another_user_can_rename_it() {
    needed!(root());
    for (owner, group, mode, told) in [
        (MALLORY, MALLORY, 0o777, "belongs to uid 65533"),
        (MALLORY, MALLORY, 0o1777, "belongs to uid 65533"),
        (0, 0, 0o777, "every user can write in"),
        (0, 4242, 0o2775, "group 4242 can write in"),
    ] {
        let place = Place::with_fakes();
        let shared = place.dir().join("shared");
        fs::create_dir(&shared).expect("a directory");
        let record = shared.join("ipjob.json");
        let arguments = [NOTEBOOK, &["--record", record.to_str().expect("text")]].concat();
        let command = place.ipjob_as_user(&arguments);
        chown(&shared, Some(owner), Some(group)).expect("we are root");
        chmod(&shared, mode);
        Job::spawn(&place, "job_local", command).fails(4, &["the record", told, "--record"]);
        assert!(fs::read_dir(&shared).expect("readable").next().is_none());
        place.assert_deserted();
    }
}

#[test]
fn no_pointer_is_written_where_another_user_can_replace_it() {
    needed!(root());
    let place = Place::with_fakes();
    let shared = place.dir().join("state");
    fs::create_dir(&shared).expect("a directory");
    let mut command = place.ipjob_as_user(NOTEBOOK);
    command.env("XDG_STATE_HOME", &shared);
    chown(&shared, Some(MALLORY), None).expect("we are root");
    chmod(&shared, 0o777);
    let mut job = Job::spawn(&place, "job_local", command);
    job.wait_ready();
    let lines = job.stop();
    assert!(
        lines.contains("pointer to the record cannot be written"),
        "{lines}"
    );
    assert!(
        lines.contains("state (mode 0777) belongs to uid 65533"),
        "{lines}"
    );
    assert!(fs::read_dir(&shared).expect("readable").next().is_none());
}
