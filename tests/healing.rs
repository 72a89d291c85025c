//! What dies is replaced, with real ipyparallel and Jupyter: the engines keep their data and the user's client works on.

mod controller;
mod engines;
mod hindrances;
mod jupyter;
mod memory;
mod slow;

use crate::support::{Place, command_line, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A client that computes all the time, tests/healing/steady.py.
pub struct Steady {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Steady {
    /// Opens it and waits until its data is on every engine.
    fn open(place: &Place, venv: &Path) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/healing/steady.py");
        let mut command = place.command(venv.join("bin/python"));
        command.arg(file).arg("job_local");
        Self::begin(&mut command)
    }

    /// The same by any command that runs it.
    pub fn begin(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut steady = Self {
            child,
            input,
            output,
        };
        let begun = steady.line();
        assert_eq!(begun["begun"], true);
        steady
    }

    /// Lets it look at all that it stored and computed, with its open client and with a new one.
    pub fn check(&mut self) -> Value {
        self.input.write_all(b"check\n").expect("it reads");
        self.line()
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it writes");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn pid_of(pid: &Value) -> u32 {
    u32::try_from(pid.as_u64().expect("a pid")).expect("a pid")
}

pub fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).expect("a pid");
    kill(Pid::from_raw(pid), signal).expect("it lives");
}

/// The children of a process, oldest first.
pub fn children_of(pid: u32) -> Vec<u32> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .expect("a process")
        .split_ascii_whitespace()
        .map(|word| word.parse().expect("a pid"))
        .collect()
}

/// The child that runs a program.
pub fn child_of(pid: u32, program: &str) -> u32 {
    children_of(pid)
        .into_iter()
        .find(|child| command_line(*child).contains(program))
        .expect("it runs")
}

/// Asks Jupyter for its status.
pub fn ask(record: &Value, token: &str) -> TcpStream {
    let port = record["port"]
        .as_u64()
        .and_then(|port| u16::try_from(port).ok());
    let address = (Ipv4Addr::LOCALHOST, port.expect("a port"));
    let mut stream = TcpStream::connect(address).expect("it listens");
    let base = crate::real::http::base(record);
    write!(
        stream,
        "GET {base}api/status?token={token} HTTP/1.0\r\n\r\n"
    )
    .expect("it is sent");
    stream
}

/// Its answer.
pub fn answer_of(mut asked: TcpStream) -> String {
    let mut answer = String::new();
    asked.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Waits until a service was started so often again and the job is ready.
pub fn wait_replaced(job: &crate::support::Job, service: &str, times: usize) -> Value {
    wait_for(&format!("restart {times} of {service}"), || {
        let record = job.record()?;
        assert_ne!(record["state"], "ended", "{}", job.transcript());
        (record["restarts"][service] == times && record["state"] == "ready").then_some(record)
    })
}
