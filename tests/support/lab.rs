//! A Slurm cluster of a test's own (tests/lab), with this project's program and virtual environment in its users' reach.

use super::ended::assert_nothing_left;
use super::place::{WAY, engine_start};
use super::{Needed, Skipped, binary, venv, wait_for};
use serde_json::Value;
use std::cell::RefCell;
use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The exit code of `lab` where this host lacks something that it needs.
const LACKING: i32 = 75;

/// The user that submits; she exists only inside.
pub const ALICE: &str = "alice";

/// Directories of which each machine has its own: what tests need from the host's is shared by name.
const OWN_OF_MACHINES: [&str; 3] = ["/tmp", "/home", "/run"];

/// A lab that is up. Dropped, it ends with all that runs in it.
pub struct Lab {
    dir: tempfile::TempDir,
    venv: PathBuf,
    jobs: RefCell<Vec<String>>,
}

/// What a command on a machine did.
pub struct Done {
    /// Its exit code.
    pub code: i32,
    /// What it wrote to stdout, and then what it wrote to stderr.
    pub text: String,
}

impl Lab {
    /// Starts a lab of two nodes with these further options of `lab up`; `IPJOB_TEST_SLURM` is its version of Slurm.
    pub fn up(options: &[&str]) -> Needed<Self> {
        let other = env::var_os("IPJOB_TEST_SLURM").is_some();
        Self::with(if other { "lab" } else { "main" }, options)
    }

    /// The same with another virtual environment on its users' PATH.
    pub fn with(venv_name: &str, options: &[&str]) -> Needed<Self> {
        let slurm = env::var("IPJOB_TEST_SLURM").ok();
        let venv = venv(venv_name)?;
        if let Some(closed) = closed(&venv) {
            return Err(Skipped::for_want_of(format_args!(
                "the lab's users cannot enter {}, above the virtual environment",
                closed.display()
            )));
        }
        let dir = tempfile::Builder::new()
            .prefix("ipjob-lab-")
            .tempdir()
            .expect("a directory");
        open_to_all(dir.path());
        let lab = Self {
            dir,
            venv,
            jobs: RefCell::default(),
        };
        fs::create_dir(lab.share()).expect("a directory");
        open_to_all(&lab.share());
        fs::copy(binary(), lab.ipjob()).expect("the program is copied");
        open_to_all(&lab.ipjob());
        let mut command = lab.command("up");
        command.args(options).arg("--share").arg(lab.share());
        if let Some(slurm) = &slurm {
            command.args(["--slurm", slurm]);
        }
        // Another version has a root of its own, with nothing of the host's in it.
        if slurm.is_some() || OWN_OF_MACHINES.iter().any(|top| lab.venv.starts_with(top)) {
            command.arg("--share").arg(&lab.venv);
        }
        let output = command.output().expect("lab starts");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() == Some(LACKING) {
            let lacking = text.lines().last().unwrap_or_default();
            return Err(Skipped::for_want_of(lacking));
        }
        assert!(output.status.success(), "no lab: {text}");
        Ok(lab)
    }

    /// Whether the lab's machines have the programs of this one; another version of Slurm comes with a root file system of its own.
    pub fn has_programs_of_this_machine() -> bool {
        env::var_os("IPJOB_TEST_SLURM").is_none()
    }

    /// The program as the lab's users see it.
    pub fn ipjob(&self) -> PathBuf {
        self.share().join("ipjob")
    }

    /// A directory that all machines and the test see; only the test writes there.
    pub fn share(&self) -> PathBuf {
        self.dir.path().join("share")
    }

    /// A file of alice's home, as the test reaches it.
    pub fn home(&self, path: impl AsRef<Path>) -> PathBuf {
        self.state().join("home").join(ALICE).join(path)
    }

    /// A file of alice's home on the laptop, as the test reaches it.
    pub fn laptop_home(&self, path: impl AsRef<Path>) -> PathBuf {
        self.state().join("home-laptop").join(ALICE).join(path)
    }

    /// A file of a machine's own /run, as the test reaches it.
    pub fn run_of(&self, machine: &str, path: impl AsRef<Path>) -> PathBuf {
        self.state().join("run").join(machine).join(path)
    }

    /// What the sshd of a machine has logged.
    pub fn sshd_log(&self, machine: &str) -> String {
        let path = self.state().join("log").join(format!("sshd-{machine}.log"));
        fs::read_to_string(path).unwrap_or_default()
    }

    /// The virtual environment on its users' PATH.
    pub fn venv(&self) -> &Path {
        &self.venv
    }

    /// PATH of jobs and commands: the virtual environment, ipjob, the system.
    pub fn path(&self) -> String {
        format!(
            "{}:{}:/usr/bin:/bin:/usr/sbin:/sbin",
            self.venv.join("bin").display(),
            self.share().display()
        )
    }

    /// A command of the lab itself: `cable`, `power`.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/lab"));
        command
            .arg("--state")
            .arg(self.state())
            .arg(name)
            .stdin(Stdio::null());
        command
    }

    /// A program to be run by this user on this machine; its arguments are to be added.
    pub fn on(&self, user: &str, machine: &str) -> Command {
        let mut command = self.command("in");
        command
            .args(["-u", user, "-e"])
            .arg(format!("PATH={}", self.path()))
            .args(
                few_transports()
                    .map(|few| ["-e", few])
                    .into_iter()
                    .flatten(),
            )
            .args(
                engine_start()
                    .into_iter()
                    .flat_map(|way| ["-e".to_owned(), format!("{WAY}={way}")]),
            )
            .arg(machine);
        command
    }

    /// Runs a shell line as this user on this machine.
    pub fn shell(&self, user: &str, machine: &str, line: &str) -> Done {
        let output = self.on(user, machine).args(["bash", "-c", line]).output();
        Done::from(output.expect("lab runs"))
    }

    /// Kills a process of alice's, by the id that it has on its machine.
    pub fn kill(&self, machine: &str, pid: &Value) {
        let done = self.shell(ALICE, machine, &format!("kill -9 {pid}"));
        assert_eq!(done.code, 0, "{}", done.text);
    }

    /// Runs Python code as alice on this machine; what it prints, which must be all it has to say.
    pub fn python(&self, machine: &str, code: &str) -> String {
        let output = self
            .on(ALICE, machine)
            .args(["python3", "-c", code])
            .output();
        let output = output.expect("lab runs");
        let done = Done::from(output.clone());
        assert_eq!(done.code, 0, "{}", done.text);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Writes a file into alice's home, to be run.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home(name);
        fs::write(&path, text).expect("written");
        open_to_all(&path);
        let owner = fs::metadata(self.home("")).expect("a home");
        let (user, group) = {
            use std::os::unix::fs::MetadataExt;
            (owner.uid(), owner.gid())
        };
        chown(&path, Some(user), Some(group)).expect("given to alice");
        PathBuf::from("/home").join(ALICE).join(name)
    }

    /// Submits a batch script with these options and this body, as alice on the login node.
    pub fn submit(&self, options: &[&str], body: &str) -> SlurmJob<'_> {
        let number = self.jobs.borrow().len();
        let path = self.path();
        let few = few_transports().map_or_else(String::new, |few| format!("export {few}\n"));
        let text = format!("#!/bin/bash\nPATH={path}\n{few}{body}\n");
        let script = self.script(&format!("job-{number}.sbatch"), &text);
        let output = self
            .on(ALICE, "login")
            .args([
                "sbatch",
                "--parsable",
                "--output=%j.out",
                "--open-mode=append",
            ])
            .args(options)
            .arg(script)
            .output();
        let done = Done::from(output.expect("lab runs"));
        assert_eq!(done.code, 0, "{}", done.text);
        self.job(done.text.trim())
    }

    /// A job by its id.
    pub fn job(&self, id: &str) -> SlurmJob<'_> {
        self.jobs.borrow_mut().push(id.to_owned());
        SlurmJob {
            lab: self,
            id: id.to_owned(),
        }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for id in self.jobs.borrow().iter() {
                let job = SlurmJob {
                    lab: self,
                    id: id.clone(),
                };
                eprintln!("==== job {id}\n{}", job.output());
                let log = self.home(format!(".ipython/profile_job_{id}/log/ipjob-engines.log"));
                eprintln!(
                    "---- engines\n{}",
                    fs::read_to_string(log).unwrap_or_default()
                );
            }
        }
        let down = self.command("down").output();
        if !down.as_ref().is_ok_and(|output| output.status.success()) {
            eprintln!("the lab does not end: {down:?}");
        }
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = [output.stdout, output.stderr].concat();
        Self {
            code: output.status.code().unwrap_or(-1),
            text: String::from_utf8_lossy(&text).into_owned(),
        }
    }
}

/// A job of the lab.
pub struct SlurmJob<'a> {
    lab: &'a Lab,
    /// The job id; that of the element in a job array.
    pub id: String,
}

/// How a job ended, in Slurm's words.
#[derive(Debug)]
pub struct Ended {
    /// `COMPLETED`, `FAILED`, `CANCELLED` ...
    pub state: String,
    /// The batch script's exit code.
    pub code: i32,
    /// What the job wrote.
    pub output: String,
}

impl SlurmJob<'_> {
    /// What it wrote so far.
    pub fn output(&self) -> String {
        fs::read_to_string(self.lab.home(format!("{}.out", self.id))).unwrap_or_default()
    }

    /// A file of its profile directory, as the test reaches it.
    pub fn profile(&self, path: &str) -> PathBuf {
        let dir = format!(".ipython/profile_job_{}", self.id);
        self.lab.home(dir).join(path)
    }

    /// The record as it is; `None` before the first one.
    pub fn record(&self) -> Option<Value> {
        let text = fs::read_to_string(self.profile("ipjob.json")).ok()?;
        Some(serde_json::from_str(&text).expect("a record is whole at every moment"))
    }

    /// Waits for the record to be in this state.
    pub fn wait_state(&self, state: &str) -> Value {
        wait_for(&format!("the state {state:?} of job {}", self.id), || {
            let record = self.record()?;
            assert!(
                record["state"] == state || record["state"] != "ended",
                "job {} ended before it was {state}:\n{}",
                self.id,
                self.output()
            );
            (record["state"] == state).then_some(record)
        })
    }

    /// Waits for a line of its output that contains `text`.
    pub fn wait_line(&self, text: &str) -> String {
        wait_for(&format!("the line {text:?} of job {}", self.id), || {
            let output = self.output();
            output
                .lines()
                .find(|line| line.contains(text))
                .map(str::to_owned)
        })
    }

    /// Waits for its end.
    pub fn finish(&self) -> Ended {
        let waited = self
            .lab
            .command("wait-job")
            .args([&self.id, "ended", "120"])
            .output();
        let waited = Done::from(waited.expect("lab runs"));
        assert_eq!(waited.code, 0, "{}\n{}", waited.text, self.output());
        let shown = self.lab.shell(
            ALICE,
            "login",
            &format!("scontrol --oneliner show job {}", self.id),
        );
        let field = |name: &str| {
            shown
                .text
                .split_ascii_whitespace()
                .find_map(|word| word.strip_prefix(name))
                .unwrap_or_default()
                .to_owned()
        };
        let code = field("ExitCode=");
        let code = code.split(':').next().and_then(|code| code.parse().ok());
        Ended {
            state: field("JobState="),
            code: code.unwrap_or(-1),
            output: self.output(),
        }
    }

    /// Asks Slurm for its end.
    pub fn scancel(&self) {
        let done = self
            .lab
            .shell(ALICE, "login", &format!("scancel {}", self.id));
        assert_eq!(done.code, 0, "{}", done.text);
    }

    /// Asks Slurm for its end, waits for it, and checks that it came in order: by ipjob itself, with nothing left.
    pub fn cancel(&self) -> Ended {
        self.scancel();
        let ended = self.finish();
        let record = self.assert_nothing_left();
        assert_eq!(record["exit"], 0, "{}", ended.output);
        assert_eq!(record["reason"], "SIGTERM");
        ended
    }

    /// Checks what must hold after every end that ipjob lived to see; returns the record.
    pub fn assert_nothing_left(&self) -> Value {
        let record = self.record().expect("the record stays");
        assert_nothing_left(&record, &self.profile(""), &self.output());
        record
    }
}

/// With all of its transports, MPICH 5 tells Slurm's pmi2 longer addresses than that takes: on 24.11 and 26.05 its `MPI_Init` then fails
/// or hangs ("invalid client request"), now and then, and where much was imported before nearly always. 22.05 goes on as it is.
fn few_transports() -> Option<&'static str> {
    is_newer().then_some("UCX_TLS=tcp,self")
}

/// Whether labs have another version of Slurm than this machine's own: 24.11 or later.
pub fn is_newer() -> bool {
    env::var_os("IPJOB_TEST_SLURM").is_some()
}

/// The first directory above `path`, or the path itself, that not everybody may enter, where machines see the host's.
fn closed(path: &Path) -> Option<PathBuf> {
    let shared = |path: &Path| OWN_OF_MACHINES.iter().any(|top| path.starts_with(top));
    path.ancestors()
        .filter(|dir| !shared(path) || *dir == path)
        .find(|dir| fs::metadata(dir).map_or(true, |data| data.permissions().mode() & 0o1 == 0))
        .map(Path::to_owned)
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("mode");
}
