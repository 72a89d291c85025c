//! Kernels of the job's Jupyter: what cells say is heard by nobody else, and everybody of the user's own reaches them as ever.

use super::{Bob, JUPYTERS, Notebook, as_bob, listening, processes};
use crate::real::python;
use crate::support::{Job, Needed, Place};
use nix::sys::signal::Signal;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

const OVERHEAR: &str = concat!(include_str!("zmtp.py"), include_str!("overhear.py"));

/// What a cell prints: 9 letters that stand nowhere else.
const SAID: &str = "swordfish";

/// A kernel in the job's Jupyter, used as by a browser.
pub struct Kernel {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Kernel {
    pub fn start(place: &Place, venv: &Path, job: &Job) -> Self {
        Self::of(place, venv, job, &[])
    }

    /// The same with what kernel.py takes more.
    pub fn of(place: &Place, venv: &Path, job: &Job, more: &[&str]) -> Self {
        let record = job.profile().join("ipjob.json");
        let arguments = [&[record.to_str().expect("text")], more].concat();
        let mut child = python::program(place, venv, "../security/kernel.py", &arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python");
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self {
            child,
            stdin,
            stdout,
        }
    }

    /// What is answered to a line, without the newline at its end.
    pub fn ask(&mut self, line: &str) -> String {
        writeln!(self.stdin, "{line}").expect("it reads");
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).expect("a line");
        let text: String = serde_json::from_str(&answer).expect("JSON");
        text.trim_end().to_owned()
    }

    pub fn print(&mut self, text: &str) {
        let answer = self.ask(&format!("\"print('{text}')\""));
        assert_eq!(answer, text);
    }

    pub fn end(mut self) {
        assert_eq!(self.ask("end"), "end");
        drop(self.stdin);
        assert!(self.child.wait().expect("our child").success());
    }
}

/// Names of sockets that all users can read in the kernel's table.
fn socket_files() -> Vec<String> {
    let table = fs::read_to_string("/proc/net/unix").expect("/proc");
    table
        .lines()
        .filter_map(|line| line.split_ascii_whitespace().nth(7))
        .map(|name| format!("unix:{name}"))
        .collect()
}

/// What another user hears of a kernel at all its sockets: how many let him in, and whether a cell's output came by.
fn overheard(venv_name: &str, arguments: &[&str]) -> Needed<(String, String)> {
    let mut bob = as_bob(OVERHEAR)?;
    let Notebook {
        place,
        venv,
        mut job,
        record,
    } = Notebook::start(venv_name, arguments)?;
    let before = listening(&processes(&record));
    let mut kernel = Kernel::start(&place, &venv, &job);
    kernel.print("ready");
    let runtime = fs::canonicalize(job.profile().join("ipjob-runtime/jupyter")).expect("made");
    let own = format!("unix:{}/", runtime.display());
    let mut places = socket_files();
    places.retain(|name| name.starts_with(&own));
    let now = listening(&processes(&record));
    places.extend(now.difference(&before).map(|port| format!("tcp:{port}")));
    assert!(places.len() >= 5, "{places:?}");
    let mut bob = Bob::start(bob.args(["SUB", SAID]).args(&places));
    let entered = bob.line();
    kernel.print(SAID);
    // What came to him, if it did, came before this: it is on its way when the cell has ended.
    kernel.print("again");
    let heard = bob.end().concat();
    kernel.end();
    job.stop();
    assert!(!runtime.exists(), "{} is left", runtime.display());
    Ok((entered, heard))
}

#[test]
fn what_cells_say_is_heard_by_nobody_else() {
    for (venv, frontend) in [("main", "lab"), ("main", "notebook"), ("nb6", "notebook")] {
        let (entered, heard) = needed!(overheard(venv, &["--frontend", frontend]));
        assert!(
            entered.starts_with("0 of "),
            "{venv}, {frontend}: {entered}"
        );
        assert_eq!(heard, "not heard", "{venv}, {frontend}");
    }
}

#[test]
fn the_users_own_transport_holds_and_is_heard_only_where_it_is_not_encrypted() {
    let tcp = "--KernelManager.transport=tcp";
    let plain = "--KernelManager.transport_encryption=disabled";
    let (_, heard) = needed!(overheard("main", &["--", tcp, plain]));
    assert_eq!(heard, "heard");
    let (entered, heard) = needed!(overheard("main", &["--", tcp]));
    assert!(entered.starts_with("0 of "), "{entered}");
    assert_eq!(heard, "not heard");
}

#[test]
fn kernels_are_restarted_interrupted_and_attached_to_and_leave_no_file() {
    for (name, frontend) in JUPYTERS {
        let Notebook {
            place,
            venv,
            mut job,
            ..
        } = needed!(Notebook::start(name, &["--frontend", frontend]));
        let runtime = job.profile().join("ipjob-runtime/jupyter");
        // Connection files, and sockets, whose names are short.
        let kernels = || {
            let entries = fs::read_dir(&runtime).expect("made").flatten();
            let names: Vec<_> = entries
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect();
            let count = |is: fn(&&String) -> bool| names.iter().filter(is).count();
            (
                count(|name| name.starts_with("kernel-")),
                count(|name| name.starts_with(char::is_numeric) && name.len() <= 4),
            )
        };
        let mut first = Kernel::start(&place, &venv, &job);
        let mut second = Kernel::start(&place, &venv, &job);
        for kernel in [&mut first, &mut second] {
            kernel.print("begun");
            assert_eq!(kernel.ask("attach"), "42");
            assert_eq!(kernel.ask("interrupt"), "begun\nKeyboardInterrupt");
            assert_eq!(kernel.ask("restart"), "restart");
            kernel.print("begun again");
            assert_eq!(kernel.ask("attach"), "42");
        }
        assert_eq!(kernels(), (2, 10));
        first.end();
        second.print("still here");
        second.end();
        assert_eq!(kernels(), (0, 0), "{name}");
        job.stop();
    }
}

#[test]
fn what_a_killed_ipjob_left_on_this_node_goes_with_the_next_start() {
    let place = Place::with_fakes();
    let arguments = ["--mode", "notebook", "-n", "1"];
    let directory = |job: &Job| -> PathBuf {
        fs::read_link(job.profile().join("ipjob-runtime/jupyter")).expect("a link")
    };
    let mut job = Job::start(&place, &arguments);
    job.wait_ready();
    let left = directory(&job);
    job.signal(Signal::SIGKILL);
    job.finish();
    assert!(left.is_dir());
    let mut next = Job::start(&place, &arguments);
    next.wait_ready();
    let own = directory(&next);
    assert!(own.is_dir() && !left.exists());
    next.stop();
    assert!(!own.exists());
}
