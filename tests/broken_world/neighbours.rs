//! Another ipjob in the same profile: refused while it lives; when it was killed, cleaned up after.

use super::{CLUSTER, NOTEBOOK, start};
use crate::support::{Job, Place, carriers, wait_fake};
use nix::sys::signal::Signal;
use std::process::{Child, Command};

/// A process that is killed when the test is over.
struct Bystander(Child);

impl Bystander {
    /// A process that carries this incarnation, or something very like one.
    fn carrying(incarnation: &str) -> Self {
        let mut command = Command::new("sleep");
        command.arg("1000").env("IPJOB_INCARNATION", incarnation);
        Self(command.spawn().expect("sleep starts"))
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().expect("our child").is_none()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn incarnation(job: &Job) -> String {
    let record = job.record().expect("a record");
    record["incarnation"]["id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

#[test]
fn a_second_ipjob_in_a_profile_is_refused_with_pid_and_host_and_the_first_goes_on() {
    let place = Place::with_fakes();
    let mut first = start(&place, &[], &[CLUSTER]);
    let ready = first.wait_ready();
    let host = ready["incarnation"]["host"].as_str().expect("a host");
    let started = place.fake_log().len();
    let pid = format!("pid {} on {host}", first.pid());
    let kill = format!("kill {}", first.pid());
    let stop = "`ipjob stop job_local`";
    let parts = ["another ipjob runs in", &pid, stop, &kill, "--profile"];
    start(&place, &[], &[CLUSTER, &["--profile", "job_local"]]).fails(4, &parts);
    assert_eq!(place.fake_log().len(), started, "nothing was started");
    let now = first.record().expect("a record");
    assert_eq!(now["state"], "ready");
    assert_eq!(now["incarnation"], ready["incarnation"]);
    assert!(
        first
            .profile()
            .join("security/ipcontroller-client.json")
            .exists()
    );
    first.stop();
}

/// Kills a job that is up, starts the next one in its place, and checks that it has ended what the dead one left.
fn killed_and_followed(profile: &str, place: &Place, args: &[&str], variables: &[(&str, &str)]) {
    let command = || place.ipjob([args, &["--profile", profile]].concat());
    let mut first = command();
    first.envs(variables.iter().copied());
    let mut first = Job::spawn(place, profile, first);
    first.wait_ready();
    let dead = incarnation(&first);
    first.signal(Signal::SIGKILL);
    first.finish();
    let left = carriers(&dead).len();
    assert!(left > 0, "the services survive their ipjob");
    let mut alike = Bystander::carrying(&format!("{dead}0"));
    let mut second = Job::spawn(place, profile, command());
    let line = second.wait_line("an ipjob that died here");
    let told = format!("(pid {}) left {left} processes running: ended", first.pid());
    assert!(line.contains(&told), "{line}, not {told}");
    assert_eq!(carriers(&dead), []);
    second.wait_ready();
    second.stop();
    assert!(alike.lives(), "it only looked like one of the dead job's");
    place.assert_deserted();
}

#[test]
fn what_a_killed_ipjob_left_running_is_ended_by_the_next() {
    let place = Place::with_fakes();
    killed_and_followed("job_local", &place, NOTEBOOK, &[]);
}

#[test]
fn what_does_not_end_when_asked_is_killed_by_the_next() {
    let place = Place::with_fakes();
    let deaf = [("FAKE_CONTROLLER", "deaf")];
    killed_and_followed("job_local", &place, CLUSTER, &deaf);
}

#[test]
fn what_a_killed_ipjob_left_in_somebody_elses_profile_is_known_by_its_key() {
    let place = Place::with_fakes();
    std::fs::create_dir_all(place.profile("default")).expect("made");
    killed_and_followed("default", &place, CLUSTER, &[]);
}

#[test]
fn what_an_ipjob_killed_while_it_started_left_is_ended_by_the_next() {
    let place = Place::with_fakes();
    let mut first = start(&place, &[("FAKE_ENGINE", "silent")], &[CLUSTER]);
    wait_fake(&place, "ipengine 1 started");
    let dead = incarnation(&first);
    first.signal(Signal::SIGKILL);
    first.finish();
    let mut second = start(&place, &[], &[CLUSTER]);
    second.wait_ready();
    assert_eq!(carriers(&dead), []);
    second.stop();
    place.assert_deserted();
}

#[test]
fn an_ipjob_that_ended_in_order_leaves_nothing_to_look_for() {
    let place = Place::with_fakes();
    let mut first = start(&place, &[], &[CLUSTER]);
    first.wait_ready();
    let ended = incarnation(&first);
    first.stop();
    let mut user = Bystander::carrying(&ended);
    let mut second = start(&place, &[], &[CLUSTER]);
    second.wait_ready();
    assert!(!second.transcript().contains("died here"));
    assert!(user.lives());
    second.stop();
}
