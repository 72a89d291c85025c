//! What there is of the user's jobs on a host, in one round of one ssh: Slurm's queue, pointers and records.
//!
//! docs/design/jobs.md explains the design.

use super::parts::{END, Part, RAW};
use super::queue::{self, Line, Queue};
use super::shell::{LastWords, Session, Streams};
use super::ssh;
use super::target::{self, Host, Job};
use crate::failure::{Failure, Outcome};
use crate::here::os::text::printable;
use crate::plan::profile;
use crate::record::{Pointer, Record};
use jiff::Timestamp;
use std::time::Duration;

/// The scripts; their heads say what they are told.
const SCRIPT: &str = concat!(include_str!("find.sh"), include_str!("orders.sh"));

/// What there is on a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// What was asked: the host that was named, or none.
    pub asked: Option<Host>,
    /// The host's own name.
    pub host: String,
    /// Its boot id; empty where it has none.
    pub boot: String,
    /// The user's name there.
    pub user: String,
    /// The time there.
    pub now: Timestamp,
    /// The name of the Slurm cluster that squeue tells of.
    pub cluster: Option<String>,
    /// The queue.
    pub queue: Queue,
    /// The job that was asked for, where it is in the queue and not this user's.
    pub foreign: Option<Line>,
    /// The IPython directory of a shell there: of clusters whose profiles have the same name, that in it is meant.
    pub ipython_dir: Option<String>,
    /// Pointers and records that may be of the job that was asked for.
    pub traces: Vec<Trace>,
}

/// What one job left: a pointer, a record, or both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// Where the pointer lies.
    pub pointer_path: Option<String>,
    /// What it says, or why that is nothing.
    pub pointer: Option<Result<Pointer, String>>,
    /// Where the record lies; `None` where no pointer says it.
    pub record_path: Option<String>,
    /// What it says.
    pub record: RecordFile,
    /// What the host's /proc tells of the process that the record names: its id and the line, which is empty if there is none.
    pub process: Option<(u32, String)>,
}

/// A record as it was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum RecordFile {
    /// It is not there.
    #[default]
    Absent,
    /// It is there and cannot be read.
    Closed,
    /// It is not the user's own file in a directory of the user's own: it was not read.
    Foreign,
    /// It is no record, and why.
    Garbage(String),
    /// It was read.
    Read(Box<Record>),
}

impl Trace {
    /// The IPython directory of its profile, by where its record lies.
    #[must_use]
    pub fn ipython_dir(&self) -> Option<&str> {
        profile::ipython_dir(self.record_path.as_deref()?)
    }
    /// The record, if it is one.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        match &self.record {
            RecordFile::Read(record) => Some(record),
            _ => None,
        }
    }

    /// What the pointer says, if it is one.
    #[must_use]
    pub fn told(&self) -> Option<&Pointer> {
        self.pointer.as_ref()?.as_ref().ok()
    }
}

/// One ssh, or one shell here, that looks and does as it is told.
pub struct Search(Session);

impl Search {
    /// Begins to look for a job, or for all, on a host or here.
    pub fn begin(host: Option<&Host>, job: Option<&Job>) -> Outcome<Self> {
        let job = job.map_or("", Job::as_str);
        Session::open(host, SCRIPT, &[job, queue::FORMAT]).map(Self)
    }

    /// What the first look, or the one after [`Search::again`], found.
    pub fn found(&mut self) -> Outcome<Found> {
        let mut round = Round::default();
        for part in self.answer()? {
            round.take(&part);
        }
        round.found(self.0.host())
    }

    /// Looks again.
    pub fn again(&mut self) -> Outcome<Found> {
        self.0.tell(&["look"]);
        self.found()
    }

    /// Gives an order of `orders.sh` with its words, and returns the parts of the answer.
    pub fn order(&mut self, words: &[&str]) -> Outcome<Vec<Part>> {
        self.0.tell(words);
        self.answer()
    }

    /// Gives an order after which the streams carry something else. The parts before that are returned; without streams, where the order
    /// was refused.
    pub fn streams(&mut self, words: &[&str]) -> Outcome<(Vec<Part>, Option<Streams>)> {
        self.0.tell(words);
        let mut parts = self.answer()?;
        let streams = match parts.pop_if(|part| part.kind == RAW) {
            Some(_) => Some(self.0.streams()?),
            None => None,
        };
        Ok((parts, streams))
    }

    /// What there is once those streams have ended, and what was said meanwhile.
    pub fn after_streams(&mut self, limit: Duration) -> (LastWords, Option<Found>) {
        let words = self.0.last_words(limit);
        let mut round = Round::default();
        for part in &words.parts {
            round.take(part);
        }
        let found = round.found(self.0.host());
        (words, found.ok())
    }

    fn answer(&mut self) -> Outcome<Vec<Part>> {
        let mut parts = Vec::new();
        while let Some(part) = self.0.next()? {
            if part.kind == RAW {
                parts.push(part);
                return Ok(parts);
            }
            if part.kind == END {
                return Ok(parts);
            }
            parts.push(part);
        }
        Err(incomplete(self.0.host()))
    }
}

impl Found {
    /// The command that lists the jobs there, to be told.
    #[must_use]
    pub fn status(&self) -> String {
        target::status(self.asked.as_ref())
    }
}

fn incomplete(host: Option<&Host>) -> Failure {
    Failure::ssh("the answer from the other side is incomplete")
        .hint(ssh::must_be_silent(host.map(Host::as_str)))
}

/// A round of the script's parts, as they come.
#[derive(Default)]
struct Round {
    host: Option<String>,
    boot: String,
    user: String,
    now: Option<Timestamp>,
    cluster: Option<String>,
    queue: Option<Queue>,
    foreign: Option<Line>,
    ipython_dir: Option<String>,
    traces: Vec<Trace>,
    /// Whether the last trace is a pointer whose record has not come.
    open: bool,
}

impl Round {
    fn take(&mut self, part: &Part) {
        let words = part.words.as_str();
        match part.kind.as_str() {
            "host" => {
                self.host = Some(printable(words));
                self.boot = printable(part.text().trim());
            }
            "user" => self.user = printable(words),
            "now" => {
                let seconds = words.trim().parse().ok();
                self.now = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
            }
            "cluster" => self.cluster = Some(printable(words)).filter(|name| !name.is_empty()),
            "queue" if words == "absent" => self.queue = Some(Queue::Absent),
            "queue" => self.queue = Some(Queue::read(words.trim().parse().ok(), &part.text())),
            "profiles" => self.ipython_dir = Some(words.to_owned()),
            "owner" => self.foreign = part.text().lines().find_map(Line::read),
            "pointer" => {
                let pointer = Pointer::read(&part.body);
                let told = pointer.as_ref().ok();
                let path = told.and_then(|told| Some(told.record.as_deref()?.to_owned()));
                let earlier = self.earlier(path.as_deref()).cloned().unwrap_or_default();
                self.traces.push(Trace {
                    pointer_path: Some(words.to_owned()),
                    pointer: Some(pointer),
                    record_path: path,
                    ..earlier
                });
                self.open = true;
            }
            "record" => self.put(
                words,
                match Record::read(&part.body) {
                    Ok(record) => RecordFile::Read(Box::new(record)),
                    Err(fault) => RecordFile::Garbage(fault),
                },
            ),
            "absent" => self.put(words, RecordFile::Absent),
            "closed" => self.put(words, RecordFile::Closed),
            "foreign" => self.put(words, RecordFile::Foreign),
            "process" => {
                if let (Some(trace), Ok(pid)) = (self.traces.last_mut(), words.trim().parse()) {
                    trace.process = Some((pid, part.text()));
                }
            }
            _ => {}
        }
    }

    /// Puts a record to the pointer before it, if that one leads to it.
    fn put(&mut self, path: &str, record: RecordFile) {
        let leads = |trace: &&mut Trace| trace.record_path.as_deref() == Some(path);
        let open = std::mem::take(&mut self.open);
        match self.traces.last_mut().filter(|_| open).filter(leads) {
            Some(trace) => trace.record = record,
            None => self.traces.push(Trace {
                record_path: Some(path.to_owned()),
                record,
                ..Trace::default()
            }),
        }
    }

    /// Where an earlier pointer led to the same record, it does not come again.
    fn earlier(&self, path: Option<&str>) -> Option<&Trace> {
        self.traces
            .iter()
            .find(|trace| path.is_some() && trace.record_path.as_deref() == path)
    }

    fn found(self, asked: Option<&Host>) -> Outcome<Found> {
        let (Some(host), Some(now), Some(queue)) = (self.host, self.now, self.queue) else {
            return Err(incomplete(asked));
        };
        Ok(Found {
            asked: asked.cloned(),
            host,
            boot: self.boot,
            user: self.user,
            now,
            cluster: self.cluster,
            queue,
            foreign: self.foreign,
            ipython_dir: self.ipython_dir,
            traces: self.traces,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::parts::tests::part;
    use serde_json::json;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use std::path::Path;
    use std::process::Command;

    fn pointer(job: &str, record: &str) -> String {
        json!({"version": 1, "cluster": "lab", "job": job, "profile": "p", "host": "n1", "record": record}).to_string()
    }

    fn round(parts: &[Part]) -> Found {
        let mut round = Round::default();
        let head = [
            part("host", "login", "b-1\n"),
            part("user", "ada", ""),
            part("now", "1764000000", ""),
            part("queue", "absent", ""),
        ];
        for part in head.iter().chain(parts) {
            round.take(part);
        }
        round.found(None).expect("complete")
    }

    #[test]
    fn pointers_and_records_find_each_other() {
        let record = "{\"version\":1,\"state\":\"ready\"}";
        let found = round(&[
            part("pointer", "/s/lab.1.json", &pointer("1", "/r/1")),
            part("record", "/r/1", record),
            part("process", "42", "42 (ipjob) S 1"),
            // The profile of the first job is used again: the script shows a record once.
            part("pointer", "/s/lab.2.json", &pointer("2", "/r/1")),
            part("pointer", "/s/lab.3.json", &pointer("3", "/r/3")),
            part("absent", "/r/3", ""),
            part("pointer", "/s/lab.4.json", "garbage"),
            part("record", "/r/5", "{"),
        ]);
        let sights: Vec<bool> = found
            .traces
            .iter()
            .map(|trace| trace.record().is_some())
            .collect();
        assert_eq!(sights, [true, true, false, false, false]);
        assert_eq!(
            found.traces[1].process,
            Some((42, "42 (ipjob) S 1".to_owned()))
        );
        assert_eq!(found.traces[2].record, RecordFile::Absent);
        assert!(matches!(found.traces[3].pointer, Some(Err(_))));
        assert_eq!(found.traces[3].record_path, None);
        assert!(matches!(found.traces[4].record, RecordFile::Garbage(_)));
        assert_eq!(found.traces[4].pointer, None);
    }

    #[test]
    fn a_record_is_not_put_to_a_pointer_that_leads_elsewhere() {
        let found = round(&[
            part("pointer", "/s/lab.1.json", &pointer("1", "/r/1/../2")),
            part("record", "/r/1/../2", "{\"version\":1}"),
        ]);
        assert_eq!(found.traces.len(), 2);
        assert_eq!(found.traces[0].record(), None);
    }

    #[test]
    fn an_answer_that_breaks_off_is_no_answer() {
        let mut round = Round::default();
        round.take(&part("host", "login", ""));
        assert_eq!(round.found(None).expect_err("incomplete").exit_code(), 6);
    }

    /// Whether the script believes a directory, for a user with this home directory and these programs before those on PATH.
    fn believes(dir: &Path, home: &Path, programs: &Path) -> bool {
        let path = std::env::var("PATH").expect("text");
        let script = concat!(include_str!("find.sh"), "\nis_own \"$1\"");
        let status = Command::new("/bin/sh")
            .args(["-c", script, "sh"])
            .arg(dir)
            .env("HOME", home)
            .env("PATH", format!("{}:{path}", programs.display()))
            .status();
        status.expect("a shell").success()
    }

    #[test]
    fn the_script_judges_directories_as_ipjob_does() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir().expect("a directory");
        let path = |name: &str| place.path().join(name);
        let set = |name: &str, mode: u32, owner: Option<u32>, group: Option<u32>| {
            chown(path(name), owner, group).expect("we are root");
            fs::set_permissions(path(name), Permissions::from_mode(mode)).expect("ours");
        };
        for dir in ["pi/ada/.ipython", "pi/other", "closed", "bin"] {
            fs::create_dir_all(path(dir)).expect("made");
            set(dir, 0o700, None, None);
        }
        symlink(path("pi/ada"), path("home")).expect("a link");
        symlink("../other", path("pi/ada/out")).expect("a link");
        set("pi", 0o2770, Some(4242), Some(4242));
        for (dir, home, is_believed) in [
            ("pi/ada/.ipython", "pi/ada", true),
            ("pi/ada", "home", true),
            ("home/.ipython", "home", true),
            ("pi/other", "home", false),
            ("pi/ada/out", "home", false),
            ("pi/ada", "pi/other", false),
            ("pi/ada", "missing", false),
        ] {
            let told = believes(&path(dir), &path(home), &path("bin"));
            assert_eq!(told, is_believed, "{dir} from {home}");
        }
        set("pi", 0o777, None, None);
        let all = believes(&path("pi/ada"), &path("home"), &path("bin"));
        assert!(!all, "every user can write above");
        // The user's own group by name, while newgrp has set another.
        let id = "case $* in -un) echo ada ;; '-g ada') echo 70000 ;; -g) echo 4242 ;; *) echo 0 ;; esac";
        for (group, entry, is_believed) in [
            (0, "", true),
            (70000, "ada:x:70000:", true),
            (70000, "ada:x:70000:ada", true),
            (70000, "ada:x:70000:bob", false),
            (70000, "users:x:70000:", false),
            (70000, "", false),
            (4242, "ada:x:4242:", false),
        ] {
            set("closed", 0o2775, None, Some(group));
            for (program, text) in [("id", id.to_owned()), ("getent", format!("echo '{entry}'"))] {
                fs::write(path("bin").join(program), format!("#!/bin/sh\n{text}\n"))
                    .expect("written");
                set(&format!("bin/{program}"), 0o755, None, None);
            }
            let told = believes(&path("closed"), &path("home"), &path("bin"));
            assert_eq!(told, is_believed, "{group} {entry}");
        }
    }

    #[test]
    fn a_second_look_lists_no_directory_again() {
        let place = tempfile::tempdir().expect("a directory");
        let path = |name: &str| place.path().join(name);
        for dir in ["bin", ".ipython/profile_job_7"] {
            fs::create_dir_all(path(dir)).expect("made");
        }
        let record = path(".ipython/profile_job_7/ipjob.json");
        fs::write(&record, "{}").expect("written");
        for dir in [".ipython", ".ipython/profile_job_7"] {
            fs::set_permissions(path(dir), Permissions::from_mode(0o700)).expect("ours");
        }
        let counted = "echo ls >>\"$HOME/lists\"\nPATH=${PATH#*:} exec ls \"$@\"";
        fs::write(path("bin/ls"), format!("#!/bin/sh\n{counted}\n")).expect("written");
        fs::set_permissions(path("bin/ls"), Permissions::from_mode(0o700)).expect("ours");
        let look = "\njob=7 mark=mark lines= forgotten=; show_records; : >\"$HOME/lists\"; echo \"$(show_records)\"";
        let script = format!("{}{look}", include_str!("find.sh"));
        let system = std::env::var("PATH").expect("text");
        let output = Command::new("/bin/sh")
            .args(["-c", &script])
            .env("HOME", place.path())
            .env("PATH", format!("{}:{system}", path("bin").display()))
            .env_remove("IPYTHONDIR")
            .env_remove("XDG_STATE_HOME")
            .output();
        let told = String::from_utf8(output.expect("a shell").stdout).expect("text");
        let shown = format!("mark record {}\n{{}}", record.display());
        assert_eq!(told.matches(&shown).count(), 2, "{told}");
        assert_eq!(fs::read_to_string(path("lists")).expect("emptied"), "");
        // A shell may write a here-document to a file in /tmp, which may be full.
        assert!(!script.contains("<<"), "a here-document");
    }

    #[test]
    fn the_script_looks_here_too() {
        let job = Job::Id("99999999".to_owned());
        let mut search = Search::begin(None, Some(&job)).expect("a shell");
        let found = search.found().expect("this machine");
        assert_eq!(search.again().expect("again").traces, found.traces);
        assert_eq!(found.host, crate::here::site::identity::host());
        assert_eq!(found.boot, crate::here::os::process::boot_id());
        assert_eq!(found.traces, []);
    }
}
