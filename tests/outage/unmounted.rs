//! Paths lead to nothing for a while.

use super::{Home, engine};
use crate::healing::{pid_of, send};
use crate::support::{Needed, Place, venv, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;

/// A client: what the first engine has under a name is what was pushed there.
const CLIENT: &str = "
import sys, ipyparallel as ipp
rc = ipp.Client(connection_info=sys.argv[1], timeout=60)
rc[0].push({'kept': 7}, block=False).get(60) if sys.argv[2] == 'push' else None
assert rc[0].pull('kept', block=False).get(60) == 7
";

impl Home {
    /// What lies on a server: it stays where it is when the home goes.
    fn served(&self) -> String {
        let served = self.place.dir().join("served");
        let _ = fs::create_dir(&served);
        served.to_str().expect("text").to_owned()
    }

    pub(super) fn come(&self) {
        assert!(self.does("mount", &["--bind", &self.served(), self.text()]));
    }

    /// Goes at once, as far as paths lead; who has a file open keeps it.
    pub(super) fn go(&self) {
        assert!(self.does("umount", &["--lazy", self.text()]));
    }
}

pub(super) fn mounted(place: Place) -> Needed<Home> {
    let home = Home::in_place(place)?;
    home.come();
    Ok(home)
}

pub(super) fn client(home: &Home, record: &Value, what: &str) {
    let file = record["controller"]["client_file"].as_str();
    let output = home
        .place
        .command("python")
        .args(["-c", CLIENT, file.expect("a path"), what])
        .output()
        .expect("python");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

fn lives(pid: &Value) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid_of(pid)))
        .is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_job_outlives_an_unmounted_home_and_replaces_what_died_meanwhile_once_it_is_back() {
    let venv = needed!(venv("main"));
    let home = needed!(mounted(Place::with_venv(&venv)));
    let mut job = home.job(&["--mode", "notebook", "-n", "2"]);
    let before = job.wait_ready();
    client(&home, &before, "push");
    home.go();
    assert!(job.record().is_none(), "it is away");
    send(engine(&before, 1), Signal::SIGKILL);
    job.wait_line("engine 1 (pid ");
    job.wait_line("ipjob.json cannot be written: No such file or directory");
    send(pid_of(&before["controller"]["pid"]), Signal::SIGKILL);
    job.wait_line("restarts are on hold until the file system recovers");
    assert!(lives(&before["engines"]["list"][0]["pid"]));
    let answer = fs::read_to_string("/proc/thread-self/mounts").expect("mounts");
    assert!(!answer.contains(home.text()), "{answer}");
    home.come();
    job.wait_line("the hub knows 1 engines again");
    let record = wait_for("the record", || {
        let record = job.record()?;
        (record["restarts"]["controller"] == 1).then_some(record)
    });
    assert_eq!(record["state"], "degraded");
    assert_eq!(record["engines"]["missing"], json!([1]));
    assert_eq!(record["restarts"]["jupyter"], 0, "Jupyter was not touched");
    assert_eq!(record["token"], before["token"]);
    client(&home, &record, "pull");
    job.wait_line("ipjob.json can be written again");
    job.stop();
}

#[test]
fn a_stop_while_the_home_is_away_ends_everything_and_one_that_it_comes_back_to_tidies_up() {
    for comes_back in [false, true] {
        let home = needed!(mounted(Place::with_fakes()));
        let mut job = home.job(&["--mode", "notebook", "-n", "2", "--stop-timeout", "4"]);
        let before = job.wait_ready();
        home.go();
        job.signal(Signal::SIGTERM);
        if comes_back {
            job.wait_line("stopping: SIGTERM");
            home.come();
        }
        let (code, transcript) = job.finish();
        assert_eq!(code, 0, "{transcript}");
        let id = before["incarnation"]["id"].as_str().expect("an id");
        assert_eq!(crate::support::carriers(id), [], "{transcript}");
        if comes_back {
            job.assert_nothing_left();
        } else {
            assert!(
                transcript.contains("ipjob.json cannot be written"),
                "{transcript}"
            );
        }
    }
}
