//! What a client ends has ended as it asked: no failure, and nothing brings it back but a request.

use super::{restart, with_client};
use crate::healing::{pid_of, send, wait_replaced};
use crate::support::{Job, Place, venv};
use nix::sys::signal::Signal;
use serde_json::json;

#[test]
fn ends_a_cluster_with_code_0_also_where_engines_are_respawned() {
    let more: [(&str, &[&str]); 3] = [
        ("main", &[]),
        ("main", &["--engine-start", "fork"]),
        ("ipp88", &["--nanny", "off"]),
    ];
    let ends = [
        ("rc.shutdown(hub=True)", "shut down by a client"),
        (
            "rc.shutdown(block=True)",
            "the engines were shut down by a client",
        ),
    ];
    for (environment, more) in more {
        let venv = needed!(venv(environment));
        for (end, reason) in ends {
            let place = Place::with_venv(&venv);
            let args = ["--mode", "cluster-only", "-n", "2", "--respawn", "engine"];
            let mut job = Job::start(&place, &[&args[..], more].concat());
            job.wait_ready();
            with_client(&place, &venv, end);
            let (code, transcript) = job.finish();
            assert_eq!(code, 0, "{transcript}");
            job.assert_nothing_left();
            let record = job.record().expect("a record");
            assert_eq!(record["reason"], reason, "{transcript}");
            assert_eq!(record["warnings"], json!([]));
            let none = json!({"controller": 0, "engines": 0, "jupyter": 0});
            assert_eq!(record["restarts"], none);
        }
    }
}

#[test]
fn ends_one_engine_that_comes_back_on_request_and_deaths_are_respawned_as_before() {
    for (environment, nanny) in [("main", "on"), ("ipp88", "off")] {
        let venv = needed!(venv(environment));
        let place = Place::with_venv(&venv);
        let args = ["--mode", "cluster-only", "-n", "2", "--respawn", "engine"];
        // The hub drops a silent engine after 30 s by default.
        let patience = ["--controller-arg=--HeartMonitor.max_heartmonitor_misses=20"];
        let nanny = ["--nanny", nanny];
        let mut job = Job::start(&place, &[&args[..], &patience, &nanny].concat());
        let before = job.wait_ready();
        with_client(&place, &venv, "rc.shutdown(targets=[1], block=True)");
        job.wait_line("engine 1 was shut down by a client; `ipjob restart` restarts it");
        // Another death is undone while that end is not.
        send(
            pid_of(&before["engines"]["list"][0]["pid"]),
            Signal::SIGKILL,
        );
        job.wait_line("engine 0 is back");
        let record = job.wait_state(&["degraded"]);
        assert_eq!(record["restarts"]["engines"], 1);
        let (code, lines) = restart(&place, None, &[]);
        assert_eq!(code, 0, "{lines}");
        assert!(lines.contains("2 of 2 engines are running"), "{lines}");
        let after = wait_replaced(&job, "engines", 2);
        assert_eq!(after["request"]["state"], "done");
        let ids = with_client(&place, &venv, "print(rc[:].apply_sync(int) and rc.ids)");
        assert_eq!(ids.trim(), "[0, 1]");
        job.stop();
    }
}
