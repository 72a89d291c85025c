//! What is seen of a record and of a pointer. PURE. Both come from another machine, and whoever wrote them may mean harm: a field counts
//! only if it is what it should be, text is fit for a terminal, a path or a name is a plain one. Else it counts as missing and
//! is named in `faults`.

mod fields;

use crate::here::os::text::printable;
use crate::plan::profile::ProfileName;
use fields::{
    Fields, counts, job_id, life, name, named, number, page, path, request, signal_to, state, text,
    texts, time, timeline, token,
};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// The newest form of records and pointers that is understood.
const VERSION: u64 = 1;

/// The longest record that is read, in bytes: one of 10 000 engines has half of that.
pub const LONGEST_RECORD: usize = 2 * 1024 * 1024;

/// The longest pointer, in bytes.
pub const LONGEST_POINTER: usize = 64 * 1024;

/// A pointer, as far as it can be believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointer {
    /// The Slurm cluster; `local` without Slurm.
    pub cluster: Option<String>,
    /// The job id; `None` without Slurm.
    pub job: Option<String>,
    /// The profile's name.
    pub profile: Option<ProfileName>,
    /// The host that ipjob runs on.
    pub host: Option<String>,
    /// The record's path.
    pub record: Option<String>,
}

/// A record, as far as it can be believed; docs/connection-file.md says what the fields are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sight {
    /// `starting`, `ready`, `degraded`, `stopping` or `ended`.
    pub state: Option<String>,
    /// `notebook` or `cluster-only`.
    pub mode: Option<String>,
    /// Why it stops or has ended.
    pub reason: Option<String>,
    /// The exit code, once it has ended.
    pub exit: Option<u8>,
    /// The Slurm cluster; `local` without Slurm.
    pub cluster: Option<String>,
    /// The job's number; `None` without Slurm.
    pub job: Option<String>,
    /// What Slurm calls the job: `6_2`.
    pub job_name: Option<String>,
    /// The nodes.
    pub nodes: Vec<String>,
    /// How often it was requeued.
    pub restart: Option<u32>,
    /// The end of its time.
    pub deadline: Option<Timestamp>,
    /// What scancel must name: `batch`, or a step.
    pub signal_to: Option<String>,
    /// This life's id.
    pub incarnation: Option<String>,
    /// The host that ipjob runs on.
    pub life_host: Option<String>,
    /// That host's boot id.
    pub boot: Option<String>,
    /// ipjob's process id.
    pub pid: Option<u32>,
    /// The start of that process.
    pub pid_start: Option<u64>,
    /// The profile's name.
    pub profile: Option<ProfileName>,
    /// The profile's directory: absolute, without `..`.
    pub dir: Option<String>,
    /// The host that Jupyter and the controller run on.
    pub host: Option<String>,
    /// The address that Jupyter listens on.
    pub ip: Option<core::net::IpAddr>,
    /// Its port.
    pub port: Option<u16>,
    /// Its token: letters and digits.
    pub token: Option<String>,
    /// The path of Jupyter's page, `/lab`, with the `base_url` before it.
    pub page: Option<String>,
    /// The clients' connection file: absolute, without `..`.
    pub client_file: Option<String>,
    /// As many engines were asked for.
    pub expected: Option<u32>,
    /// As many are there.
    pub registered: Option<u32>,
    /// Engines that work with it, and others started.
    pub guests: Option<u32>,
    /// How often each service was started again.
    pub restarts: BTreeMap<String, u32>,
    /// The whole record as it stands, of which nothing is checked: only for what checks it itself.
    pub unchecked: Value,
    /// The job's course: seconds since its start, and what happened.
    pub timeline: Vec<(f64, String)>,
    /// What services that run lack, by their names.
    pub hindered: BTreeMap<String, String>,
    /// Lines that a person should look at.
    pub warnings: Vec<String>,
    /// The last request of the user's, and what has become of it.
    pub request: Option<Request>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When the record was written.
    pub updated: Option<Timestamp>,
    /// It is written anew at least as often, in seconds.
    pub refresh_s: Option<u64>,
    /// Fields that have no value that could be one.
    pub faults: Vec<&'static str>,
}

/// A request of the user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its id.
    pub id: String,
    /// `running`, `done` or `failed`.
    pub state: String,
    /// What is there now, or why not more.
    pub text: String,
}

impl Pointer {
    /// Reads a pointer; else why it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let value = parse(bytes, LONGEST_POINTER)?;
        let mut fields = Fields::of(&value);
        Ok(Self {
            cluster: fields.get("/cluster", text),
            job: fields.get("/job", job_id),
            profile: fields.get("/profile", name),
            host: fields.get("/host", text),
            record: fields.get("/record", path),
        })
    }
}

impl Sight {
    /// Reads a record; else why it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let value = parse(bytes, LONGEST_RECORD)?;
        let mut fields = Fields::of(&value);
        let mut sight = Self {
            state: fields.get("/state", state),
            mode: fields.get("/mode", text),
            reason: fields.get("/reason", text),
            exit: fields.get("/exit", number),
            cluster: fields.get("/job/cluster", text),
            job: fields.get("/job/id", job_id),
            job_name: fields.get("/job/name", text),
            nodes: fields.get("/job/nodes", texts).unwrap_or_default(),
            restart: fields.get("/job/restart", number),
            deadline: fields.get("/job/deadline", time),
            signal_to: fields.get("/job/signal_to", signal_to),
            incarnation: fields.get("/incarnation/id", life),
            life_host: fields.get("/incarnation/host", text),
            boot: fields.get("/incarnation/boot", text),
            pid: fields.get("/incarnation/pid", number),
            pid_start: fields.get("/incarnation/pid_start", Value::as_u64),
            profile: fields.get("/profile/name", name),
            dir: fields.get("/profile/dir", path),
            host: fields.get("/host", text),
            ip: fields.get("/ip", |value| value.as_str()?.parse().ok()),
            port: fields.get("/port", number::<u16>).filter(|port| *port > 0),
            token: fields.get("/token", token),
            page: fields.get("/url", page),
            client_file: fields.get("/controller/client_file", path),
            expected: fields.get("/engines/expected", number),
            registered: fields.get("/engines/registered", number),
            guests: fields.get("/engines/guests", number),
            restarts: fields.get("/restarts", counts).unwrap_or_default(),
            timeline: fields.get("/timeline", timeline).unwrap_or_default(),
            hindered: fields.get("/hindered", named).unwrap_or_default(),
            warnings: fields.get("/warnings", texts).unwrap_or_default(),
            request: fields.get("/request", request),
            started: fields.get("/started", time),
            updated: fields.get("/updated", time),
            refresh_s: fields.get("/refresh_s", Value::as_u64),
            faults: Vec::new(),
            unchecked: Value::Null,
        };
        sight.faults = fields.faults;
        sight.unchecked = value;
        Ok(sight)
    }

    /// Seconds since it was written, by a clock that says `now`; a writer's clock may go before ours.
    #[must_use]
    pub fn age_s(&self, now: Timestamp) -> Option<u64> {
        let age = now.duration_since(self.updated?).as_secs();
        Some(u64::try_from(age).unwrap_or(0))
    }

    /// Whether its writer has been silent for so long that it must have died; the same rule as in docs/connection-file.md.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        let limit = self.refresh_s.unwrap_or(60).saturating_mul(3);
        self.age_s(now).is_none_or(|age| age > limit)
    }

    /// Whether it says that the job has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.state.as_deref() == Some("ended")
    }
}

/// The JSON of a file of ours; its length and version are looked at first.
fn parse(bytes: &[u8], longest: usize) -> Result<Value, String> {
    if bytes.len() > longest {
        return Err(format!("it is longer than {longest} bytes"));
    }
    if bytes.trim_ascii().is_empty() {
        return Err("it is empty (a full disk?)".to_owned());
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        let cut = if error.is_eof() {
            "it is cut off (a full disk?)"
        } else {
            "it is no JSON"
        };
        format!("{cut}: {}", printable(&error.to_string()))
    })?;
    match value.get("version").map(Value::as_u64) {
        Some(Some(version)) if version <= VERSION => Ok(value),
        Some(Some(version)) => Err(format!(
            "it is of version {version}, and this ipjob reads versions up to {VERSION}: a newer ipjob is needed"
        )),
        _ => Err("it has no version, so it is no file of ipjob's".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record() -> Value {
        json!({
            "version": 1, "state": "ready", "mode": "notebook", "reason": null,
            "job": {"cluster": "lab", "id": "12", "nodes": ["n1", "n2"], "restart": 1, "deadline": "2026-11-22T15:00:00Z",
                    "signal_to": "batch"},
            "incarnation": {"id": "lab.12.1.9f3c0d5e7a11b2c4", "host": "n1", "boot": "b-1", "pid": 42, "pid_start": 7},
            "profile": {"name": "job_12", "dir": "/h/.ipython/profile_job_12", "log_dir": "/h/.ipython/profile_job_12/log"},
            "launcher": "srun", "step": "12.0", "warnings": ["careful"], "exit": null, "host": "n1", "ip": "10.0.0.11",
            "port": 8077, "token": "ab12", "url": "http://10.0.0.11:8077/me/lab?token=ab12",
            "controller": {"client_file": "/h/c.json", "pid": 1, "ipyparallel": "9.0"},
            "engines": {"expected": 24, "registered": 7, "missing": [], "list": []},
            "restarts": {"controller": 2, "engines": 0, "jupyter": 0},
            "timeline": [{"at": 0.42, "event": "controller ready"}],
            "started": "2026-11-22T14:00:00Z", "updated": "2026-11-22T14:10:00Z", "refresh_s": 60
        })
    }

    fn read(value: &Value) -> Sight {
        Sight::read(value.to_string().as_bytes()).expect("a record")
    }

    #[test]
    fn a_good_record_is_seen_whole() {
        let sight = read(&record());
        assert_eq!(sight.faults, [""; 0]);
        assert_eq!(sight.state.as_deref(), Some("ready"));
        assert_eq!(sight.nodes, ["n1", "n2"]);
        assert_eq!(
            (sight.port, sight.page.as_deref()),
            (Some(8077), Some("/me/lab"))
        );
        assert_eq!((sight.registered, sight.expected), (Some(7), Some(24)));
        assert_eq!(sight.timeline, [(0.42, "controller ready".to_owned())]);
        assert_eq!(sight.signal_to.as_deref(), Some("batch"));
        assert_eq!(sight.restarts["controller"], 2);
        let at = |text: &str| text.parse().expect("a time");
        assert!(!sight.is_stale(at("2026-11-22T14:13:00Z")));
        assert!(sight.is_stale(at("2026-11-22T14:13:02Z")));
        assert!(
            !sight.is_stale(at("2026-11-22T14:00:00Z")),
            "a clock that goes before ours"
        );
    }

    #[test]
    fn a_field_that_is_not_what_it_should_be_counts_as_missing() {
        for (field, wrong) in [
            ("/state", json!("fine")),
            ("/state", json!(7)),
            ("/restarts", json!({"controller": "many"})),
            ("/job/id", json!("12; id")),
            ("/job/id", json!(12)),
            ("/job/nodes", json!("n1")),
            ("/job/signal_to", json!("batch; id")),
            ("/job/signal_to", json!("1.2.3")),
            ("/job/deadline", json!("soon")),
            ("/incarnation/id", json!("a b")),
            ("/incarnation/pid", json!(-1)),
            ("/incarnation/pid", json!(1u64 << 40)),
            ("/profile/name", json!("../../etc")),
            ("/profile/name", json!("a/b")),
            ("/profile/name", json!("a/b")),
            ("/profile/dir", json!("relative")),
            ("/profile/dir", json!("/a/../../etc")),
            ("/profile/dir", json!("/a\n/b")),
            ("/profile/dir", json!(["/a"])),
            ("/ip", json!("10.0.0.11; id")),
            ("/port", json!(65536)),
            ("/port", json!("8077")),
            ("/token", json!("a'b")),
            ("/token", json!("x".repeat(1000))),
            ("/url", json!("javascript:alert(1)")),
            ("/url", json!("http://h:1/lab\u{1b}[31m")),
            ("/url", json!("http://h:1/`id`")),
            ("/controller/client_file", json!("../c.json")),
            ("/engines/expected", json!(1.5)),
            ("/engines", json!([])),
            ("/timeline", json!([{"at": -1, "event": "x"}])),
            ("/timeline", json!([7])),
            ("/updated", json!(0)),
        ] {
            let mut bad = record();
            *bad.pointer_mut(field).expect("a field") = wrong.clone();
            let sight = read(&bad);
            let good = read(&record());
            assert_ne!(sight, good, "{field} {wrong} is believed");
            let counts = usize::from(field != "/engines");
            assert_eq!(
                sight.faults.len(),
                counts,
                "{field} {wrong}: {:?}",
                sight.faults
            );
        }
        let mut zero = record();
        zero["port"] = json!(0);
        assert_eq!(read(&zero).port, None);
    }

    #[test]
    fn text_cannot_play_with_the_terminal() {
        let mut bad = record();
        bad["reason"] = json!("\u{1b}]0;title\u{7}\u{1b}[2Jx\ny");
        bad["host"] = json!("n\u{9b}31m1");
        bad["mode"] = json!("m".repeat(100_000));
        let sight = read(&bad);
        assert_eq!(sight.reason.as_deref(), Some("]0;titlexy"));
        assert_eq!(sight.host.as_deref(), Some("n31m1"));
        assert!(sight.mode.is_some_and(|mode| mode.len() < 500));
    }

    #[test]
    fn what_is_no_record_is_refused_with_its_fault() {
        let text = record().to_string();
        let deep = format!("{{\"version\":1,\"a\":{}", "[".repeat(100_000));
        let huge = " ".repeat(LONGEST_RECORD + 1);
        for (text, told) in [
            ("", "it is empty"),
            ("  \n", "it is empty"),
            (&text[..text.len() / 2], "it is cut off"),
            ("<html>", "it is no JSON"),
            ("[]", "it has no version"),
            ("{\"version\": \"1\"}", "it has no version"),
            ("{\"version\": 2}", "it is of version 2"),
            (&deep, "it is no JSON"),
            (&huge, "it is longer than"),
        ] {
            let fault = Sight::read(text.as_bytes()).expect_err(told);
            assert!(fault.starts_with(told), "{fault}");
        }
        assert!(Sight::read(&[0xff, 0xfe, b'{']).is_err());
        let bare = Sight {
            unchecked: json!({"version": 1}),
            ..Sight::default()
        };
        assert_eq!(Sight::read(b"{\"version\":1}"), Ok(bare));
    }

    #[test]
    fn a_pointer_is_read_as_it_is_written() {
        let text = json!({"version": 1, "cluster": "lab", "job": null, "profile": "job_local", "host": "n1", "record": "/h/ipjob.json"});
        let pointer = Pointer::read(text.to_string().as_bytes()).expect("a pointer");
        assert_eq!(
            (pointer.cluster.as_deref(), pointer.job),
            (Some("lab"), None)
        );
        assert_eq!(pointer.record.as_deref(), Some("/h/ipjob.json"));
        for record in ["../x", "/a/../b", "x", "/a\u{0}b"] {
            let mut bad = text.clone();
            bad["record"] = json!(record);
            let pointer = Pointer::read(bad.to_string().as_bytes()).expect("a pointer");
            assert_eq!(pointer.record, None, "{record}");
        }
    }
}
