//! What tests share: a place of their own, ipjob running in it, and facts to wait for.
//!
//! What not every machine has (an environment, a lab, root's rights, a program) is taken with `needed!`, as
//! `let venv = needed!(venv("main"));`: see needs.rs.

mod ended;
mod failing;
mod job;
pub mod lab;
#[macro_use]
mod needs;
pub mod pictures;
mod place;

pub use ended::assert_nothing_left;
pub use failing::{NOBODY, chmod, wait_fake};
pub use job::Job;
pub use lab::Lab;
pub use needs::{Needed, Skipped, made, mounts, pretended_gpus, program, root, venv};
pub use place::Place;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest that any fact is waited for: far beyond what a busy machine needs, so that only a defect meets it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A stand-in for the server of a hub's user, in Python: it runs a command, below a process that listens where the hub sends its user.
pub const HUB: &str = "
import os, socket, subprocess, sys
server = socket.create_server(('127.0.0.1', 0))
url = 'http://0.0.0.0:%d/user/alice/' % server.getsockname()[1]
sys.exit(subprocess.run(sys.argv[1:], env={**os.environ, 'JUPYTERHUB_SERVICE_URL': url}).returncode)
";

/// The program under test: the static binary where `make test` gives one, else cargo's own build.
pub fn binary() -> PathBuf {
    std::env::var_os("IPJOB_TEST_BINARY")
        .map_or_else(|| env!("CARGO_BIN_EXE_ipjob").into(), PathBuf::from)
}

/// Waits for a fact and returns it; `what` names it when it does not come.
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_within(PATIENCE, what, look)
}

/// The same for what takes longer by its nature.
pub fn wait_within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(fact) = look() {
            return fact;
        }
        assert!(
            begin.elapsed() < patience,
            "{what} did not come within {patience:?}"
        );
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// The processes that carry an incarnation in their environment, with their command lines.
pub fn carriers(incarnation: &str) -> Vec<(u32, String)> {
    processes_with(&format!("IPJOB_INCARNATION={incarnation}"))
}

/// The processes that have this entry, `NAME=value`, in their environment, with their command lines.
pub fn processes_with(wanted: &str) -> Vec<(u32, String)> {
    std::fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
                environment
                    .split(|byte| *byte == 0)
                    .any(|entry| entry == wanted.as_bytes())
            })
        })
        .map(|pid| (pid, command_line(pid)))
        .collect()
}

/// A process's argv, joined by spaces.
pub fn command_line(pid: u32) -> String {
    String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default())
        .replace('\0', " ")
}

/// A range of so many free ports, below those that the kernel hands out: `20000-20019`.
pub fn free_ports(size: u16) -> String {
    let mut candidates = (20_000..32_000).step_by(usize::from(size)).skip(
        // Two tests at once look at different ones.
        (std::process::id() % 500) as usize,
    );
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let first = wait_for("free ports", || {
        candidates
            .next()
            .filter(|first| (*first..first + size).all(free))
    });
    format!("{first}-{}", first + size - 1)
}
