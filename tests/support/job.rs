//! ipjob running, with its lines and its record.

use super::ended::assert_nothing_left;
use super::{PATIENCE, Place, carriers, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// One ipjob. Dropped while it runs (a failed test), it is killed together with all that carries its incarnation.
pub struct Job {
    child: Child,
    profile: PathBuf,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    status: Option<ExitStatus>,
}

impl Job {
    /// Starts ipjob with these arguments and the profile `job_local`.
    pub fn start(place: &Place, args: &[&str]) -> Self {
        Self::spawn(place, "job_local", place.ipjob(args))
    }

    /// Starts a prepared command; `profile` is the name that it will use.
    pub fn spawn(place: &Place, profile: &str, command: Command) -> Self {
        Self::spawn_in(&place.ipython_dir(), profile, command)
    }

    /// Starts a prepared command that uses another IPython directory than the place's own.
    pub fn spawn_in(ipython_dir: &Path, profile: &str, mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ipjob starts");
        let stderr = child.stderr.take().expect("piped");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                sink.lock().expect("no panic while held").push(line);
            }
        });
        Self {
            child,
            profile: ipython_dir.join(format!("profile_{profile}")),
            lines,
            reader: Some(reader),
            status: None,
        }
    }

    /// The process id of ipjob.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to stderr so far.
    pub fn transcript(&self) -> String {
        self.lines.lock().expect("no panic while held").join("\n")
    }

    /// Waits for a line that contains `text`.
    pub fn wait_line(&mut self, text: &str) -> String {
        wait_for(&format!("the line {text:?}"), || {
            let lines = self.lines.lock().expect("no panic while held");
            let found = lines.iter().find(|line| line.contains(text)).cloned();
            drop(lines);
            if found.is_none() && self.exited().is_some() {
                self.drain();
                let transcript = self.transcript();
                assert!(transcript.contains(text), "no line {text:?}:\n{transcript}");
            }
            found
        })
    }

    /// The record as it is; `None` before the first one.
    pub fn record(&self) -> Option<Value> {
        let text = fs::read_to_string(self.profile.join("ipjob.json")).ok()?;
        Some(serde_json::from_str(&text).expect("a record is whole at every moment"))
    }

    /// Waits for this job's record to be in one of these states.
    pub fn wait_state(&mut self, states: &[&str]) -> Value {
        wait_for(&format!("the state {states:?}"), || {
            let ended = self.exited();
            let record = self
                .record()
                .filter(|record| record["incarnation"]["pid"] == self.pid());
            let found = record.filter(|record| {
                record["state"]
                    .as_str()
                    .is_some_and(|state| states.contains(&state))
            });
            if let (None, Some(status)) = (&found, ended) {
                self.drain();
                panic!(
                    "ipjob ended ({status}) before {states:?}:\n{}",
                    self.transcript()
                );
            }
            found
        })
    }

    /// Waits until the job is ready, and returns its record.
    pub fn wait_ready(&mut self) -> Value {
        self.wait_state(&["ready"])
    }

    /// Sends a signal to ipjob.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("ipjob lives");
    }

    /// The profile directory.
    pub fn profile(&self) -> &Path {
        &self.profile
    }

    /// Waits for the end; returns the exit code and all lines.
    pub fn finish(&mut self) -> (i32, String) {
        let status = wait_for("the end of ipjob", || self.exited());
        self.drain();
        (status.code().unwrap_or(-1), self.transcript())
    }

    /// Asks for the end with SIGTERM and checks that it comes in order, with exit code 0 and nothing left.
    pub fn stop(&mut self) -> String {
        self.signal(Signal::SIGTERM);
        let (code, transcript) = self.finish();
        assert_eq!(code, 0, "{transcript}");
        self.assert_nothing_left();
        transcript
    }

    /// Checks what must hold after every end: no process, no connection file, no secret; the record says how it ended.
    pub fn assert_nothing_left(&self) {
        let record = self.record().expect("the record stays");
        assert_nothing_left(&record, &self.profile, &self.transcript());
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("our child");
        }
        self.status
    }

    fn drain(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader does not panic");
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.exited().is_none() {
            self.kill();
            eprintln!("ipjob's lines:\n{}", self.transcript());
        }
    }
}

impl Job {
    /// Ends it, and all that carries its incarnation, by force.
    fn kill(&mut self) {
        let incarnation = self
            .record()
            .and_then(|record| Some(record["incarnation"]["id"].as_str()?.to_owned()));
        let _ = self.child.kill();
        let _ = self.child.wait();
        let begin = std::time::Instant::now();
        while let Some(id) = &incarnation
            && begin.elapsed() < PATIENCE
        {
            let left = carriers(id);
            if left.is_empty() {
                break;
            }
            for (pid, _) in left {
                let _ = kill(
                    Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX)),
                    Signal::SIGKILL,
                );
            }
        }
    }
}
