//! `ipjob ssh`: sessions inside real jobs (tests/lab), by the machine's own ssh and sshd.

mod editor;
mod ends;
mod transfer;
mod whole;

use crate::support::{
    Lab,
    lab::{ALICE, SlurmJob},
    wait_for,
};
use std::io::Read;
use std::process::{Child, Stdio};
use std::thread::{self, JoinHandle};

/// What only alice's processes may know.
const SECRET: &str = "alices-own-7f3c";

/// A job of two nodes whose script has set what a module or conda would set.
pub fn start(lab: &Lab) -> SlurmJob<'_> {
    let body = format!(
        "export MARKER='of the script' SECRET={SECRET}\ngreet() {{ echo \"hello $1\"; }}\nexport -f greet\nexec ipjob --mode cluster-only --mpi none"
    );
    let job = lab.submit(&["-N2", "--ntasks-per-node=1"], &body);
    job.wait_state("ready");
    job
}

/// A session that runs.
pub struct Session {
    child: Child,
    output: Option<JoinHandle<String>>,
    errors: Option<JoinHandle<String>>,
}

impl Session {
    /// Starts it on this machine, and waits until its command, which must make this file there, is running.
    pub fn start(lab: &Lab, machine: &str, args: &[&str]) -> Self {
        let mut child = lab
            .on(ALICE, machine)
            .args(["ipjob", "ssh"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("lab runs");
        Self {
            output: child.stdout.take().map(collect),
            errors: child.stderr.take().map(collect),
            child,
        }
    }

    /// Waits for its end: the exit code, what it printed, and what was said.
    pub fn finish(mut self) -> (i32, String, String) {
        let code = wait_for("the end of the session", || {
            self.child
                .try_wait()
                .expect("a child")
                .map(|status| status.code())
        });
        let text = |reader: Option<JoinHandle<String>>| {
            let reader = reader.expect("it was piped");
            reader.join().expect("no panic")
        };
        (
            code.unwrap_or(-1),
            text(self.output.take()),
            text(self.errors.take()),
        )
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Waits until a session has made a file of this name in alice's home on the cluster.
pub fn wait_for_file(lab: &Lab, name: &str) {
    wait_for(name, || lab.home(name).exists().then_some(()));
}

/// No key, no process and no step is left of sessions, wherever they began.
pub fn assert_nothing_left(lab: &Lab, job: &SlurmJob) {
    for machine in ["laptop", "login", "node1", "node2"] {
        wait_for(&format!("the end of all sessions on {machine}"), || {
            let processes = "ps -o args= -u alice | grep -E '(^|/)(ipjob (ssh|sshd|session)|ssh|sshd|srun|sh -s) ?' | grep -v -e ipjob-engines -e sshd:";
            let left = lab.shell(ALICE, machine, processes);
            left.text.is_empty().then_some(())
        });
    }
    for state in [
        lab.home(".local/state/ipjob/ssh"),
        lab.laptop_home(".local/state/ipjob/ssh"),
    ] {
        wait_for("the end of all keys", || (!state.exists()).then_some(()));
    }
    // The job's own key goes with the job.
    if let Ok(files) = std::fs::read_dir(job.profile("ipjob-runtime/ssh")) {
        let names: Vec<_> = files.flatten().map(|file| file.file_name()).collect();
        assert_eq!(names, ["host"]);
    }
}
