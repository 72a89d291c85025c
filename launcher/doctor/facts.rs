//! What a machine and its software are, and what a process may use of it: facts for a report, none of which is a fault by itself.

use crate::failure::Failure;
use crate::here::os::run_program::ask;
use crate::here::os::{memory, time_limited};
use crate::here::site::{identity, packages};
use nix::sys::statvfs::statvfs;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Packages of the engines' Python that decide how a job goes.
const PACKAGES: [&str; 12] = [
    "ipyparallel",
    "ipykernel",
    "jupyterlab",
    "notebook",
    "jupyter_server",
    "jupyter_client",
    "jupyterhub",
    "pyzmq",
    "tornado",
    "traitlets",
    "mpi4py",
    "numpy",
];

/// How long a program may take to answer.
const LIMIT: Duration = Duration::from_secs(10);

/// A GiB.
const GIB: u64 = 1 << 30;

/// Versions of the system and of all that a job uses, a line each.
pub fn versions(ipengine: Option<&Path>) -> Vec<String> {
    let mut lines = vec![
        line("ipjob", &own()),
        line("kernel", &first_line("uname", &["-srm"])),
        line("system", &system()),
    ];
    if let Some(ipengine) = ipengine {
        let python = packages::python_of(ipengine).map_or_else(
            || "behind a wrapper".to_owned(),
            |python| {
                let version = first_line(&python, &["-V"]);
                format!("{version} ({})", python.display())
            },
        );
        lines.push(line("python", &python));
        for package in PACKAGES {
            if let Some(version) = packages::installed(ipengine, package) {
                lines.push(line(package, &version.to_string()));
            }
        }
    }
    lines.extend([
        line("ssh", &first_line("ssh", &["-V"])),
        line("sbatch", &first_line("sbatch", &["--version"])),
    ]);
    lines
}

/// What this process, and so a job that is started here, may use.
pub fn limits(directories: &[PathBuf]) -> Vec<String> {
    let mut lines = vec![line(
        "CPUs",
        &format!("{} for this process", identity::cpus()),
    )];
    let told = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = told
        .lines()
        .filter(|line| line.starts_with("Mem") || line.starts_with("Swap"));
    lines.extend(memory.map(str::to_owned));
    // The groups of the node and of the job alike; a limit can be set in each.
    for (controller, files) in [
        (
            "memory",
            &[
                "memory.max",
                "memory.high",
                "memory.swap.max",
                "memory.limit_in_bytes",
            ][..],
        ),
        ("pids", &["pids.max"]),
        ("cpu", &["cpu.max", "cpu.cfs_quota_us"]),
        ("cpuset", &["cpuset.cpus"]),
    ] {
        lines.extend(memory::limits_of(controller, files));
    }
    for file in ["pid_max", "threads-max"] {
        if let Ok(text) = fs::read_to_string(format!("/proc/sys/kernel/{file}")) {
            lines.push(line(file, text.trim()));
        }
    }
    // `ulimit -a` of all this.
    lines.extend(
        fs::read_to_string("/proc/self/limits")
            .unwrap_or_default()
            .lines()
            .map(str::to_owned),
    );
    lines.push(String::new());
    lines.extend(directories.iter().map(|directory| space(directory)));
    let quota = ask(Command::new("quota").arg("-w"), LIMIT);
    if quota.code.is_some() && !quota.output.trim().is_empty() {
        lines.push(quota.output.trim_end().to_owned());
    } else {
        lines.push("quotas: `quota` shows none here".to_owned());
    }
    lines
}

/// Name and value, in two columns.
fn line(name: &str, value: &str) -> String {
    format!("{name:<15} {value}")
}

/// The version of this program, what it was built for, and where it lies.
fn own() -> String {
    let place = std::env::current_exe()
        .map_or_else(|error| error.to_string(), |path| path.display().to_string());
    format!(
        "{} for {} {} ({place})",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS
    )
}

/// The name of the distribution.
fn system() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    match name {
        Some(name) => name.trim_matches('"').to_owned(),
        None => first_line("sw_vers", &["-productVersion"]),
    }
}

/// The first line that a program prints, to either stream (`ssh -V` takes stderr), or why there is none.
fn first_line(program: impl AsRef<Path>, args: &[&str]) -> String {
    let answer = ask(Command::new(program.as_ref()).args(args), LIMIT);
    let mut lines = answer.output.lines().chain(answer.errors.lines());
    let found = lines.find(|line| !line.trim().is_empty());
    found.map_or_else(|| "no answer".to_owned(), |line| line.trim().to_owned())
}

/// How much room a directory's file system has, and of what kind it is. Who asks one that hangs is not waited for.
#[allow(
    clippy::useless_conversion,
    reason = "the counts of macOS have 32 bits"
)]
fn space(directory: &Path) -> String {
    let asked = directory.to_owned();
    let told = time_limited::within(time_limited::LOOK, move || statvfs(&asked));
    let seen = match told {
        None => "its file system does not answer".to_owned(),
        Some(Err(error)) => Failure::missing("its free space cannot be read")
            .because(error)
            .to_string(),
        Some(Ok(found)) => {
            let size = found.fragment_size();
            let gib = |blocks: u64| blocks.saturating_mul(size) / GIB;
            format!(
                "{} of {} GiB free, {} of {} files free{}",
                gib(found.blocks_available().into()),
                gib(found.blocks().into()),
                found.files_available(),
                found.files(),
                kind(directory).map_or_else(String::new, |kind| format!(", {kind}"))
            )
        }
    };
    format!("{}: {seen}", directory.display())
}

/// The type of the file system that a directory is on, by its longest mount point.
fn kind(directory: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let found = mounts.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?;
        directory
            .starts_with(point)
            .then(|| (point.len(), kind.split(' ').next()))
    });
    // The last of equal ones is on top.
    let (_, kind) = found.max_by_key(|(length, _)| *length)?;
    kind.map(str::to_owned)
}
