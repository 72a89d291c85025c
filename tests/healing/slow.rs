//! A machine that is only slow: what is started again there takes as long as it takes.

use super::{pid_of, send};
use crate::support::{Job, Needed, Place, Skipped, venv};
use nix::sys::signal::Signal;
use std::fs;
use std::path::PathBuf;
use std::process::id;

/// A control group with so little of a CPU.
struct Quota(PathBuf);

impl Quota {
    fn of(name: &str, percent: u32) -> Needed<Self> {
        let path = PathBuf::from(format!("/sys/fs/cgroup/cpu/ipjob-test-{name}-{}", id()));
        let micros = (percent * 1000).to_string();
        let made = fs::create_dir(&path)
            .and_then(|()| fs::write(path.join("cpu.cfs_period_us"), "100000"))
            .and_then(|()| fs::write(path.join("cpu.cfs_quota_us"), micros));
        match made {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(Skipped::for_want_of(format_args!(
                "no control group with a quota can be made here: {error}"
            ))),
        }
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        let all = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        for pid in all.lines() {
            let _ = fs::write("/sys/fs/cgroup/cpu/cgroup.procs", pid);
        }
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_controller_that_starts_slowly_again_is_not_cut_off() {
    let venv = needed!(venv("main"));
    let quota = needed!(Quota::of("slow", 1));
    let place = Place::with_venv(&venv);
    let slow = place.dir().join("slow");
    // ipjob itself keeps its CPU: its own limits would wait for it as well.
    let body = format!(
        "[ -e {} ] && echo $$ >{}/cgroup.procs\nexec {}/bin/ipcontroller \"$@\"",
        slow.display(),
        quota.0.display(),
        venv.display()
    );
    place.script("ipcontroller", &body);
    let limit = "1m,controller=15s";
    let args = [
        "--mode",
        "cluster-only",
        "-n",
        "1",
        "--start-timeout",
        limit,
    ];
    let mut job = Job::start(&place, &args);
    let before = job.wait_ready();
    fs::write(slow, "").expect("written");
    send(pid_of(&before["controller"]["pid"]), Signal::SIGKILL);
    job.wait_line("controller is not ready after 15 s, but is making progress: at ");
    // It would take most of a minute.
    drop(quota);
    job.wait_line("the hub knows 1 engines again");
    let record = job.wait_ready();
    assert_eq!(record["restarts"]["controller"], 1, "{}", job.transcript());
    job.stop();
}
