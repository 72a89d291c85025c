//! The controller without the pauses of its start. It stands on names of ipyparallel that are no commands: these tests fail when one
//! of them means something else.

use crate::support::{Job, Place, venv};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// What the program says where it leaves ipyparallel's own way.
const OWN_WAY: &str = "engines are heard at the second heartbeat";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Runs the program with another script in the place of ipcontroller's, behind these: what was printed and what was said.
fn run(venv: &Path, behind: &[PathBuf], script: &Path) -> (String, String) {
    let place = Place::with_venv(venv);
    let order = json!({"beat_ms": 10, "engines": 1, "signals": 0, "patience_s": 600, "else": ["--period=250"]});
    let output = place
        .command(venv.join("bin/python"))
        .env("PYTHONPATH", file("launcher"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(behind)
        .arg(file("launcher/controller/eager.py"))
        .arg(order.to_string())
        .arg(script)
        .args(["--period=1000", "--other"])
        .output()
        .expect("a Python");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    (text(&output.stdout), said)
}

#[test]
fn the_heart_of_ipyparallel_9_2_is_eager_until_all_engines_are_there() {
    is_eager("main");
}

#[test]
fn the_heart_of_ipyparallel_8_8_is_eager_until_all_engines_are_there() {
    is_eager("ipp88");
}

#[test]
fn a_site_that_wants_no_forks_has_a_controller_with_its_sockets() {
    // Forkserver is also what Python 3.14 does by itself.
    for (name, way) in [("main", "forkserver"), ("ipp88", "spawn")] {
        let venv = needed!(venv(name));
        let place = Place::with_venv(&venv);
        let site = place.dir().join("site");
        fs::create_dir_all(&site).expect("made");
        let text = format!("import multiprocessing\nmultiprocessing.set_start_method('{way}')\n");
        fs::write(site.join("sitecustomize.py"), text).expect("written");
        let mut command = place.ipjob(["--mode", "cluster-only", "-n", "1"]);
        command.env("PYTHONPATH", site);
        let mut job = Job::spawn(&place, "job_local", command);
        job.wait_ready();
        let log = fs::read_to_string(job.profile().join("log/ipjob-controller.log"));
        let log = log.expect("a log");
        assert!(!log.contains(OWN_WAY), "{log}");
        job.stop();
    }
}

fn is_eager(name: &str) {
    let venv = needed!(venv(name));
    let (found, said) = run(&venv, &[], &file("tests/real/heart.py"));
    let found: Value = serde_json::from_str(&found).expect("an answer");
    assert_eq!(
        found,
        json!({
            "slept": [2], "args": ["--period=1000", "--other"], "hearts": ["one"], "told": [1], "period": 3_600_000,
            "between_beats": 3_600_000, "missed_while_eager": 0, "missed_later": 1, "writings": 2, "listed": 100,
        }),
        "{said}"
    );
    assert!(!said.contains("ipjob: "), "{said}");
}

#[test]
fn a_heart_that_is_not_known_beats_its_own_way() {
    let venv = needed!(venv("main"));
    let dir = tempfile::tempdir().expect("a directory");
    let print = dir.path().join("print.py");
    fs::write(&print, "import sys\nprint(sys.argv[1:])\n").expect("a file");
    let (args, said) = run(&venv, &[file("tests/real/changed.py")], &print);
    assert!(
        said.contains(OWN_WAY) && said.contains("handle_pong"),
        "{said}"
    );
    assert_eq!(args.trim(), "['--other', '--period=250']");
}

#[test]
fn a_jobs_controller_is_eager_unless_its_heartbeat_is_the_users() {
    for (name, args, period) in [
        ("main", &[][..], 1000),
        ("ipp88", &[], 1000),
        ("main", &["--controller-arg=--HeartMonitor.period=300"], 300),
    ] {
        let Ok(venv) = venv(name) else { continue };
        let place = Place::with_venv(&venv);
        let mut job = Job::start(
            &place,
            &[&["--mode", "cluster-only", "-n", "2"], args].concat(),
        );
        job.wait_ready();
        let log = fs::read_to_string(place.profile("job_local").join("log/ipjob-controller.log"))
            .expect("a log");
        assert!(log.contains(&format!("beating every {period}ms")), "{log}");
        for own_way in [
            OWN_WAY,
            "sleeps",
            "at every registration",
            "by its silence",
            "fail late",
        ] {
            assert!(!log.contains(own_way), "{log}");
        }
        job.stop();
    }
}
