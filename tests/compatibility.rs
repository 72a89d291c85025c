//! What 0.1.0 wrote is read by this version, and what this version writes is a record to 0.1.0: docs/stability.md says so.
//!
//! tests/records/0.1.0 has what the real one left in a home. That one, run on a profile that this version had left when it was killed, took it over
//! and ended what still ran there.

use crate::support::{Job, Place};
use jsonschema::Validator;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The process that 0.1.0's ipjob was, as far as others see it: it has its life in its environment, and ends at SIGTERM after it has
/// written that.
const SCRIPT: &str =
    "trap 'mv ended.json ipjob.json; exit 0' TERM; echo; while :; do read -r word <&0 && :; done";

/// A home as 0.1.0 left it.
struct Home {
    place: Place,
    writer: Child,
}

impl Home {
    fn new() -> Self {
        let place = Place::with_fakes();
        let profile = place.profile("job_local");
        let private = |path: &Path| {
            let mut builder = fs::DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(path)
                .expect("a directory");
        };
        for below in ["log", "pid", "security", "startup", "ipjob-runtime/jupyter"] {
            private(&profile.join(below));
        }
        private(&place.dir().join(".local/state/ipjob"));
        let mut command = Command::new("sh");
        command
            .args(["-c", SCRIPT])
            .current_dir(&profile)
            .env_clear();
        command.env("IPJOB_INCARNATION", "local.local.0.b0d066ef97e7ffcf");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut writer = command.spawn().expect("sh");
        // Once it has said something its trap is set.
        let mut said = [0];
        std::io::Read::read_exact(writer.stdout.as_mut().expect("piped"), &mut said)
            .expect("a line");
        let home = Self { place, writer };
        for (name, to) in [
            ("made-by-ipjob", ".made-by-ipjob"),
            ("ipjob.lock", "ipjob.lock"),
            ("ready.json", "ipjob.json"),
            ("ended.json", "ended.json"),
            (
                "ipcontroller-client.json",
                "security/ipcontroller-client.json",
            ),
            (
                "ipcontroller-engine.json",
                "security/ipcontroller-engine.json",
            ),
        ] {
            home.put(name, &profile.join(to));
        }
        home.put("pointer.json", &home.pointer());
        home
    }

    /// Writes what a file of the fixture says of this machine, now.
    fn put(&self, name: &str, to: &Path) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/records/0.1.0")
            .join(name);
        let pid = self.writer.id();
        let told = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
        let start = told
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.split(' ').nth(19))
            .expect("a start");
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot");
        let text = fs::read_to_string(from)
            .expect("a fixture")
            .replace("@HOME@", self.place.dir().to_str().expect("text"))
            .replace("@HOST@", &host())
            .replace("@BOOT@", boot.trim())
            .replace("@PID@", &pid.to_string())
            .replace("@START@", start);
        // As if it was written just now.
        let now = jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string();
        let text = text.replace("2026-11-27T21:52:22Z", &now);
        fs::write(to, text).expect("written");
        fs::set_permissions(to, fs::Permissions::from_mode(0o600)).expect("mode");
    }

    /// The pointer's name has FNV-1a of the record's path in it.
    fn pointer(&self) -> PathBuf {
        let record = self.place.profile("job_local").join("ipjob.json");
        let hash = record
            .to_str()
            .expect("text")
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| {
                (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
            });
        let host = host().replace('.', "_");
        let name = format!("local.{host}.job_local.{hash:08x}.json");
        self.place.dir().join(".local/state/ipjob").join(name)
    }

    fn run(&self, args: &[&str]) -> (i32, String) {
        let output = self.place.ipjob(args).output().expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    /// The only job, as status tells it.
    fn job(&self) -> Value {
        let output = self
            .place
            .ipjob(["status", "--json"])
            .output()
            .expect("it runs");
        let jobs: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(jobs.len(), 1, "{jobs:#?}");
        jobs[0].clone()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.writer.kill();
        let _ = self.writer.wait();
    }
}

fn host() -> String {
    let name = nix::unistd::gethostname().expect("a name");
    name.into_string().expect("text")
}

#[test]
fn a_running_job_of_the_first_version_is_seen_waited_for_and_stopped() {
    let home = Home::new();
    let job = home.job();
    assert_eq!(job["state"], "ready", "{job:#}");
    assert_eq!(job["profile"], "job_local");
    let (code, text) = home.run(&["wait", "job_local", "--for", "ready"]);
    assert_eq!(code, 0, "{text}");
    // What its ipjob does not know of is not asked of it.
    let (code, text) = home.run(&["restart", "job_local"]);
    assert_eq!(code, 1, "{text}");
    assert_eq!(home.job()["state"], "ready");
    let (code, text) = home.run(&["stop", "job_local"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("job job_local has ended: SIGINT (exit code 0)"),
        "{text}"
    );
    let (code, text) = home.run(&["wait", "job_local", "--for", "ended"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(home.job()["state"], "ended");
    let (code, text) = home.run(&["clean", "job_local"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        !home.place.profile("job_local").exists() && !home.pointer().exists(),
        "{text}"
    );
}

#[test]
fn what_a_killed_job_of_the_first_version_left_is_taken_over() {
    let mut home = Home::new();
    home.writer.kill().expect("ours");
    home.writer.wait().expect("ours");
    assert_eq!(home.job()["state"], "dead");
    let (code, text) = home.run(&["wait", "job_local", "--for", "ended"]);
    assert_eq!(code, 1, "{text}");
    let (code, text) = home.run(&["--mode", "cluster-only", "-n", "1", "--", "true"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(home.job()["state"], "ended");
}

#[test]
fn a_record_of_this_version_is_one_to_the_schema_of_the_first() {
    let schema = include_str!("records/0.1.0/ipjob.schema.json");
    let schema: Value = serde_json::from_str(schema).expect("JSON");
    let first = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .expect("a schema");
    let faults = |first: &Validator, record: &Value| -> Vec<String> {
        first
            .iter_errors(record)
            .map(|fault| format!("{}: {fault}", fault.instance_path()))
            .collect()
    };
    for mode in ["notebook", "cluster-only"] {
        let place = Place::with_fakes();
        let mut job = Job::start(&place, &["--mode", mode, "-n", "2"]);
        let mut ready = job.wait_ready();
        assert_eq!(faults(&first, &ready), [""; 0], "{ready:#}");
        job.stop();
        let ended = job.record().expect("a record");
        assert_eq!(faults(&first, &ended), [""; 0], "{ended:#}");
        ready["port"] = json!("none");
        assert_ne!(faults(&first, &ready), [""; 0], "it looks");
    }
}
