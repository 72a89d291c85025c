//! A directory of a test's own: home, IPython directory, programs.

use super::binary;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// ipjob's variable for how engines are started.
pub const WAY: &str = "IPJOB_ENGINE_START";

/// How engines are started where a test does not say it: `IPJOB_TEST_ENGINE_START=exec` runs every test of engines in the other way.
pub fn engine_start() -> Option<String> {
    let way = std::env::var("IPJOB_TEST_ENGINE_START").ok();
    way.filter(|way| !way.is_empty())
}

/// A test's own place; it goes with the test.
pub struct Place {
    dir: tempfile::TempDir,
    path: Vec<PathBuf>,
    /// How its engines are started where a test does not say it.
    engine_start: Option<String>,
}

impl Place {
    /// An empty place: no program of ipyparallel or Jupyter is on PATH.
    pub fn empty() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("ipjob-test-")
            .tempdir()
            .expect("a directory");
        fs::create_dir(dir.path().join("bin")).expect("bin");
        let path = vec![dir.path().join("bin")];
        Self {
            dir,
            path,
            engine_start: engine_start(),
        }
    }

    /// A place whose programs are a virtual environment's.
    pub fn with_venv(venv: &Path) -> Self {
        let mut place = Self::empty();
        place.path.push(venv.join("bin"));
        place
    }

    /// A place whose programs are the fakes of tests/fakes: they behave well unless a variable tells them otherwise, and
    /// log what happens to them to the file that [`Place::fake_log`] reads.
    pub fn with_fakes() -> Self {
        let mut place = Self::empty();
        // Their Python has nothing that could be imported for all.
        place.engine_start = Some("exec".to_owned());
        for program in ["ipcontroller", "ipengine", "jupyter-lab"] {
            place.link_fake(program, program);
        }
        place
    }

    /// Puts one fake on PATH under a name.
    pub fn link_fake(&self, fake: &str, name: &str) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fakes")
            .join(fake);
        symlink(source, self.dir.path().join("bin").join(name)).expect("link");
    }

    /// Puts a shell script on PATH, in place of a fake of that name.
    pub fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.dir.path().join("bin").join(name);
        // A fake of that name is a link into the sources: replaced, never written through.
        let _ = fs::remove_file(&path);
        let text = format!("#!/bin/sh\n{body}\n");
        // Written by a program of its own: while this process has the file open, another test's fork would have it too, and
        // then it cannot be run ("Text file busy").
        let written = Command::new("sh")
            .args(["-c", "printf %s \"$1\" >\"$0\""])
            .arg(&path)
            .arg(text)
            .status();
        assert!(written.is_ok_and(|status| status.success()), "script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
        path
    }

    /// The place itself; it is HOME.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The IPython directory of jobs started here.
    pub fn ipython_dir(&self) -> PathBuf {
        self.dir.path().join(".ipython")
    }

    /// The directory of a profile.
    pub fn profile(&self, name: &str) -> PathBuf {
        self.ipython_dir().join(format!("profile_{name}"))
    }

    /// What the fakes logged, a line each.
    pub fn fake_log(&self) -> Vec<String> {
        fs::read_to_string(self.dir.path().join("fakes.log"))
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// A program with this place's environment and no other.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let path = self
            .path
            .iter()
            .map(PathBuf::as_path)
            .chain([Path::new("/usr/bin"), Path::new("/bin")]);
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::join_paths(path).expect("no colon"))
            .env("HOME", self.dir.path())
            .env("LANG", "C.UTF-8")
            .env("FAKE_LOG", self.dir.path().join("fakes.log"))
            .envs(self.engine_start.iter().map(|way| (WAY, way)))
            .current_dir(self.dir.path());
        command
    }

    /// ipjob with this place's environment.
    pub fn ipjob<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.command(binary());
        command.args(args);
        command
    }
}
