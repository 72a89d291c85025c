//! `--preload`: what it names is there when engines count as ready, however they are started, and what of it cannot survive a fork is found.

use super::python;
use crate::support::{Job, Place, venv, wait_for};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A job of two engines in a directory of these modules, which are found as a cell finds them: in the working directory.
fn start(place: &Place, way: &str, modules: &[(&str, &str)], preload: &str) -> Job {
    let dir = place.dir().join("work");
    fs::create_dir_all(&dir).expect("made");
    for (name, text) in modules {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(path, text).expect("written");
    }
    let mut command = place.ipjob([
        "--mode",
        "cluster-only",
        "-n",
        "2",
        "--engine-start",
        way,
        "--preload",
        preload,
    ]);
    command.current_dir(dir);
    Job::spawn(place, "job_local", command)
}

#[test]
fn engines_that_turn_out_to_be_no_forks_and_preload_nothing_are_told_of() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let config = place.dir().join("mine.py");
    fs::write(&config, "c = get_config()\n").expect("written");
    let site = place.dir().join("site");
    fs::create_dir_all(&site).expect("made");
    let text = "import builtins, socket\nbuiltins.kept = socket.socket()\n";
    fs::write(site.join("sitecustomize.py"), text).expect("written");
    let further = format!("--engine-arg=--config={}", config.display());
    let options = [
        "--mode",
        "cluster-only",
        "-n",
        "2",
        "--engine-start",
        "auto",
    ];
    let mut command = place.ipjob(options);
    command.arg(further).env("PYTHONPATH", site);
    let mut job = Job::spawn(&place, "job_local", command);
    job.wait_line(
        "engines that are not forked import the modules of --preload when they are first used",
    );
    let record = job.wait_ready();
    assert_eq!(record["engines"]["start"], "exec");
    for engine in seen(&place, &venv, &["numpy"]) {
        assert_eq!(engine["preloaded"]["numpy"], false);
    }
    job.stop();
}

/// What two engines have before anything was asked of them.
fn seen(place: &Place, venv: &Path, names: &[&str]) -> [Value; 2] {
    let args = [&["job_local"], names].concat();
    let seen = python::ask(place, venv, "preloaded.py", &args);
    ["0", "1"].map(|id| seen[id].clone())
}

/// Notes where it is imported.
const NOTES: &str =
    "import os\nwith open('imported', 'a') as file:\n    file.write(f'{os.getpid()}\\n')\n";

#[test]
fn engines_have_the_modules_when_they_count_however_they_are_started() {
    let venv = needed!(venv("main"));
    let own = venv.join("bin/ipengine");
    // A wrapper, or one that is no script of a Python, is started one by one whatever was asked for.
    for (way, imports) in [("exec", 2), ("fork", 1)] {
        let place = Place::with_venv(&venv);
        let modules = [("mine.py", NOTES), ("other/part.py", "")];
        let mut job = start(&place, way, &modules, "mine,other.part");
        job.wait_ready();
        for engine in seen(&place, &venv, &["mine", "other.part", "numpy"]) {
            let expected = json!({"mine": true, "other.part": true, "numpy": false});
            assert_eq!(engine["preloaded"], expected, "{way}");
            assert!(engine["order"].is_null(), "{way}: {engine}");
        }
        let notes = fs::read_to_string(place.dir().join("work/imported")).expect("notes");
        assert_eq!(notes.lines().count(), imports, "{way}");
        job.stop();
    }
    let place = Place::with_venv(&venv);
    place.script("ipengine", &format!("exec {} \"$@\"", own.display()));
    let mut job = start(&place, "fork", &[("mine.py", NOTES)], "mine");
    job.wait_ready();
    for engine in seen(&place, &venv, &["mine"]) {
        assert_eq!(engine["preloaded"]["mine"], true);
    }
    job.stop();
}

#[test]
fn a_module_that_cannot_be_imported_is_told_once_and_keeps_no_engine_from_its_start() {
    let venv = needed!(venv("main"));
    for way in ["exec", "fork"] {
        let place = Place::with_venv(&venv);
        let modules = [
            ("broken.py", "raise ValueError('two\\nlines')\n"),
            ("ends.py", "raise SystemExit(3)\n"),
        ];
        let mut job = start(&place, way, &modules, "broken,ends,absent.part");
        job.wait_ready();
        let host = hostname();
        for why in [
            "broken cannot be imported on HOST: ValueError: two lines",
            "ends cannot be imported on HOST: SystemExit: 3",
            "absent.part cannot be imported on HOST: ModuleNotFoundError: No module named 'absent'",
        ] {
            let text = format!("--preload: {}", why.replace("HOST", &host));
            job.wait_line(&format!("warning: {text}"));
            let times = |record: &Value| {
                let warnings = record["warnings"].as_array()?.iter();
                Some(warnings.filter(|line| **line == text).count())
            };
            let times = wait_for("the warning", || {
                times(&job.record()?).filter(|times| *times > 0)
            });
            assert_eq!(times, 1, "{way}");
        }
        job.stop();
    }
}

fn hostname() -> String {
    let name = nix::sys::utsname::uname().expect("a name");
    name.nodename().to_string_lossy().into_owned()
}

/// What makes ipjob start engines one by one after all; they have the module nevertheless, and those before and after it.
fn is_declined(text: &str, why: &str) {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let modules = [("mine.py", text), ("after.py", "")];
    let mut job = start(&place, "fork", &modules, "numpy,mine,after");
    job.wait_line(&format!(
        "engines are not forked, which only makes their start slower: {why}"
    ));
    job.wait_ready();
    for engine in seen(&place, &venv, &["numpy", "mine", "after"]) {
        for module in ["numpy", "mine", "after"] {
            assert_eq!(engine["preloaded"][module], true, "{module}");
        }
    }
    job.stop();
}

#[test]
fn a_thread_of_a_preloaded_module_is_found() {
    is_declined(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n",
        "1 more thread runs in its Python after the import of mine",
    );
}

#[test]
fn an_mpi_that_is_initialised_by_an_import_is_found() {
    is_declined(
        "from mpi4py import MPI\n",
        "MPI is initialised in its Python after the import of mine",
    );
}

/// What each of two engines makes of a product of matrices.
fn products(place: &Place, venv: &Path, way: &str, threads: &str) -> Value {
    let options = ["--mode", "cluster-only", "-n", "2"];
    let further = ["--engine-start", way, "--threads", threads];
    let mut job = Job::start(place, &[options, further].concat());
    job.wait_ready();
    let lines = job.transcript();
    assert!(!lines.contains("not forked"), "{lines}");
    let products = python::ask(place, venv, "product.py", &["job_local"]);
    job.stop();
    products
}

#[test]
fn numpy_is_there_at_once_and_its_threads_and_random_numbers_are_each_engines_own() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    for (way, threads) in [("exec", "2"), ("fork", "2"), ("fork", "1")] {
        let products = products(&place, &venv, way, threads);
        for id in ["0", "1"] {
            let product = &products[id];
            assert_eq!(product["preloaded"], true, "{way}");
            assert_eq!(product["sum"], 600.0 * 600.0 * 600.0, "{way}");
        }
        for what in ["random", "generator"] {
            assert_ne!(products["0"][what], products["1"][what], "{way}: {what}");
        }
    }
}
