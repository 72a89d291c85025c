//! Memory runs out: the kernel kills, and ipjob tells whom and why.

use super::{pid_of, send};
use crate::support::{Job, Needed, Place, Skipped, venv, wait_for};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const MIB: u64 = 1 << 20;

/// What a program does that needs more than there is; it stops long before a machine without a limit is full.
const GREEDY: &str = "hoard = [bytearray(b'x') * (16 << 20) for _ in range(200)]";

/// A control group of the test's own, with a limit of memory. It is removed with the test.
struct Group {
    directory: PathBuf,
    limit: &'static str,
    usage: &'static str,
}

impl Group {
    /// `None` where none can be made, which is said.
    fn new(name: &str) -> Needed<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let one = own.lines().find_map(|line| line.split_once(":memory:/"));
        let top = one.map_or_else(
            || PathBuf::from("/sys/fs/cgroup"),
            |(_, path)| Path::new("/sys/fs/cgroup/memory").join(path),
        );
        let [limit, usage] = match one {
            Some(_) => ["memory.limit_in_bytes", "memory.usage_in_bytes"],
            None => ["memory.max", "memory.current"],
        };
        let directory = top.join(format!("ipjob-test-{name}-{}", std::process::id()));
        let made = fs::create_dir(&directory);
        let group = made.is_ok().then_some(Self {
            directory,
            limit,
            usage,
        });
        group
            .filter(|group| group.directory.join(limit).exists())
            .ok_or_else(|| {
                Skipped::for_want_of("no control group with a limit of memory can be made here")
            })
    }

    /// Has a command run in it.
    fn run(&self, place: &Place, command: &Command) -> Command {
        let mut inside = place.command("sh");
        inside
            .args(["-c", "echo $$ >\"$0\" && exec \"$@\""])
            .arg(self.directory.join("cgroup.procs"))
            .arg(command.get_program())
            .args(command.get_args());
        inside
    }

    /// Sets the limit, as far above what is used as told, and returns it in MiB.
    fn leave(&self, mib: u64) -> u64 {
        let used = fs::read_to_string(self.directory.join(self.usage)).expect("a number");
        let used: u64 = used.trim().parse().expect("a number");
        let limit = used / MIB + mib;
        fs::write(self.directory.join(self.limit), (limit * MIB).to_string()).expect("a limit");
        limit
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that has ended leaves it a moment later.
        wait_for("the end of all in the group", || {
            fs::remove_dir(&self.directory).ok()
        });
    }
}

fn warnings(record: &Value) -> Vec<String> {
    let list = record["warnings"].as_array().expect("a list");
    list.iter()
        .map(|line| line.as_str().expect("text").to_owned())
        .collect()
}

#[test]
fn an_engine_that_took_too_much_memory_is_told_with_node_and_limit() {
    let venv = needed!(venv("main"));
    let group = needed!(Group::new("engine"));
    let place = Place::with_venv(&venv);
    let args = ["--mode", "cluster-only", "-n", "3"];
    let mut job = Job::spawn(&place, "job_local", group.run(&place, &place.ipjob(args)));
    let before = job.wait_ready();
    let limit = group.leave(200);
    let pid = pid_of(&before["engines"]["list"][1]["pid"]);
    let code = format!(
        "import ipyparallel as ipp\nrc = ipp.Client(profile='job_local')\ntry:\n    rc[1].execute({GREEDY:?}).get(60)\nexcept ipp.error.RemoteError as error:\n    print('lost:', error)"
    );
    let client = place
        .command("timeout")
        .arg("100")
        .arg(venv.join("bin/python"))
        .args(["-c", &code])
        .output()
        .expect("timeout");
    assert!(client.stdout.starts_with(b"lost: "), "{client:?}");
    let host = before["host"].as_str().expect("a name");
    let told = format!(
        "engine 1 (pid {pid}): the kernel's out-of-memory killer ended it on {host}, where the memory limit is {limit} MiB; ask Slurm for more memory"
    );
    job.wait_line(&told);
    // Another one that a person kills is not said to have been short of memory.
    let other = pid_of(&before["engines"]["list"][0]["pid"]);
    send(other, Signal::SIGKILL);
    job.wait_line(&format!(
        "engine 0 (pid {other}) ended with signal 9 (SIGKILL)"
    ));
    let record = wait_for("both ends", || {
        job.record()
            .filter(|record| record["engines"]["missing"] == serde_json::json!([0, 1]))
    });
    let memory: Vec<String> = warnings(&record)
        .into_iter()
        .filter(|line| line.contains("out-of-memory"))
        .collect();
    assert_eq!(memory.len(), 1, "{memory:?}");
    assert!(memory[0].starts_with(&told), "{memory:?}");
    job.stop();
}

#[test]
fn the_end_of_a_driver_for_want_of_memory_is_the_reason() {
    let group = needed!(Group::new("driver"));
    let place = Place::with_fakes();
    let limit = group.leave(300);
    let words =
        "driver ended with signal 9 (SIGKILL): the kernel's out-of-memory killer ended it on ";
    let args = ["--mode", "cluster-only", "-n", "1", "--"];
    let driver = ["/usr/bin/python3", "-c", GREEDY];
    let command = place.ipjob(args.iter().chain(&driver));
    let mut job = Job::spawn(&place, "job_local", group.run(&place, &command));
    assert_eq!(job.finish().0, 137);
    let reason = job.record().expect("a record")["reason"].clone();
    let reason = reason.as_str().expect("text");
    assert!(reason.starts_with(words), "{reason}");
    assert!(
        reason.ends_with(&format!("the memory limit is {limit} MiB")),
        "{reason}"
    );
    job.assert_nothing_left();
}

#[test]
fn a_scheduler_that_the_kernel_killed_is_told_with_the_limit_and_the_controller_replaced() {
    let venv = needed!(venv("main"));
    let group = needed!(Group::new("scheduler"));
    let place = Place::with_venv(&venv);
    let args = ["--mode", "cluster-only", "-n", "1"];
    let mut job = Job::spawn(&place, "job_local", group.run(&place, &place.ipjob(args)));
    let record = job.wait_ready();
    let hub = pid_of(&record["controller"]["pid"]);
    let scheduler = *super::children_of(hub).last().expect("nine");
    // The first that the kernel takes, whoever asks for too much.
    fs::write(format!("/proc/{scheduler}/oom_score_adj"), "1000").expect("ours");
    let limit = group.leave(100);
    let mut other = place.command("/usr/bin/python3");
    other.args(["-c", GREEDY]);
    let greedy = group.run(&place, &other).status().expect("it starts");
    assert!(!greedy.success(), "it is the next");
    let text = job.wait_line("the controller's process for");
    let told = format!(
        "(pid {scheduler}) has died: the kernel's out-of-memory killer ended it on {}, where the memory limit is {limit} MiB; restarting it (1 of 5)",
        record["host"].as_str().expect("a name")
    );
    assert!(text.contains(&told), "{text}\n{told}");
    super::wait_replaced(&job, "controller", 1);
    job.stop();
}
