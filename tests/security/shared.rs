//! Files that somebody else has made, looked at in the job's Jupyter.

use super::kernels::Kernel;
use crate::real::http;
use crate::support::{Job, Place, chmod, root, venv};
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;

/// Who has made them.
const MALLORY: u32 = 65533;

/// The front ends, each with a virtual environment that has it.
const FRONTENDS: &[(&str, &str)] = &[("main", "lab"), ("main", "notebook"), ("nb6", "notebook")];

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
        ] {
            let ran = place.dir().join("ran");
            let text = format!("open({ran:?}, 'a').write(__name__ + ' ')\nimport no_such_module\n");
            fs::write(his.join(format!("{module}.py")), text).expect("written");
        }
        fs::write(his.join("asked_for.py"), "answer = 42").expect("written");
        chown(&his, Some(MALLORY), Some(MALLORY)).expect("we are root");

        let arguments = ["--mode", "notebook", "-n", "1", "--frontend", frontend];
        let mut job = Job::start(&place, &arguments);
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
        job.stop();
    }
}
