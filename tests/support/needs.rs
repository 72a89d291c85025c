//! What a test needs of the machine, and that it is never missed when a test did not run for want of it.
//!
//! Whoever looks for such a thing returns [`Needed`], and a test takes it with `let lab = needed!(Lab::up(&[]));`, which ends the
//! test where the thing lacks; between the two, `?` hands on. There is no other way to leave a test early (`tests/source_rules.rs`
//! looks for them). With `IPJOB_TEST_REQUIRE` set, which .ci/run does, what lacks fails the test; without it, each test that was
//! skipped is noted in the file that `IPJOB_TEST_SKIPPED` names, and `make test` ends with the list.
//!
//! A test that takes minutes needs nothing but time: it is `#[ignore = "make test LONG=1"]`.

use std::env;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// The proof that it was noted, or allowed, that a test does not run.
#[derive(Debug)]
pub struct Skipped(());

/// What a test needs, or the proof.
pub type Needed<T> = Result<T, Skipped>;

impl Skipped {
    /// Notes that the test is skipped, in whole or in part, and what it lacks.
    ///
    /// # Panics
    /// Where nothing may lack.
    pub fn for_want_of(lacking: impl Display) -> Self {
        let test = test_name();
        assert!(
            env::var_os("IPJOB_TEST_REQUIRE").is_none(),
            "{test} is not run, and IPJOB_TEST_REQUIRE is set: {lacking}"
        );
        eprintln!("skipped: {lacking}");
        if let Some(list) = env::var_os("IPJOB_TEST_SKIPPED") {
            let mut list = OpenOptions::new()
                .create(true)
                .append(true)
                .open(list)
                .expect("the list of skipped tests");
            // One write, so that those of several tests do not mix.
            list.write_all(format!("{lacking}\t{test}\n").as_bytes())
                .expect("the list of skipped tests");
        }
        Self(())
    }
}

/// Takes what a test needs, or ends the test.
macro_rules! needed {
    ($what:expr) => {
        match $what {
            Ok(has) => has,
            Err($crate::support::Skipped { .. }) => return,
        }
    };
}

/// The test that asks: its thread has its name, and a runner that has one process for each says it as well.
fn test_name() -> String {
    let thread = std::thread::current();
    match (thread.name(), env::var("NEXTEST_TEST_NAME")) {
        (_, Ok(name)) => name,
        (Some(name), _) => name.to_owned(),
        (None, _) => "a test".to_owned(),
    }
}

/// A file or directory that `make test` makes and names in a variable.
pub fn made(variable: &str) -> Needed<PathBuf> {
    env::var_os(variable).map(PathBuf::from).ok_or_else(|| {
        Skipped::for_want_of(format_args!("{variable} is not set (make test sets it)"))
    })
}

/// A virtual environment that `make test` made.
pub fn venv(name: &str) -> Needed<PathBuf> {
    made(&format!("IPJOB_TEST_VENV_{}", name.to_uppercase()))
}

/// A program of the system's, under the first of these names that is in one of these directories.
pub fn program(directories: &[&str], names: &[&str]) -> Needed<PathBuf> {
    names
        .iter()
        .flat_map(|name| {
            directories
                .iter()
                .map(move |dir| PathBuf::from(dir).join(name))
        })
        .find(|path| path.exists())
        .ok_or_else(|| {
            Skipped::for_want_of(format_args!(
                "there is no {} in {} (make test installs it where it can)",
                names.join(" and no "),
                directories.join(" or ")
            ))
        })
}

/// Variables may name GPUs that are not here: nothing is known of any.
pub fn pretended_gpus() -> Needed<()> {
    if std::path::Path::new("/proc/driver/nvidia/gpus").exists() {
        return Err(Skipped::for_want_of(
            "this machine has GPUs, and the test pretends others",
        ));
    }
    Ok(())
}

/// Root's rights.
pub fn root() -> Needed<()> {
    if nix::unistd::geteuid().is_root() {
        Ok(())
    } else {
        Err(Skipped::for_want_of("we are not root"))
    }
}

/// The right to mount file systems, in a mount namespace of one's own.
pub fn mounts() -> Needed<()> {
    let tried = Command::new("unshare")
        .args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/tmp"])
        .output();
    if tried.is_ok_and(|output| output.status.success()) {
        Ok(())
    } else {
        Err(Skipped::for_want_of("no file system may be mounted here"))
    }
}
