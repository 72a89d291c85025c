//! What holds of every run that fails, and a user without root's rights to fail as.

use super::{Job, Place, binary, processes_with, wait_for};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Who tests of permissions run as where the tests are root's.
pub const NOBODY: u32 = 65534;

impl Job {
    /// Waits for the end, which must come with this exit code and with one error that tells all these parts and what to do
    /// next. Returns all lines.
    pub fn fails(&mut self, code: i32, parts: &[&str]) -> String {
        let (found, transcript) = self.finish();
        assert_eq!(found, code, "the exit code:\n{transcript}");
        let errors = transcript
            .lines()
            .filter(|line| line.starts_with("error:"))
            .count();
        assert_eq!(errors, 1, "one error:\n{transcript}");
        let (_, error) = transcript.split_once("error:").expect("just counted");
        for part in parts {
            assert!(error.contains(part), "{part:?} is not told:\n{transcript}");
        }
        assert!(
            error.contains("hint:") || error.contains("--help"),
            "no hint:\n{transcript}"
        );
        transcript
    }
}

impl Place {
    /// Checks that no process of this place runs: none has its home here.
    pub fn assert_deserted(&self) {
        let home = format!("HOME={}", self.dir().display());
        assert_eq!(processes_with(&home), [], "processes are left");
    }

    /// Checks that nothing was started and no profile was made.
    pub fn assert_untouched(&self) {
        let log = self.fake_log();
        assert!(log.is_empty(), "programs were started: {log:?}");
        let profiles: Vec<_> = fs::read_dir(self.ipython_dir())
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        assert!(profiles.is_empty(), "made: {profiles:?}");
        self.assert_deserted();
    }

    /// ipjob as a user who is not root: as ourselves if we are not, else as nobody, who gets this place with copies of all
    /// programs (a checkout below /root is closed to them).
    pub fn ipjob_as_user(&self, args: &[&str]) -> Command {
        if !nix::unistd::geteuid().is_root() {
            return self.ipjob(args);
        }
        let program = self.dir().join("ipjob");
        copy(&binary(), &program);
        let bin = self.dir().join("bin");
        for entry in fs::read_dir(&bin).expect("bin").flatten() {
            copy(&entry.path(), &entry.path());
        }
        let fakes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fakes/fakes.py");
        copy(&fakes, &bin.join("fakes.py"));
        give(self.dir(), NOBODY);
        let mut command = self.command(program);
        command.args(args).uid(NOBODY).gid(NOBODY);
        command
    }
}

/// Copies a program, also over a link to it. By `cp`: while this process writes a file, another test's fork has it open too,
/// and then it cannot be run ("Text file busy").
fn copy(from: &Path, to: &Path) {
    let source = fs::canonicalize(from).expect("a file");
    let copied = Command::new("cp")
        .arg("--remove-destination")
        .args([source.as_path(), to])
        .status();
    assert!(
        copied.is_ok_and(|status| status.success()),
        "cp {}",
        to.display()
    );
}

/// Gives a directory and all in it to a user.
fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).expect("we are root");
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a directory").flatten() {
            give(&entry.path(), user);
        }
    }
}

/// Sets a file's permissions.
pub fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

/// Waits until a fake program has logged this.
pub fn wait_fake(place: &Place, line: &str) {
    wait_for(&format!("the fakes' line {line:?}"), || {
        place
            .fake_log()
            .iter()
            .any(|found| found.contains(line))
            .then_some(())
    });
}
