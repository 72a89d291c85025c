//! Requests to stop: which signals ask, when a repetition means "now", and what happens to those that don't listen.

use super::{behind_shell, cluster, notebook};
use crate::support::{Job, Place, wait_for};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// Long enough that nothing is killed for being slow while a test looks.
const UNHURRIED: &[&str] = &["--stop-timeout", "1h"];

#[test]
fn every_signal_that_asks_ends_it_in_order() {
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGXCPU,
    ] {
        let place = Place::with_fakes();
        let mut job = cluster(&place, &[], &[]);
        job.wait_ready();
        job.signal(signal);
        let (code, transcript) = job.finish();
        assert_eq!(code, 0, "{transcript}");
        job.assert_nothing_left();
        assert_eq!(job.record().expect("a record")["reason"], signal.as_str());
        assert!(
            transcript.contains(&format!("stopping: {signal}")),
            "{transcript}"
        );
    }
}

/// One line of /proc/PID/status, a signal mask, and whether it has this signal.
fn masked(pid: u32, line: &str, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let mask = status
        .lines()
        .find_map(|found| found.strip_prefix(line)?.strip_prefix(':'))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .expect("a mask");
    mask & (1 << (signal as i32 - 1)) != 0
}

#[test]
fn under_nohup_a_hangup_means_nothing() {
    let place = Place::with_fakes();
    let mut command = place.command("nohup");
    command
        .arg(crate::support::binary())
        .args(["--mode", "cluster-only", "-n", "1"])
        .stdout(std::process::Stdio::null());
    let mut job = Job::spawn(&place, "job_local", command);
    job.wait_ready();
    assert!(masked(job.pid(), "SigIgn", Signal::SIGHUP));
    job.signal(Signal::SIGHUP);
    job.stop();
    assert_eq!(job.record().expect("a record")["reason"], "SIGTERM");
}

/// Waits until a fake has logged this.
fn wait_fake(place: &Place, line: &str) {
    wait_for(line, || {
        place
            .fake_log()
            .iter()
            .any(|found| found == line)
            .then_some(())
    });
}

#[test]
fn a_second_interrupt_kills_at_once() {
    for (mood, deaf, others) in [
        ("FAKE_ENGINE", "ipengine SIGTERM ignored", 0),
        ("FAKE_CONTROLLER", "ipcontroller SIGTERM ignored", 2),
    ] {
        let place = Place::with_fakes();
        let mut job = cluster(&place, &[(mood, "deaf")], UNHURRIED);
        job.wait_ready();
        job.signal(Signal::SIGINT);
        wait_fake(&place, deaf);
        job.signal(Signal::SIGINT);
        let (code, transcript) = job.finish();
        assert_eq!(code, 0, "{transcript}");
        assert!(
            transcript.contains("SIGINT again: killing everything now"),
            "{transcript}"
        );
        job.assert_nothing_left();
        let asked = place.fake_log();
        let asked = asked.iter().filter(|line| *line == "ipengine SIGTERM");
        assert_eq!(asked.count(), others, "engines that ended when asked");
    }
}

/// Slurm sends TERM twice within 20 ms at the time limit.
#[test]
fn terms_in_quick_succession_are_one_and_a_later_one_means_now() {
    let place = Place::with_fakes();
    let mut job = cluster(&place, &[("FAKE_CONTROLLER", "deaf")], UNHURRIED);
    job.wait_ready();
    let begin = Instant::now();
    job.signal(Signal::SIGTERM);
    job.wait_line("stopping: SIGTERM");
    // Again and again, each once the one before has been taken: the first that insists comes 3 s after the first of all.
    let insisted = wait_for("a SIGTERM that insists", || {
        if !masked(job.pid(), "ShdPnd", Signal::SIGTERM) {
            job.signal(Signal::SIGTERM);
        }
        job.transcript()
            .contains("SIGTERM again: killing everything now")
            .then(|| begin.elapsed())
    });
    assert!(
        insisted >= Duration::from_secs(3),
        "killed {insisted:?} after the first"
    );
    let (code, transcript) = job.finish();
    assert_eq!(code, 0, "{transcript}");
    job.assert_nothing_left();
}

#[test]
fn what_does_not_listen_is_killed_after_its_share_and_named() {
    for (mood, name) in [
        ("FAKE_CONTROLLER", "controller"),
        ("FAKE_ENGINE", "engines"),
    ] {
        let place = Place::with_fakes();
        let mut job = notebook(&place, &[(mood, "deaf")], &["--stop-timeout", "1s"]);
        job.wait_ready();
        let transcript = job.stop();
        let line =
            format!("{name} did not end when asked: killed after its share of --stop-timeout");
        assert!(transcript.contains(&line), "{transcript}");
        let record = job.record().expect("a record");
        assert_eq!(record["warnings"][0], line.as_str());
    }
}

/// A script that starts ipjob with `&` gives it an ignored SIGINT: Ctrl-C is then for somebody else.
#[test]
fn an_ignored_interrupt_stays_ignored() {
    let place = Place::with_fakes();
    let script = "trap '' INT; exec \"$0\" \"$@\"";
    let command = behind_shell(&place, script, &["--mode", "cluster-only", "-n", "1"]);
    let mut job = Job::spawn(&place, "job_local", command);
    job.wait_ready();
    job.signal(Signal::SIGINT);
    job.stop();
    assert_eq!(job.record().expect("a record")["reason"], "SIGTERM");
}
