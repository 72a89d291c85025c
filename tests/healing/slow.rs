//! A machine that is only slow: what is started again there takes as long as it takes.

use super::{pid_of, send};
use crate::support::{Job, Needed, Place, Skipped, venv};
use nix::sys::signal::Signal;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::id;

/// A control group with so little of a CPU.
struct Quota(PathBuf);

/// Where control groups with a quota can be made, and whether that is version 2: a hierarchy of version 1 may have taken the CPUs.
fn hierarchy() -> io::Result<(PathBuf, bool)> {
    let mounts = fs::read_to_string("/proc/mounts")?;
    let of = |kind: &str, option: &str| {
        mounts.lines().find_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [_, at, mounted, options, ..] = words[..] else {
                return None;
            };
            let fits = mounted == kind && options.split(',').any(|word| word == option);
            fits.then(|| PathBuf::from(at))
        })
    };
    let first = of("cgroup", "cpu").map(|top| (top, false));
    first
        .or_else(|| of("cgroup2", "rw").map(|top| (top, true)))
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl Quota {
    fn of(name: &str, percent: u32) -> Needed<Self> {
        Self::make(name, percent).map_err(|error| {
            Skipped::for_want_of(format_args!(
                "no control group with a quota can be made here: {error}"
            ))
        })
    }

    fn make(name: &str, percent: u32) -> io::Result<Self> {
        let (top, second) = hierarchy()?;
        if second {
            fs::write(top.join("cgroup.subtree_control"), "+cpu")?;
        }
        let path = top.join(format!("ipjob-test-{name}-{}", id()));
        fs::create_dir(&path)?;
        let quota = Self(path);
        let micros = percent * 1000;
        if second {
            fs::write(quota.0.join("cpu.max"), format!("{micros} 100000"))?;
            // Another kind takes no processes: that of a group that has processes beside this one.
            let kind = fs::read_to_string(quota.0.join("cgroup.type"))?;
            if kind.trim_end() != "domain" {
                return Err(io::Error::other(format!("a group here is {kind}")));
            }
        } else {
            fs::write(quota.0.join("cpu.cfs_period_us"), "100000")?;
            fs::write(quota.0.join("cpu.cfs_quota_us"), micros.to_string())?;
        }
        Ok(quota)
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // What is forked while the others are moved stays behind, so again until nothing is in it.
        for _ in 0..100 {
            let all = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
            for pid in all.lines() {
                let _ = fs::write(self.0.with_file_name("cgroup.procs"), pid);
            }
            if fs::remove_dir(&self.0).is_ok() {
                break;
            }
        }
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
    // The first start has it as well, on whatever machine this is, and the second takes longer in any case.
    let limit = "1m,controller=30s";
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
    job.wait_line("controller is not ready after 30 s, but is making progress: in ");
    // It would take most of a minute.
    drop(quota);
    job.wait_line("the hub knows 1 engines again");
    let record = job.wait_ready();
    assert_eq!(record["restarts"]["controller"], 1, "{}", job.transcript());
    job.stop();
}
