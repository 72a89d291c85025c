//! Processes that SIGKILL does not end, because a file system that is frozen has them in its hands: they are waited for.

use super::engine;
use super::frozen::Freezer;
use super::unmounted::client;
use crate::healing::{child_of, children_of, pid_of, send};
use crate::support::{Job, Place, carriers, venv, wait_for};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::process::{Child, Command, Stdio};

/// Whether a thread of the process is in uninterruptible sleep.
fn hangs(pid: u32) -> Option<()> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut lines = tasks.flatten().filter_map(|task| {
        let line = fs::read_to_string(task.path().join("stat")).ok()?;
        Some(line.rsplit_once(") ")?.1.starts_with('D'))
    });
    lines.any(|hangs| hangs).then_some(())
}

/// What is said of them, once; then the home comes back, and with it the service, and the engines have their data.
fn recovers(freezer: &Freezer, job: &mut Job, service: &str) {
    job.wait_line("in uninterruptible sleep (D); its replacement waits for it to end");
    freezer.thaw();
    job.wait_line(&format!("{service} ready again"));
    let after = wait_for("the restart", || {
        let record = job.record()?;
        (record["restarts"][service] == 1).then_some(record)
    });
    client(&freezer.0, &after, "pull");
    let transcript = job.stop();
    let said = transcript.matches("(D); its replacement").count();
    assert_eq!(said, 1, "{transcript}");
}

#[test]
fn a_controller_is_waited_for_and_then_replaced() {
    let venv = needed!(venv("main"));
    let freezer = needed!(Freezer::in_place(Place::with_venv(&venv)));
    let mut job = freezer.0.job(&["--mode", "cluster-only", "-n", "2"]);
    let _thaw = freezer.thaws();
    let before = job.wait_ready();
    client(&freezer.0, &before, "push");
    freezer.freeze();
    // The heart monitor, a child of the main process, writes a line of log about a heart that is silent. Of an end the main process
    // itself, the hub, would write, and hang.
    let silent = engine(&before, 1);
    send(silent, Signal::SIGSTOP);
    let controller = pid_of(&before["controller"]["pid"]);
    wait_for("a heart monitor that hangs", || {
        children_of(controller).into_iter().find_map(hangs)
    });
    send(controller, Signal::SIGKILL);
    send(silent, Signal::SIGCONT);
    recovers(&freezer, &mut job, "controller");
}

/// Has Jupyter start a kernel, which runs what the user wants at its start first.
fn starts_a_kernel(record: &Value) -> Child {
    let code = "
import sys, urllib.request
base, _, token = sys.argv[1].partition('lab?token=')
headers = {'Authorization': f'token {token}', 'Content-Type': 'application/json'}
urllib.request.urlopen(urllib.request.Request(base + 'api/kernels', b'{}', headers, method='POST'))
";
    Command::new("python3")
        .args(["-c", code, record["url"].as_str().expect("a URL")])
        .stderr(Stdio::null())
        .spawn()
        .expect("python")
}

#[test]
fn what_a_jupyter_leaves_is_waited_for_before_another_one_starts() {
    let venv = needed!(venv("main"));
    let freezer = needed!(Freezer::in_place(Place::with_venv(&venv)));
    let startup = freezer.0.path.join(".ipython/profile_default/startup");
    fs::create_dir_all(&startup).expect("a directory");
    let written = freezer.0.path.join("written");
    let endless = format!("while True:\n    open({written:?}, 'w').write('x')\n");
    fs::write(startup.join("endless.py"), endless).expect("written");
    let mut job = freezer.0.job(&["--mode", "notebook", "-n", "2"]);
    let _thaw = freezer.thaws();
    let before = job.wait_ready();
    client(&freezer.0, &before, "push");
    let begun = starts_a_kernel(&before).wait();
    assert!(begun.is_ok_and(|status| status.success()));
    wait_for("a kernel", || written.exists().then_some(()));
    freezer.freeze();
    let id = before["incarnation"]["id"].as_str().expect("an id");
    wait_for("a kernel that hangs", || {
        carriers(id).into_iter().find_map(|(pid, _)| hangs(pid))
    });
    send(child_of(job.pid(), "jupyter-lab"), Signal::SIGKILL);
    recovers(&freezer, &mut job, "jupyter");
}
