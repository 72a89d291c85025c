//! The record as a program sees it that reads it all the time.

use super::{cluster, notebook};
use crate::support::{Job, Place, wait_for};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Changes of state that are caused one after the other.
const REWRITES: u64 = 200;

/// What a reader in a tight loop saw.
#[derive(Default)]
struct Seen {
    looks: u64,
    files: u64,
    faults: Vec<String>,
}

impl Seen {
    fn fault(&mut self, text: String) {
        if self.faults.len() < 5 {
            self.faults.push(text);
        }
    }

    /// One look: the file as it was opened, whatever replaces it meanwhile.
    fn look(&mut self, path: &Path, last: &mut u64) {
        self.looks += 1;
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) => return self.fault(format!("look {}: {error}", self.looks)),
        };
        let data = file.metadata().expect("an open file");
        if data.mode() & 0o777 != 0o600 {
            self.fault(format!("mode {:o}", data.mode()));
        }
        if data.ino() != *last {
            *last = data.ino();
            self.files += 1;
        }
        let mut text = String::new();
        file.read_to_string(&mut text).expect("text");
        match serde_json::from_str::<Value>(&text) {
            Ok(record) if record["refresh_s"] == 60 && text.ends_with("}\n") => {}
            _ => self.fault(format!("half a record: {text:?}")),
        }
    }
}

/// Ends the reader with the scope it was made in, also when that fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Files that are being written have to be as private as those that are.
fn look_at_temporaries(directory: &Path, seen: &mut Seen) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        if let (true, Ok(data)) = (
            entry
                .file_name()
                .to_string_lossy()
                .starts_with(".ipjob-writing-"),
            entry.metadata(),
        ) && data.mode() & 0o777 != 0o600
        {
            seen.fault(format!(
                "{} has mode {:o}",
                entry.path().display(),
                data.mode()
            ));
        }
    }
}

#[test]
fn a_reader_never_sees_half_a_record_nor_one_that_others_can_read() {
    let place = Place::with_fakes();
    let copy = place.dir().join("copy.json");
    let options = ["--record", copy.to_str().expect("text")];
    // One engine never registers, so that the list is looked at often; the other comes and goes as this test wants.
    let mut job = cluster(&place, &[("FAKE_ENGINE", "silent")], &options);
    job.wait_state(&["starting"]);
    let log_dir = job.profile().join("log");
    wait_for("the engines' start", || {
        (place
            .fake_log()
            .iter()
            .filter(|line| line.starts_with("ipengine "))
            .count()
            == 2)
            .then_some(())
    });
    let paths: [PathBuf; 2] = [job.profile().join("ipjob.json"), copy];
    let done = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = Seen::default();
            let mut last = [0; 2];
            while !done.load(Ordering::Relaxed) {
                for (path, last) in paths.iter().zip(&mut last) {
                    seen.look(path, last);
                    look_at_temporaries(path.parent().expect("a directory"), &mut seen);
                }
            }
            seen
        });
        let end = Done(&done);
        for change in 1..=REWRITES {
            let there = change % 2;
            let engines = if there == 1 {
                json!({"0": "u"})
            } else {
                json!({})
            };
            let list = json!({"engines": engines, "next_id": 1}).to_string();
            fs::write(log_dir.join("list"), list).expect("a list");
            fs::rename(log_dir.join("list"), log_dir.join("enginesipjob0.json")).expect("a list");
            wait_for("a record that tells of the change", || {
                (job.record()?["engines"]["registered"] == there).then_some(())
            });
        }
        drop(end);
        reader.join().expect("the reader does not panic")
    });
    assert_eq!(seen.faults, [""; 0], "in {} looks", seen.looks);
    assert!(seen.looks > REWRITES, "only {} looks", seen.looks);
    assert!(seen.files > REWRITES / 2, "only {} files seen", seen.files);
    job.stop();
}

#[test]
fn a_link_in_the_place_of_the_second_copy_is_replaced_and_not_followed() {
    let place = Place::with_fakes();
    let target = place.dir().join("precious");
    fs::write(&target, "mine").expect("a file");
    let copy = place.dir().join("copy.json");
    symlink(&target, &copy).expect("a link");
    let options = ["--record", "copy.json"];
    let mut job = notebook(&place, &[], &options);
    let record = job.wait_ready();
    // The copy is written after the profile's own.
    wait_for("the same in the copy", || {
        let text = fs::read(&copy).expect("a copy");
        let copied: Value = serde_json::from_slice(&text).expect("whole");
        (copied == record).then_some(())
    });
    assert_eq!(fs::read_to_string(&target).expect("a file"), "mine");
    let data = fs::symlink_metadata(&copy).expect("a copy");
    assert!(data.is_file());
    assert_eq!(data.mode() & 0o777, 0o600);
    job.stop();
    let text = fs::read(&copy).expect("a copy");
    let text = serde_json::from_slice::<Value>(&text).expect("whole");
    assert_eq!(text["state"], "ended");
    assert_eq!(Some(text), job.record());
}

#[test]
fn a_copy_that_cannot_be_written_stops_the_job_before_it_starts_anything() {
    let place = Place::with_fakes();
    let args = [
        "--mode",
        "cluster-only",
        "-n",
        "1",
        "--record",
        "no/such/copy.json",
    ];
    let (code, text) = Job::start(&place, &args).finish();
    assert_eq!(code, 4, "{text}");
    assert!(
        text.contains("no/such/copy.json cannot be written"),
        "{text}"
    );
    assert!(text.contains("--record"), "{text}");
    assert_eq!(place.fake_log(), [""; 0]);
}
