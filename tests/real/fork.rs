//! `--engine-start fork`: each engine is what one of its own would have been, and what a fork could break is found before.

use super::imports::lacks_ipyparallel;
use super::python;
use crate::support::{Job, Place, carriers, command_line, venv, wait_for};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// How engines are started, as an option.
fn args<'a>(way: &'a str, engines: &'a str) -> [&'a str; 6] {
    let start = "--engine-start";
    ["--mode", "cluster-only", "-n", engines, start, way]
}

/// Puts a module before all others of every Python of the job.
fn with_module(place: &Place, name: &str, text: &str) {
    let path = place.dir().join("mine").join(name);
    fs::create_dir_all(path.parent().expect("a directory")).expect("made");
    fs::write(path, text).expect("written");
}

fn start(place: &Place, args: &[&str]) -> Job {
    let mut command = place.ipjob(args);
    command.env("PYTHONPATH", place.dir().join("mine"));
    Job::spawn(place, "job_local", command)
}

/// What each of two engines sees of itself, by id.
fn seen(place: &Place, venv: &Path, way: &str) -> Value {
    let mut job = start(place, &args(way, "2"));
    let record = job.wait_ready();
    let seen = python::ask(place, venv, "environment.py", &["job_local"]);
    for engine in record["engines"]["list"].as_array().expect("a list") {
        let pid = engine["pid"].as_u64().and_then(|pid| pid.try_into().ok());
        let line = command_line(pid.expect("a pid"));
        let own = format!("--IPEngine.id={}", engine["id"]);
        assert!(line.trim_end().ends_with(&own), "{line}");
        let log = format!("log/ipjob-engine-{}.log", engine["id"]);
        let log = fs::read_to_string(job.profile().join(log)).expect("a log");
        let own = format!("Completed registration with id {}", engine["id"]);
        let mut registrations = log
            .lines()
            .filter(|line| line.contains("Completed registration"));
        assert!(log.contains(&own), "{log}");
        assert!(registrations.all(|line| line.ends_with(&own)), "{log}");
    }
    job.stop();
    seen
}

#[test]
fn a_forked_engine_sees_what_one_of_its_own_sees() {
    for name in ["main", "ipp88"] {
        let venv = needed!(venv(name));
        let place = Place::with_venv(&venv);
        let (exec, fork) = (seen(&place, &venv, "exec"), seen(&place, &venv, "fork"));
        for id in ["0", "1"] {
            let (mut exec, mut fork) = (exec[id].clone(), fork[id].clone());
            for engine in [&mut exec, &mut fork] {
                let engine = engine.as_object_mut().expect("an object");
                engine.remove("random");
                let environment = engine["environment"].as_object_mut().expect("an object");
                environment.remove("IPJOB_INCARNATION");
            }
            assert_eq!(fork, exec, "{name}");
            assert_eq!(fork["leads its group"], true);
        }
    }
}

#[test]
fn forked_engines_have_random_numbers_of_their_own() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    // numpy's own generator is one that a site-wide module may have made before the fork: with a state, and seeded anew only
    // when it is told to.
    with_module(&place, "numpy/__init__.py", "");
    with_module(
        &place,
        "numpy/random.py",
        "import random as _random\n_own = _random.Random(1)\nseed, random = _own.seed, _own.random\n",
    );
    with_module(
        &place,
        "sitecustomize.py",
        "import random, numpy.random\nrandom.seed(1)\n",
    );
    let seen = seen(&place, &venv, "fork");
    let (first, second) = (&seen["0"]["random"], &seen["1"]["random"]);
    for (source, value) in first.as_object().expect("an object") {
        assert!(!value.is_null(), "{source}");
        assert_ne!(value, &second[source], "{source}");
    }
}

#[test]
fn the_nannies_are_forked_as_well_and_end_with_their_engines() {
    for name in ["main", "ipp88"] {
        let venv = needed!(venv(name));
        let place = Place::with_venv(&venv);
        let nanny = "--engine-arg=--IPEngine.enable_nanny=True";
        let mut job = Job::start(&place, &[&args("fork", "2")[..], &[nanny]].concat());
        let record = job.wait_ready();
        let incarnation = record["incarnation"]["id"].as_str().expect("an id");
        // One that is started anew is named `python`. This fails when ipyparallel starts its nannies in another way.
        let nannies = || {
            let all = carriers(incarnation).into_iter();
            all.filter(|(_, line)| line.contains("ipyparallel.engine.nanny"))
                .map(|(pid, _)| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            nannies(),
            ["ipengine-nanny\n"; 3],
            "one of each, and what forks them"
        );
        let engine = &record["engines"]["list"][0]["pid"];
        let pid = i32::try_from(engine.as_i64().expect("a pid")).expect("a pid");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL)
            .expect("it lives");
        job.wait_line(&format!(
            "engine 0 (pid {pid}) ended with signal 9 (SIGKILL)"
        ));
        let record = job.wait_state(&["degraded"]);
        assert_eq!(record["engines"]["missing"], serde_json::json!([0]));
        wait_for("the end of its nanny", || {
            (nannies().len() == 2).then_some(())
        });
        job.stop();
    }
}

/// What makes ipjob start engines one by one after all, and what it then says.
fn is_declined(module: &str, text: &str, why: &str) {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    with_module(&place, module, "");
    with_module(&place, "sitecustomize.py", text);
    let mut job = start(&place, &args("fork", "2"));
    job.wait_line(&format!(
        "engines are not forked, which only makes their start slower: {why}"
    ));
    let record = job.wait_ready();
    let pids: BTreeSet<u64> = record["engines"]["list"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|engine| engine["pid"].as_u64())
        .collect();
    assert_eq!(pids.len(), 2, "{record}");
    job.stop();
}

/// A numpy whose import kills engines and what forks them, and not the controller, which imports it as well: its machine's CPUs know
/// what an older node's do not.
fn breaks_numpy(place: &Place, signal: &str) {
    let text = format!(
        "import os, signal\ncommand = open('/proc/self/cmdline', 'rb').read()\nif b'/fork.py' in command or b'/ipengine' in command:\n    os.kill(os.getpid(), signal.{signal})\n"
    );
    with_module(place, "numpy/__init__.py", &text);
}

#[test]
fn a_default_numpy_that_crashes_keeps_no_engine_from_its_start() {
    let venv = needed!(venv("main"));
    for signal in ["SIGILL", "SIGSEGV"] {
        let place = Place::with_venv(&venv);
        breaks_numpy(&place, signal);
        let mut job = start(&place, &args("auto", "2"));
        let number = if signal == "SIGILL" { 4 } else { 11 };
        job.wait_line(&format!(
            "warning: engines are not forked, which only makes their start slower: the Python that forks them ended with signal {number} ({signal}) before \
             the first; they do not import numpy when they start, as with --preload off"
        ));
        let record = job.wait_ready();
        assert_eq!(record["engines"]["start"], "exec");
        let why = record["engines"]["not_forked"].as_str().expect("why");
        assert!(why.contains(signal), "{why}");
        // Python's own word on the crash is in the log.
        let log = fs::read_to_string(job.profile().join("log/ipjob-engines.log")).expect("a log");
        assert!(log.contains("numpy/__init__.py"), "{log}");
        job.stop();
    }
}

#[test]
fn engines_whose_python_breaks_before_it_forks_start_one_by_one() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let text =
        "import os\nif b'/fork.py' in open('/proc/self/cmdline', 'rb').read():\n    os._exit(3)\n";
    with_module(&place, "sitecustomize.py", text);
    let options = [&args("auto", "2")[..], &["--preload", "numpy"]].concat();
    let mut job = start(&place, &options);
    job.wait_line("the Python that forks them ended with exit code 3 before the first");
    job.wait_ready();
    // Asked for by name, it is imported.
    let seen = python::ask(&place, &venv, "preloaded.py", &["job_local", "numpy"]);
    assert_eq!(seen["0"]["preloaded"]["numpy"], true);
    job.stop();
}

#[test]
fn a_default_numpy_that_cannot_be_imported_is_not_told_as_an_option_of_the_users() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    with_module(
        &place,
        "numpy/__init__.py",
        "raise ImportError('libopenblas')\n",
    );
    let mut job = start(&place, &["--mode", "cluster-only", "-n", "1"]);
    job.wait_line("warning: numpy, which engines import by default (--preload off leaves it out), cannot be imported on");
    job.wait_ready();
    job.stop();
}

#[test]
fn threads_before_the_fork_are_seen() {
    is_declined(
        "none.py",
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n",
        "1 more thread runs in its Python after the imports",
    );
}

#[test]
fn a_package_that_may_hold_a_gpu_is_seen() {
    is_declined(
        "cupy.py",
        "import cupy\n",
        "cupy was imported before ipyparallel",
    );
}

#[test]
fn a_socket_that_forks_would_share_is_seen() {
    is_declined(
        "none.py",
        "import builtins, socket\nbuiltins.kept = socket.socket()\n",
        "a socket is open in its Python after the imports",
    );
}

#[test]
fn a_site_that_wants_no_forks_is_heard() {
    is_declined(
        "none.py",
        "import multiprocessing\nmultiprocessing.set_start_method('spawn')\n",
        "multiprocessing was told to start processes by spawn",
    );
}

#[test]
fn an_ipengine_without_a_python_in_its_first_line_is_started_one_by_one() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let ipengine = venv.join("bin/ipengine");
    let wrapper = place.script("ipengine", &format!("exec {} \"$@\"", ipengine.display()));
    let mut job = start(&place, &args("fork", "1"));
    job.wait_line(&format!(
        "engines are not forked, which only makes their start slower: the first line of {} names no Python that could fork them",
        wrapper.display()
    ));
    job.wait_ready();
    job.stop();
}

#[test]
fn a_wrapper_of_this_machine_runs_each_engine() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let wrapper = ["--engine-wrapper", "env WRAPPED=yes"];
    let mut job = start(&place, &[&args("fork", "1")[..], &wrapper].concat());
    job.wait_line(
        "engines are not forked, which only makes their start slower: --engine-wrapper runs each of them in a command of its own",
    );
    job.wait_ready();
    let seen = python::ask(&place, &venv, "environment.py", &["job_local"]);
    assert_eq!(seen["0"]["environment"]["WRAPPED"], "yes");
    job.stop();
}

#[test]
fn a_stop_while_python_still_imports_leaves_nothing() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let sign = place.dir().join("imports");
    with_module(
        &place,
        "sitecustomize.py",
        &format!(
            "import signal\nif b'/fork.py' in open('/proc/self/cmdline', 'rb').read():\n    open('{}', 'w').close()\n    signal.pause()\n",
            sign.display()
        ),
    );
    let mut job = start(&place, &args("fork", "3"));
    wait_for("the Python that forks", || sign.exists().then_some(()));
    job.stop();
}

#[test]
fn a_python_that_cannot_import_is_told_by_its_tracebacks_last_line() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let path = place.script("ipengine", "");
    let text = "#!/usr/bin/python3\nimport sys\nfrom ipyparallel.engine.app import main\nsys.exit(main())\n";
    fs::write(path, text).expect("a script");
    lacks_ipyparallel(Job::start(&place, &args("fork", "2")));
}
