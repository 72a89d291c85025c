//! SIGTERM in every phase of the start: always exit code 0, and nothing left.

use super::{CLUSTER, NOTEBOOK, start};
use crate::support::{Job, Place, wait_fake, wait_for};
use nix::sys::signal::Signal;
use std::fs;

/// Stops a start that hangs because of this fake, once this fact is there.
fn stopped_while(variables: &[(&str, &str)], args: &[&str], fact: impl Fn(&Place)) {
    let place = Place::with_fakes();
    let mut job = start(&place, variables, &[args]);
    fact(&place);
    assert_eq!(job.wait_state(&["starting"])["state"], "starting");
    let lines = job.stop();
    assert!(lines.contains("stopping: SIGTERM"), "{lines}");
    assert!(!lines.contains("error:"), "{lines}");
    place.assert_deserted();
}

#[test]
fn sigterm_while_a_version_is_asked_for() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let place = Place::with_fakes();
        place.script("ipcontroller", "touch asked; tail -f /dev/null");
        let mut job = start(&place, &[], &[CLUSTER]);
        wait_for("the question", || {
            place.dir().join("asked").exists().then_some(())
        });
        job.signal(signal);
        let (code, lines) = job.finish();
        assert_eq!(code, 0, "{lines}");
        assert!(lines.contains(&format!("stopping: {signal}")), "{lines}");
        place.assert_untouched();
    }
}

#[test]
fn sigterm_while_what_a_dead_ipjob_left_is_ended() {
    let place = Place::with_fakes();
    let mut dead = start(&place, &[("FAKE_CONTROLLER", "deaf")], &[CLUSTER]);
    dead.wait_ready();
    dead.signal(Signal::SIGKILL);
    dead.finish();
    let mut job = start(&place, &[], &[CLUSTER]);
    wait_fake(&place, "ipcontroller SIGTERM ignored");
    let lines = job.stop();
    assert!(lines.contains("an ipjob that died here"), "{lines}");
    place.assert_deserted();
}

#[test]
fn sigterm_while_the_controller_starts() {
    stopped_while(&[("FAKE_CONTROLLER", "hang")], NOTEBOOK, |place| {
        wait_fake(place, "ipcontroller started");
    });
}

#[test]
fn sigterm_while_the_controller_writes_its_files() {
    // With an overlapped start ipjob has written them before.
    let args = [NOTEBOOK, &["--start", "sequential"]].concat();
    stopped_while(&[("FAKE_CONTROLLER", "half-file")], &args, |place| {
        let file = place
            .profile("job_local")
            .join("security/ipcontroller-ipjob0-client.json");
        wait_for("half a file", || file.exists().then_some(()));
    });
}

#[test]
fn sigterm_while_the_engines_start() {
    stopped_while(&[("FAKE_ENGINE", "silent")], CLUSTER, |place| {
        wait_fake(place, "ipengine 1 started");
    });
}

#[test]
fn sigterm_while_jupyter_starts() {
    stopped_while(&[("FAKE_JUPYTER", "silent")], NOTEBOOK, |place| {
        wait_fake(place, "jupyter-lab started");
    });
}

#[test]
fn sigterm_while_jupyter_is_asked() {
    stopped_while(&[("FAKE_JUPYTER", "no-answer")], NOTEBOOK, |place| {
        let runtime = place.profile("job_local").join("ipjob-runtime/jupyter");
        wait_for("the server's file", || {
            fs::read_dir(&runtime)
                .ok()?
                .flatten()
                .any(|entry| entry.file_name().to_string_lossy().starts_with("jpserver-"))
                .then_some(())
        });
    });
}

#[test]
fn sigterm_at_any_moment_leaves_nothing() {
    // After none, one, two and all of the services have come up, and a little before and after: the exact moment is what
    // a busy machine makes of it.
    for services in [0, 0, 0, 1, 1, 2, 2, 3] {
        let place = Place::with_fakes();
        let mut job = start(&place, &[], &[NOTEBOOK]);
        wait_for("so many services", || {
            let log = place.fake_log();
            let started = log.iter().filter(|line| line.contains("started")).count();
            (started >= services).then_some(())
        });
        assert_stopped(&place, &mut job);
    }
}

/// Asks for the end: it comes by the signal itself only while ipjob has not caught it yet, and then nothing was made.
fn assert_stopped(place: &Place, job: &mut Job) {
    job.signal(Signal::SIGTERM);
    let (code, lines) = job.finish();
    if code == -1 || job.record().is_none() {
        place.assert_untouched();
    } else {
        assert_eq!(code, 0, "{lines}");
        job.assert_nothing_left();
        place.assert_deserted();
    }
}
