//! Does ipjob say so, or cope, where the machine gives little: files, space, memory, streams?

use crate::support::{Job, Place, mounts};
use nix::sys::stat::Mode;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const CLUSTER: &str = "--mode cluster-only -n 2";

/// ipjob started by a shell that first does something to itself, and is then replaced by ipjob.
fn ipjob_after(place: &Place, before: &str, redirections: &str) -> Command {
    let mut command = place.command("/bin/sh");
    command
        .arg("-c")
        .arg(format!(
            "{before}\nexec \"$IPJOB\" {CLUSTER} {redirections}"
        ))
        .env("IPJOB", crate::support::binary());
    command
}

/// The limits of open files of a process: soft and hard.
fn open_files(pid: &Value) -> (u64, u64) {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("it lives");
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .expect("a limit");
    let mut numbers = line
        .split_whitespace()
        .map(|word| word.parse().expect("a number"));
    (numbers.next().expect("soft"), numbers.next().expect("hard"))
}

#[test]
fn a_low_soft_limit_of_open_files_is_raised_for_services_and_said() {
    let place = Place::with_fakes();
    let command = ipjob_after(&place, "ulimit -Sn 64; ulimit -Hn 512", "");
    let mut job = Job::spawn(&place, "job_local", command);
    let record = job.wait_ready();
    assert_eq!(open_files(&record["controller"]["pid"]), (512, 512));
    // What runs the user's own code has the user's own limit.
    assert_eq!(open_files(&record["engines"]["list"][1]["pid"]), (64, 512));
    let lines = job.stop();
    let told = "the limit of open files was raised to 512 for the services";
    assert!(lines.contains(told), "{lines}");
}

#[test]
fn a_low_hard_limit_of_open_files_is_refused_with_the_numbers() {
    let place = Place::with_fakes();
    let command = ipjob_after(&place, "ulimit -n 64", "");
    let parts = [
        "2 engines need 68 open files",
        "the hard limit here is 64",
        "ulimit -Hn",
    ];
    Job::spawn(&place, "job_local", command).fails(4, &parts);
    place.assert_untouched();
}

#[test]
fn more_engines_than_memory_are_refused_with_the_number_that_fits() {
    let memory = fs::read_to_string("/proc/meminfo").expect("readable");
    let mut free: u64 = memory
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemAvailable:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .expect("a number");
    let place = Place::with_fakes();
    let mut command = place.ipjob(["--mode", "cluster-only", "-n", "10000"]);
    // A machine with memory for so many seems smaller to what runs in a mount namespace of its own.
    if free > 300 << 20 {
        needed!(mounts());
        free = 16 << 20;
        let small = place.dir().join("meminfo");
        fs::write(&small, format!("MemAvailable: {free} kB\n")).expect("written");
        let script = "mount --bind \"$0\" /proc/meminfo && exec \"$@\"";
        let ipjob = command;
        command = place.command("unshare");
        command.args(["-m", "sh", "-c", script]).arg(small);
        command.arg(ipjob.get_program()).args(ipjob.get_args());
    }
    let mut job = Job::spawn(&place, "job_local", command);
    let lines = job.fails(
        4,
        &["10000 engines need about 371.0 GB", "is the most that fits"],
    );
    let fits = lines
        .split_once("hint: -n ")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse::<u64>().ok())
        .expect("a number");
    assert!(fits >= 1 && fits <= 1 + 2 * free / (64 << 10), "{lines}");
    place.assert_untouched();
}

#[test]
fn closed_streams_are_no_hindrance() {
    for redirections in ["<&-", "<&- >&-", "<&- >&- 2>&-"] {
        let place = Place::with_fakes();
        let mut job = Job::spawn(&place, "job_local", ipjob_after(&place, "", redirections));
        job.wait_ready();
        job.stop();
        place.assert_deserted();
    }
}

#[test]
fn a_reader_of_stderr_that_goes_away_does_not_end_the_job() {
    let place = Place::with_fakes();
    let pipe = place.dir().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::from_bits_truncate(0o600)).expect("a pipe");
    let command = ipjob_after(&place, "", "2>pipe");
    let mut job = Job::spawn(&place, "job_local", command);
    let mut first = String::new();
    BufReader::new(File::open(&pipe).expect("a pipe"))
        .read_line(&mut first)
        .expect("a line");
    assert!(first.contains(" ready"), "{first}");
    job.wait_ready();
    job.stop();
    place.assert_deserted();
}

#[test]
fn an_error_that_nobody_reads_still_has_its_exit_code() {
    let place = Place::with_fakes();
    for (args, code) in [("--mode lab", 2), ("--mode cluster-only -n 2", 4)] {
        // The other end of the pipe is closed before ipjob writes.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let status = place
            .ipjob(args.split(' '))
            .env("FAKE_VERSION", "6.3.0")
            .stderr(Stdio::from(writer))
            .status()
            .expect("ipjob starts");
        assert_eq!(status.code(), Some(code), "{args}");
    }
}

/// Runs a short job on a file system of this size, which nobody else sees and which goes with it. Tells the exit code, the
/// lines, and the files that it left.
fn run_on_small_disk(place: &Place, kilobytes: u32) -> (i32, String, Vec<String>) {
    let script = format!(
        "mkdir small && mount -t tmpfs -o size={kilobytes}k tmpfs small || exit 99
        \"$IPJOB\" --ipython-dir small/dir --mode cluster-only -n 1 -- true
        code=$?
        find small/dir -type f >left
        exit $code"
    );
    let output = place
        .command("unshare")
        .args(["-m", "sh", "-c", &script])
        .env("IPJOB", crate::support::binary())
        .output()
        .expect("unshare starts");
    let code = output.status.code().expect("an exit code");
    let lines = String::from_utf8_lossy(&output.stderr).into_owned();
    let left = fs::read_to_string(place.dir().join("left")).expect(&lines);
    (code, lines, left.lines().map(str::to_owned).collect())
}

#[test]
fn wherever_in_the_start_the_disk_is_full_that_is_told_and_no_secret_is_left() {
    needed!(mounts());
    let mut codes = Vec::new();
    for kilobytes in (4..=48).step_by(4).chain([1024]) {
        let place = Place::with_fakes();
        let (code, lines, left) = run_on_small_disk(&place, kilobytes);
        codes.push(code);
        let secrets: Vec<_> = left
            .iter()
            .filter(|name| {
                ["session.key", "-client.json", "-engine.json"]
                    .iter()
                    .any(|secret| name.ends_with(secret))
                    || name.contains(".ipjob-writing-")
            })
            .collect();
        assert!(secrets.is_empty(), "{kilobytes} kB: {secrets:?}\n{lines}");
        place.assert_deserted();
        if code != 0 {
            assert!(
                lines.contains("No space left on device"),
                "{kilobytes} kB:\n{lines}"
            );
            assert_eq!(
                lines.matches("error:").count(),
                1,
                "{kilobytes} kB:\n{lines}"
            );
            assert!(lines.contains("hint:"), "{kilobytes} kB:\n{lines}");
        }
    }
    assert_eq!(codes.first(), Some(&4), "too small for anything: {codes:?}");
    assert_eq!(codes.last(), Some(&0), "large enough: {codes:?}");
}
