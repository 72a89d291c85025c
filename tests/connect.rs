//! `ipjob connect`, from a laptop that reaches only the login node (tests/lab), with real sshd and real jobs.

mod background;
mod bad_input;
mod broken;
mod browser;
mod stays;
mod step;
mod terminal;
mod up;
mod whole;

use crate::support::{Lab, lab::ALICE, wait_for};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// Uses every kind of view through a profile; prints the engines' ids.
const VIEWS: &str = "
import ipyparallel as ipp
rc = ipp.Client(profile='$', timeout=60)
assert rc[:].apply_sync(lambda: 6 * 7) == [42] * len(rc)
assert rc.load_balanced_view().map_sync(lambda x: x * x, range(6)) == [0, 1, 4, 9, 16, 25]
assert rc.broadcast_view().apply_sync(lambda: 'all') == ['all'] * len(rc)
print(rc.ids)
";

/// A connect that runs on the laptop.
pub struct Connect<'a> {
    lab: &'a Lab,
    child: Child,
    output: Arc<Mutex<String>>,
    profile: String,
}

impl<'a> Connect<'a> {
    /// Starts it; `profile` is the one that it will make.
    pub fn start(lab: &'a Lab, profile: &str, args: &[&str]) -> Self {
        Self::start_with(lab, profile, &[], args)
    }

    /// The same with further variables.
    fn start_with(lab: &'a Lab, profile: &str, variables: &[&str], args: &[&str]) -> Self {
        let words: Vec<&str> = ["connect"].iter().chain(args).copied().collect();
        Self::begin(lab, profile, variables, &words)
    }

    /// Starts ipjob with these words.
    fn begin(lab: &'a Lab, profile: &str, variables: &[&str], words: &[&str]) -> Self {
        let mut command = lab.command("in");
        command.args(["-u", ALICE, "-e"]);
        command.arg(format!("PATH={}", lab.path()));
        for variable in variables {
            command.args(["-e", variable]);
        }
        let mut child = command
            .args(["laptop", "ipjob"])
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("lab runs");
        let output = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().expect("piped"), &output);
        collect(child.stderr.take().expect("piped"), &output);
        Self {
            lab,
            child,
            output,
            profile: profile.to_owned(),
        }
    }

    fn output(&self) -> String {
        self.output.lock().expect("no panic").clone()
    }

    /// Waits for so many lines that contain `text`, and returns the last of them.
    fn wait_lines(&mut self, text: &str, count: usize) -> String {
        wait_for(&format!("{count} lines {text:?} of connect"), || {
            let output = self.output();
            let found: Vec<&str> = output.lines().filter(|line| line.contains(text)).collect();
            if found.len() >= count {
                return found.last().map(|line| (*line).to_owned());
            }
            let ended = self.child.try_wait().expect("a child").is_some();
            assert!(!ended, "connect ended before {text:?}:\n{output}");
            None
        })
    }

    /// Waits for a line that contains `text`, and returns it.
    pub fn wait_line(&mut self, text: &str) -> String {
        self.wait_lines(text, 1)
    }

    /// Waits until all can be used; Jupyter's address.
    pub fn wait_url(&mut self) -> String {
        let line = self.wait_line("jupyter  http");
        line.split_whitespace()
            .last()
            .expect("an address")
            .to_owned()
    }

    /// Waits for its end; its exit code and all that it said.
    fn finish(mut self) -> (i32, String) {
        let code = wait_for("the end of connect", || {
            self.child
                .try_wait()
                .expect("a child")
                .map(|status| status.code())
        });
        // The last lines are read by threads of their own.
        let output = wait_for("its last words", || {
            (Arc::strong_count(&self.output) == 1).then(|| self.output())
        });
        (code.unwrap_or(-1), output)
    }

    /// What the local profile says of it.
    fn marker(&self) -> Value {
        let path = format!(".ipython/profile_{}/ipjob-connect.json", self.profile);
        wait_for("the marker", || {
            let text = fs::read(self.lab.laptop_home(&path)).ok()?;
            serde_json::from_slice(&text).ok()
        })
    }

    /// Signals it, by its process id on the laptop.
    fn signal(&self, name: &str) {
        let pid = self.marker()["pid"].to_string();
        let done = self
            .lab
            .shell(ALICE, "laptop", &format!("kill -{name} {pid}"));
        assert_eq!(done.code, 0, "{}", done.text);
    }

    /// Ctrl-C; then nothing may be left of it.
    pub fn interrupt(self) -> String {
        self.signal("INT");
        let (lab, profile) = (self.lab, self.profile.clone());
        let (code, output) = self.finish();
        assert_eq!(code, 0, "{output}");
        assert_nothing_left(lab, &profile);
        output
    }
}

fn collect(stream: impl Read + Send + 'static, output: &Arc<Mutex<String>>) {
    let output = Arc::clone(output);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut text = output.lock().expect("no panic");
            text.push_str(&line);
            text.push('\n');
        }
    });
}

/// Runs a connect to its end.
fn refused(lab: &Lab, args: &[&str]) -> (i32, String) {
    Connect::start(lab, "", args).finish()
}

/// No profile, no control socket and no ssh is left on the laptop, and no script on the login node.
fn assert_nothing_left(lab: &Lab, profile: &str) {
    let dir = lab.laptop_home(format!(".ipython/profile_{profile}"));
    assert!(!dir.exists(), "{} is left", dir.display());
    let left = lab.shell(
        ALICE,
        "laptop",
        "ls -d /tmp/ipjob-connect-* 2>/dev/null; ps -o args= -u alice | grep '^ssh '",
    );
    assert_eq!(left.text, "");
    wait_for("the end of the script on the login node", || {
        let scripts = lab.shell(
            ALICE,
            "login",
            "ps -o args= -u alice | grep -c '^/bin/sh -s'",
        );
        (scripts.text.trim() == "0").then_some(())
    });
}

/// Adds lines to the configuration of a machine's sshd, which counts for new connections.
fn configure_sshd(lab: &Lab, machine: &str, lines: &str) {
    let path = lab.run_of(machine, "ssh/sshd_config");
    let text = fs::read_to_string(&path).expect("a configuration");
    // Of two settings the first one counts.
    fs::write(&path, format!("{lines}\n{text}")).expect("written");
    let listening = lab.sshd_log(machine).matches("Server listening").count();
    let done = lab.shell("root", machine, "kill -HUP $(cat /run/sshd.pid)");
    assert_eq!(done.code, 0, "{}", done.text);
    wait_for("sshd to listen again", || {
        (lab.sshd_log(machine).matches("Server listening").count() > listening).then_some(())
    });
}

/// Cuts the connection of the laptop at the login node: its sshd ends.
fn cut(lab: &Lab) {
    let done = lab.shell(
        "root",
        "login",
        "kill $(ps -o pid=,args= -u alice | sed -n 's/^ *\\([0-9]*\\) sshd\\(-session\\)*: alice.*/\\1/p')",
    );
    assert_eq!(done.code, 0, "{}", done.text);
}

/// The status of a GET from the laptop.
fn status(lab: &Lab, url: &str) -> String {
    let code = format!(
        "import urllib.request as r\nprint(r.urlopen({:?}, timeout=30).status)",
        url.replacen("/lab?", "/api/status?", 1)
    );
    lab.python("laptop", &code)
}

fn views(lab: &Lab, profile: &str) -> String {
    lab.python("laptop", &VIEWS.replace('$', profile))
}
