//! Files that somebody else has made, looked at in the job's Jupyter.

use super::kernels::Kernel;
use crate::real::{http, python};
use crate::support::{Job, Place, chmod, root, venv};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;
use std::process::Command;

/// Who has made them.
const MALLORY: u32 = 65533;

/// The front ends, each with a virtual environment that has it.
const FRONTENDS: &[(&str, &str)] = &[("main", "lab"), ("main", "notebook"), ("nb6", "notebook")];

/// What runs inside of Jupyter.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/launcher/jupyter");

fn give(path: &Path, mode: u32) {
    std::os::unix::fs::lchown(path, Some(MALLORY), Some(MALLORY)).expect("we are root");
    if !path.is_symlink() {
        chmod(path, mode);
    }
}

#[test]
fn what_is_copied_of_an_opened_file_goes_through_no_link_of_another_user() {
    needed!(root());
    for (name, frontend) in FRONTENDS {
        let venv = needed!(venv(name));
        let place = Place::with_venv(&venv);
        let path = |name: &str| place.dir().join(name);
        for dir in ["his", "tmp/.ipynb_checkpoints", "own", "startup"] {
            fs::create_dir_all(path(dir)).expect("a directory");
        }
        for file in ["his/x.py", "tmp/x.py", "own/x.py"] {
            fs::write(path(file), "his = 1").expect("written");
        }
        // By each of them a copy would get to where IPython runs what it finds.
        let links = [
            ("startup", "his/.ipynb_checkpoints"),
            ("startup/y.py", "tmp/.ipynb_checkpoints/x-checkpoint.py"),
        ];
        for (target, link) in links {
            symlink(path(target), path(link)).expect("a link");
            give(&path(link), 0);
        }
        give(&path("his"), 0o777);
        give(&path("his/x.py"), 0o666);
        give(&path("tmp/.ipynb_checkpoints"), 0o777);
        chmod(&path("tmp"), 0o1777);

        let arguments = ["--mode", "notebook", "-n", "1", "--frontend", frontend];
        let mut job = Job::start(&place, &arguments);
        let record = job.wait_ready();
        let ask = |method, path: &str| http::ask(method, &record, path, record["token"].as_str());
        for dir in ["his", "tmp", "own"] {
            let checkpoints = format!("/api/contents/{dir}/x.py/checkpoints");
            let (status, answer) = ask("POST", &checkpoints);
            assert_eq!(status, 201, "{name}, {dir}: {answer}");
            // What the user does with it is done.
            fs::write(path(dir).join("x.py"), "his = 2").expect("written");
            let (status, answer) = ask("POST", &format!("{checkpoints}/checkpoint"));
            assert_eq!(status, 204, "{name}, {dir}: {answer}");
            let text = fs::read_to_string(path(dir).join("x.py")).expect("a file");
            assert_eq!(text, "his = 1", "{name}, {dir}");
        }
        let written: Vec<_> = fs::read_dir(path("startup")).expect("it stays").collect();
        assert!(written.is_empty(), "{name}: {written:?}");
        assert!(path("own/.ipynb_checkpoints/x-checkpoint.py").is_file());
        job.stop();
    }
}

#[test]
fn copies_of_opened_files_stay_beside_them_where_nobody_else_can_change_the_way() {
    needed!(root());
    for name in ["main", "nb6"] {
        let venv = needed!(venv(name));
        let place = Place::empty();
        let path = |name: &str| place.dir().join(name);
        for dir in ["own", "his/mine", "sticky/mine", "pi/ada", "runtime"] {
            fs::create_dir_all(path(dir)).expect("a directory");
        }
        for (link, is_his) in [("own/link", false), ("his/link", true)] {
            symlink(path("sticky/mine"), path(link)).expect("a link");
            if is_his {
                give(&path(link), 0);
            }
        }
        symlink(path("own"), path("sticky/link")).expect("a link");
        give(&path("sticky/link"), 0);
        chmod(&path("sticky"), 0o1777);
        give(&path("his"), 0o755);
        give(&path("pi"), 0o755);
        // Which of these files are copied to that directory, with a home here.
        let copied = |home: &str, dir: &str, files: &[&str]| -> Vec<bool> {
            let root = place.dir().to_str().expect("text");
            let arguments = [&[SOURCES, root, dir], files].concat();
            let answer = python::program(&place, &venv, "../security/copies.py", &arguments)
                .env("HOME", path(home))
                .env("JUPYTER_RUNTIME_DIR", path("runtime"))
                .output()
                .expect("python");
            let errors = String::from_utf8_lossy(&answer.stderr);
            let places: Vec<String> = serde_json::from_slice(&answer.stdout).expect(&errors);
            assert_eq!(places.len(), files.len());
            let wanted = |file: &&str| path(file).parent().expect("a directory").join(dir);
            let is_there = |(file, place): (&&str, &String)| {
                let runtime = path("runtime/checkpoints");
                let is_apart = Path::new(place).starts_with(runtime);
                let is_wanted = Path::new(place).parent() == Some(&wanted(file));
                assert!(is_apart != is_wanted, "{name}, {file}: {place}");
                is_wanted
            };
            files.iter().zip(&places).map(is_there).collect()
        };
        let default = ".ipynb_checkpoints";
        let closed = ["own/x.py", "own/link/x.py", "sticky/mine/x.py"];
        assert_eq!(copied("own", default, &closed), [true; 3]);
        let open = ["his/x.py", "his/mine/x.py", "his/link/x.py", "sticky/x.py"];
        assert_eq!(copied("own", default, &open), [false; 4]);
        // A directory of the user's own for all copies, and places for it that are not.
        let place_of = |dir: &str| path(dir).to_str().expect("text").to_owned();
        assert_eq!(copied("own", &place_of("own/all"), &open), [true; 4]);
        for dir in ["his/all", "his/mine/all", "sticky/link", "none/all"] {
            assert_eq!(copied("own", &place_of(dir), &["own/x.py"]), [false]);
        }
        // Who owns what is above the home directory could replace that as well.
        let files = ["pi/ada/x.py", "pi/x.py"];
        assert_eq!(copied("pi/ada", default, &files), [true, false]);
        assert_eq!(copied("own", default, &files), [false, false]);
    }
}

#[test]
fn only_what_is_a_module_of_pythons_is_started_in_another_way() {
    let venv = needed!(venv("main"));
    let place = Place::empty();
    let python = venv.join("bin/python").display().to_string();
    let changed = |commands: &[&[&str]]| -> Vec<Vec<String>> {
        let text = json!(commands).to_string();
        let answer: Value =
            python::ask(&place, &venv, "../security/commands.py", &[SOURCES, &text]);
        serde_json::from_value(answer).expect("lists of texts")
    };
    let left: &[&[&str]] = &[
        &["java", "-m", "module/Main"],
        &["env", "python", "-m", "x"],
        &["pythonista", "-m", "x"],
        &["python3", "x.py", "-m", "y"],
        &["python3", "-c", "-m", "x"],
        &["python3", "-W", "-m", "x.py"],
        &["python3", "-m"],
        &["python3"],
        &[],
    ];
    assert_eq!(changed(left), left);
    let options: &[&[&str]] = &[&[], &["-X", "dev"], &["-Wignore", "-u"], &["-W", "ignore"]];
    for program in ["python", "/a/python3.13t", "pypy3", &python] {
        for options in options {
            let command = [&[program], *options, &["-m", "x", "-f", "-m"]].concat();
            let changed = changed(&[&command]).remove(0);
            let at = 1 + options.len();
            assert_eq!(changed[..at], command[..at], "{command:?}");
            assert_eq!(changed[at], "-c", "{command:?}");
            assert_eq!(changed[at + 2..], ["-f", "-m"], "{command:?}");
        }
    }
    // A kernel that is not IPython's finds there what is nowhere else.
    for dir in ["lib", "here"] {
        fs::create_dir(place.dir().join(dir)).expect("a directory");
    }
    let write = |name: &str, text: &str| fs::write(place.dir().join(name), text).expect("written");
    write(
        "lib/kernel.py",
        "import other, here; print(__name__, other.at, here.at)",
    );
    write("lib/other.py", "at = 'lib'");
    write("here/other.py", "at = 'here'");
    write("here/here.py", "at = 'here'");
    let command = changed(&[&[&python, "-m", "kernel"]]).remove(0);
    let answer = Command::new(&command[0])
        .args(&command[1..])
        .env("PYTHONPATH", place.dir().join("lib"))
        .current_dir(place.dir().join("here"))
        .output()
        .expect("python");
    let printed = String::from_utf8_lossy(&answer.stdout);
    assert_eq!(printed.trim(), "__main__ lib here", "{answer:?}");
}

#[test]
fn a_kernel_in_a_directory_of_another_user_starts_without_code_of_his() {
    needed!(root());
    for (name, frontend) in FRONTENDS {
        let venv = needed!(venv(name));
        let place = Place::with_venv(&venv);
        let his = place.dir().join("his");
        fs::create_dir(&his).expect("a directory");
        for module in [
            "ipykernel_launcher",
            "ipykernel",
            "pathlib",
            "runpy",
            "IPython",
            "json",
            "sitecustomize",
        ] {
            let ran = place.dir().join("ran");
            let text = format!("open({ran:?}, 'a').write(__name__ + ' ')\nimport no_such_module\n");
            fs::write(his.join(format!("{module}.py")), text).expect("written");
        }
        fs::write(his.join("asked_for.py"), "answer = 42").expect("written");
        chown(&his, Some(MALLORY), Some(MALLORY)).expect("we are root");

        // An empty entry is the working directory, wherever that is.
        let own = place.dir().join("own");
        fs::create_dir(&own).expect("a directory");
        let arguments = ["--mode", "notebook", "-n", "1", "--frontend", frontend];
        let mut command = place.ipjob(arguments);
        command.env("PYTHONPATH", format!("{}:", own.display()));
        let mut job = Job::spawn(&place, "job_local", command);
        job.wait_ready();
        let mut kernel = Kernel::of(&place, &venv, &job, &["python3", "his/x.ipynb"]);
        kernel.print("ready");
        let ran = fs::read_to_string(place.dir().join("ran"));
        assert!(ran.is_err(), "{name}: {ran:?}");
        // What a cell asks for is found there as ever.
        let cell =
            "\"import os, asked_for; print(os.path.basename(os.getcwd()), asked_for.answer)\"";
        assert_eq!(kernel.ask(cell), "his 42");
        assert_eq!(kernel.ask("restart"), "restart");
        kernel.print("again");
        assert!(!place.dir().join("ran").exists());
        kernel.end();
        // An entry of the user's own stays, where it is the notebook's directory too.
        let mut kernel = Kernel::of(&place, &venv, &job, &["python3", "own/x.ipynb"]);
        let look = format!("'{}' in sys.path", own.display());
        let cell = json!(format!("import os, sys; os.chdir('/'); print({look})"));
        assert_eq!(kernel.ask(&cell.to_string()), "True");
        kernel.end();
        job.stop();
    }
}
