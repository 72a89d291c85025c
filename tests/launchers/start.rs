//! Something that was started here and is, or starts, ipjob.

use crate::support::{Place, assert_nothing_left, carriers, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A start. Dropped while it runs (a failed test), it is killed with all that carries the incarnation of its record.
pub struct Start<'a> {
    place: &'a Place,
    child: Child,
    profile: String,
    output: PathBuf,
}

impl<'a> Start<'a> {
    /// Starts the command, which will use this profile; what it writes goes to a file.
    pub fn of(place: &'a Place, profile: &str, mut command: Command) -> Self {
        let output = place.dir().join(format!("output-{profile}"));
        let file = fs::File::create(&output).expect("a file");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a file"))
            .stderr(file)
            .spawn()
            .expect("it starts");
        Self {
            place,
            child,
            profile: profile.to_owned(),
            output,
        }
    }

    /// What it wrote so far.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// The record as it is; `None` before the first one.
    pub fn record(&self) -> Option<Value> {
        let text = fs::read_to_string(self.place.profile(&self.profile).join("ipjob.json")).ok()?;
        Some(serde_json::from_str(&text).expect("a record is whole at every moment"))
    }

    /// Waits for the record to be in this state.
    pub fn wait_state(&mut self, state: &str) -> Value {
        wait_for(&format!("the state {state:?}"), || {
            let ended = self.child.try_wait().expect("our child");
            let record = self.record().filter(|record| record["state"] == state);
            assert!(
                record.is_some() || ended.is_none(),
                "it ended before {state}:\n{}",
                self.output()
            );
            record
        })
    }

    /// Sends a signal to what was started.
    pub fn signal(&self, signal: Signal) {
        send(u64::from(self.child.id()), signal);
    }

    /// Waits for the end; the exit code (128 + n for signal n) and all that was written.
    pub fn finish(&mut self) -> (i32, String) {
        use std::os::unix::process::ExitStatusExt;
        let status = wait_for("its end", || self.child.try_wait().expect("our child"));
        let code = status.code().or(status.signal().map(|n| 128 + n));
        (code.expect("an end"), self.output())
    }

    /// Checks what must hold after every end: no process, no connection file, no meeting; the record says how it ended.
    pub fn assert_nothing_left(&self) -> Value {
        let record = self.record().expect("the record stays");
        let profile = self.place.profile(&self.profile);
        assert_nothing_left(&record, &profile, &self.output());
        assert_eq!(meetings(self.place), Vec::<String>::new());
        record
    }
}

impl Start<'_> {
    /// Ends it, and all that carries its incarnation, by force.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(id) = self
            .record()
            .and_then(|record| Some(record["incarnation"]["id"].as_str()?.to_owned()))
        {
            kill_carriers(&id);
        }
    }
}

impl Drop for Start<'_> {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) || std::thread::panicking() {
            eprintln!("it wrote:\n{}", self.output());
            self.kill();
        }
    }
}

/// Sends a signal to a process by the id that a record tells.
pub fn send(pid: u64, signal: Signal) {
    let pid = i32::try_from(pid).expect("a pid");
    kill(Pid::from_raw(pid), signal).expect("it lives");
}

/// Kills all that carries an incarnation.
pub fn kill_carriers(incarnation: &str) {
    wait_for("the end of what is left", || {
        let left = carriers(incarnation);
        for (pid, _) in &left {
            let pid = i32::try_from(*pid).unwrap_or(i32::MAX);
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        left.is_empty().then_some(())
    });
}

/// The names of places where ranks meet.
pub fn meetings(place: &Place) -> Vec<String> {
    fs::read_dir(place.ipython_dir())
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(".ipjob-meeting"))
        .collect()
}

/// Runs Python code with the profile's name as its argument; what it prints, read as JSON.
pub fn python(place: &Place, code: &str, profile: &str) -> Value {
    let output = place
        .command("python")
        .args(["-c", code, profile])
        .output()
        .expect("python starts");
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.trim()).unwrap_or_else(|error| {
        panic!(
            "{error}: {text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}
