//! Whoever writes waits, and cannot even be killed; reading goes on.

use super::{Home, engine, image};
use crate::healing::send;
use crate::support::{Needed, Place, wait_for};
use nix::sys::signal::Signal;
use serde_json::json;
use std::fs;

/// A home that can be frozen.
pub(super) struct Freezer(pub Home);

impl Freezer {
    fn make() -> Needed<Self> {
        Self::in_place(Place::with_fakes())
    }

    pub(super) fn in_place(place: Place) -> Needed<Self> {
        let home = Home::in_place(place)?;
        let directory = home.place.dir().to_owned();
        image(&home, &directory)?;
        Ok(Self(home))
    }

    pub(super) fn freeze(&self) {
        assert!(self.0.does("fsfreeze", &["--freeze", self.0.text()]));
    }

    /// Thaws it in any case once what is returned goes: a job that is dropped waits for its processes.
    pub(super) fn thaws(&self) -> Thaw<'_> {
        Thaw(self)
    }

    pub(super) fn thaw(&self) {
        assert!(self.0.does("fsfreeze", &["--unfreeze", self.0.text()]));
    }
}

pub(super) struct Thaw<'a>(&'a Freezer);

impl Drop for Thaw<'_> {
    fn drop(&mut self) {
        // It fails where the test has thawed it already.
        let freezer = &self.0.0;
        freezer.does("fsfreeze", &["--unfreeze", freezer.text()]);
    }
}

#[test]
fn a_record_on_a_frozen_home_catches_up() {
    let freezer = needed!(Freezer::make());
    let mut job = freezer.0.job(&["--mode", "cluster-only", "-n", "3"]);
    let _thaw = freezer.thaws();
    let before = job.wait_ready();
    freezer.freeze();
    for id in [0, 2] {
        send(engine(&before, id), Signal::SIGKILL);
        job.wait_line(&format!("engine {id} (pid "));
    }
    assert_eq!(job.record(), Some(before), "nothing can be written");
    freezer.thaw();
    let record = wait_for("the record", || {
        let record = job.record()?;
        (record["engines"]["missing"] == json!([0, 2])).then_some(record)
    });
    assert_eq!(record["state"], "degraded");
    assert_eq!(
        record["warnings"].as_array().map(Vec::len),
        Some(2),
        "{record}"
    );
    job.stop();
}

#[test]
fn a_stop_on_a_frozen_home_ends_all_services_and_then_ipjob() {
    let freezer = needed!(Freezer::make());
    let args = ["--mode", "notebook", "-n", "2", "--stop-timeout", "4"];
    let mut job = freezer.0.job(&args);
    let _thaw = freezer.thaws();
    let before = job.wait_ready();
    freezer.freeze();
    send(engine(&before, 1), Signal::SIGKILL);
    job.wait_line("engine 1 (pid ");
    job.signal(Signal::SIGTERM);
    job.wait_line("the last record cannot be written");
    job.wait_line("ended");
    // The kernel keeps the dead program until the write that it waits for comes back.
    wait_for("the end of ipjob", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", job.pid())).ok()?;
        stat.contains(") Z ").then_some(())
    });
    freezer.thaw();
    let (code, transcript) = job.finish();
    assert_eq!(code, 0, "{transcript}");
    let id = before["incarnation"]["id"].as_str().expect("an id");
    assert_eq!(crate::support::carriers(id), [], "{transcript}");
}
