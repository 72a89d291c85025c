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

#[test]
fn an_ipython_directory_that_another_user_made_first_is_not_used() {
    needed!(root());
    for (mode, told) in [
        (0o1777, "(mode 1777) of uid 65533"),
        (0o755, "Permission denied"),
    ] {
        let place = Place::with_fakes();
        let dir = place.ipython_dir();
        fs::create_dir(&dir).expect("a directory");
        let command = place.ipjob_as_user(NOTEBOOK);
        chown(&dir, Some(MALLORY), Some(MALLORY)).expect("we are root");
        chmod(&dir, mode);
        Job::spawn(&place, "job_local", command).fails(4, &[told]);
        place.assert_untouched();
    }
}
