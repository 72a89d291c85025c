//! `ipjob clean`: removes what jobs left that have ended. In doubt it removes nothing.

mod laptop;

use super::find::{Found, RecordFile, Search};
use super::job_state::State;
use super::jobs::{self, Job};
use super::queue::{Phase, Queue};
use super::target::{Target, place};
use crate::cli::jobs::CleanOptions;
use crate::failure::{Failure, Kind, Outcome};
use crate::here::os::text::printable;
use crate::report::console::Console;
use crate::report::output;

/// Removes what is left of one job, or of all.
pub fn run(options: &CleanOptions, console: &Console) -> Outcome<u8> {
    let target = Target::read(options.target.as_deref().unwrap_or_default())?;
    if target.job.is_some() == options.all {
        return Err(if options.all {
            Failure::usage("a job and --all were both given").hint("leave one of them out")
        } else {
            Failure::usage("no job was given")
                .hint("name one, as `ipjob status` shows it, or clean up after all that have ended with --all")
        });
    }
    let place = place(target.host.as_ref());
    let mut search = Search::begin(target.host.as_ref(), target.job.as_ref())?;
    let found = search.found()?;
    let local = match (&target.host, CleanOptions::ipython_dir()) {
        (None, Ok(dir)) => laptop::find(&dir, target.job.as_ref()),
        _ => Vec::new(),
    };
    let jobs = match jobs::chosen(&found, target.job.as_ref(), &place) {
        // On a laptop a job leaves no more than the profile that connect made.
        Err(failure) if failure.kind == Kind::NoJob && !local.is_empty() => Vec::new(),
        chosen => chosen?,
    };
    let mut kept = Vec::new();
    for profile in &local {
        kept.extend(laptop::remove(profile, options.dry_run).err());
    }
    for job in &jobs {
        match remains(&found, job) {
            Ok(remains) => kept.extend(remove(&mut search, &remains, options.dry_run)?),
            Err(doubt) => kept.push(format!("job {}: {doubt}", job.name())),
        }
    }
    // Of one job the first is told as the failure.
    for reason in kept.iter().skip(usize::from(!options.all)) {
        console.step(&format!("kept {reason}"));
    }
    if jobs.is_empty() && local.is_empty() {
        console.step(&format!("no ipjob jobs found on {place}"));
    }
    match kept.first().filter(|_| !options.all) {
        Some(reason) => Err(Failure::service(format!("not removed: {reason}"))
            .hint("`ipjob stop` ends a running job; when in doubt, ipjob removes nothing")),
        None => Ok(0),
    }
}

/// What of a job may be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Remains {
    /// The pointer.
    pointer: String,
    /// The record, in the profile directory; empty where that is not this job's any more.
    record: String,
    /// The life that the record tells of.
    life: String,
}

/// What of a job may be removed, or why nothing.
fn remains(found: &Found, job: &Job) -> Result<Remains, String> {
    is_over(found, job)?;
    let mut remains = Remains {
        pointer: job.trace.pointer_path.clone().unwrap_or_default(),
        ..Remains::default()
    };
    let Some(record) = job.record() else {
        return match job.trace.record {
            RecordFile::Absent if remains.pointer.is_empty() => Err("it left no files".to_owned()),
            // A record that is another job's now is that one's to remove.
            RecordFile::Absent | RecordFile::Read(_) => Ok(remains),
            RecordFile::Closed | RecordFile::Foreign | RecordFile::Garbage(_) => Err(note(job)),
        };
    };
    let (Some(life), Some(dir), Some(name), Some(path)) = (
        record.incarnation.id.as_deref(),
        record.profile.dir.as_deref(),
        record.profile.name.as_ref(),
        job.trace.record_path.as_deref(),
    ) else {
        return Err("its record does not name its profile".to_owned());
    };
    // A record that was copied or moved says nothing of the directory that it lies in.
    if path != format!("{dir}/ipjob.json") || !dir.ends_with(&format!("/profile_{name}")) {
        return Err(format!(
            "its record is in {path}, but says that its profile is {dir}"
        ));
    }
    path.clone_into(&mut remains.record);
    life.clone_into(&mut remains.life);
    Ok(remains)
}

/// Whether nothing of the job can run any more; else what speaks against it.
fn is_over(found: &Found, job: &Job) -> Result<(), String> {
    let record = job.record();
    let cluster = job.cluster.as_deref().ok_or_else(|| note(job))?;
    if job.id.is_some() {
        // Only its own cluster's queue knows it: clusters that share a home give out the same numbers.
        return match (&found.queue, &job.line) {
            (Queue::Absent, _) => Err("squeue is not available".to_owned()),
            (Queue::Silent(words), _) => Err(format!("squeue: {words}")),
            _ if job.cluster != found.cluster => {
                let here = found.cluster.as_deref().unwrap_or("unknown");
                Err(format!(
                    "it belongs to cluster {cluster}, and squeue here knows {here}"
                ))
            }
            (Queue::Told(_), Some(line)) if line.phase() != Phase::Over => {
                Err(format!("squeue says {}", line.state))
            }
            (Queue::Told(_), _) => Ok(()),
        };
    }
    if cluster != "local" {
        return Err(format!(
            "it has no job id, and belongs to cluster {cluster}"
        ));
    }
    let host = record.and_then(|record| record.incarnation.host.as_deref());
    let host = host
        .or_else(|| job.trace.told()?.host.as_deref())
        .unwrap_or_default();
    match (job.state, record) {
        (State::Ended, Some(_)) => Ok(()),
        (State::Ended | State::Dead, _) if host != found.host => Err(format!(
            "what became of it on {host} cannot be seen from {}",
            found.host
        )),
        // Its record was removed, or is another job's.
        (State::Ended, None) => Ok(()),
        // A process that is not seen may be in another container; one that lives writes its record.
        (State::Dead, Some(record)) if record.is_stale(found.now) => Ok(()),
        (State::Dead, _) => Err(format!(
            "{}, but its record is recent: try again in a few minutes",
            note(job)
        )),
        (state, _) => Err(format!("it is {}", state.word())),
    }
}

/// Removes, or only names, and returns what was kept and why.
fn remove(search: &mut Search, remains: &Remains, dry_run: bool) -> Outcome<Vec<String>> {
    let dry = if dry_run { "1" } else { "0" };
    let mut kept = Vec::new();
    for part in search.order(&[
        "remove",
        dry,
        &remains.pointer,
        &remains.record,
        &remains.life,
    ])? {
        let path = printable(&part.words);
        match part.kind.as_str() {
            "removed" if dry_run => output::line(&format!("would remove {path}")),
            "removed" => output::line(&format!("removed {path}")),
            "kept" => kept.push(format!("{path}: {}", printable(part.text().trim()))),
            _ => {}
        }
    }
    Ok(kept)
}

fn note(job: &Job) -> String {
    job.note
        .clone()
        .unwrap_or_else(|| format!("it is {}", job.state.word()))
}

#[cfg(test)]
mod tests {
    use super::super::find::Trace;
    use super::*;
    use crate::record::{Pointer, Record};
    use serde_json::{Value, json};

    /// A job that has left this, seen on the host `login` of the cluster `lab`; `queue` is what squeue prints.
    fn seen(queue: Queue, id: Option<&str>, changes: &[(&str, Value)]) -> Result<Remains, String> {
        let cluster = if id.is_some() { "lab" } else { "local" };
        let mut record = json!({
            "version": 1, "state": "ended", "reason": "SIGTERM", "job": {"cluster": cluster, "id": id, "nodes": ["n1"]},
            "incarnation": {"id": "lab.5.0.aa", "host": "login", "boot": "b-1", "pid": 42, "pid_start": 7},
            "profile": {"name": "p", "dir": "/h/profile_p"}, "updated": "2026-11-22T14:09:30Z", "refresh_s": 60
        });
        let mut pointer = json!({
            "version": 1, "cluster": cluster, "job": id, "profile": "p", "host": "login", "record": "/h/profile_p/ipjob.json"
        });
        for (field, value) in changes {
            let (file, field) = match field.strip_prefix("pointer:") {
                Some(field) => (&mut pointer, field),
                None => (&mut record, *field),
            };
            *file.pointer_mut(field).expect("a field") = value.clone();
        }
        let record = Record::read(record.to_string().as_bytes()).expect("a record");
        let trace = Trace {
            pointer_path: Some("/s/x.json".to_owned()),
            pointer: Some(Pointer::read(pointer.to_string().as_bytes())),
            record_path: pointer["record"].as_str().map(str::to_owned),
            record: RecordFile::Read(Box::new(record)),
            process: Some((42, String::new())),
        };
        let found = Found {
            asked: None,
            host: "login".to_owned(),
            boot: "b-1".to_owned(),
            user: "ada".to_owned(),
            now: "2026-11-22T14:10:00Z".parse().expect("a time"),
            cluster: Some("lab".to_owned()),
            queue,
            foreign: None,
            ipython_dir: None,
            traces: vec![trace],
        };
        let jobs = jobs::chosen(&found, None, "here").expect("jobs");
        remains(&found, &jobs[0])
    }

    fn told(line: &str) -> Queue {
        Queue::read(Some(0), line)
    }

    #[test]
    fn only_what_certainly_ended_is_removed() {
        let whole = Remains {
            pointer: "/s/x.json".to_owned(),
            record: "/h/profile_p/ipjob.json".to_owned(),
            life: "lab.5.0.aa".to_owned(),
        };
        let only_pointer = Remains {
            pointer: whole.pointer.clone(),
            ..Remains::default()
        };
        let ready = || ("/state", json!("ready"));
        let old = || ("/updated", json!("2026-11-22T13:00:00Z"));
        let job = Some("5");
        assert_eq!(seen(told(""), job, &[]), Ok(whole.clone()));
        assert_eq!(
            seen(told(""), job, &[ready()]),
            Ok(whole.clone()),
            "squeue does not know it: dead"
        );
        assert_eq!(
            seen(told("5|5|TIMEOUT|1|1|1|n|ada|r|x"), job, &[ready()]),
            Ok(whole.clone())
        );
        assert_eq!(seen(Queue::Absent, None, &[]), Ok(whole.clone()));
        assert_eq!(
            seen(Queue::Absent, None, &[ready(), old()]),
            Ok(whole.clone())
        );
        assert_eq!(
            seen(told(""), job, &[("/job/id", json!("6"))]),
            Ok(only_pointer),
            "used again"
        );
    }

    #[test]
    fn in_doubt_nothing_is_removed() {
        let ready = || ("/state", json!("ready"));
        let old = || ("/updated", json!("2026-11-22T13:00:00Z"));
        let job = Some("5");
        let eiger = || {
            vec![
                ("/job/cluster", json!("eiger")),
                ("pointer:/cluster", json!("eiger")),
            ]
        };
        for (queue, id, changes, doubt) in [
            (
                told("5|5|RUNNING|1|1|1|n|ada|r|x"),
                job,
                vec![],
                "squeue says RUNNING",
            ),
            (
                told("5|5|COMPLETING|1|1|1|n|ada|r|x"),
                job,
                vec![],
                "squeue says COMPLETING",
            ),
            (
                told("5|5|PENDING|1|1|1|n|ada|r|x"),
                job,
                vec![],
                "squeue says PENDING",
            ),
            (
                Queue::Silent("down".to_owned()),
                job,
                vec![],
                "squeue: down",
            ),
            (Queue::Absent, job, vec![], "squeue is not"),
            (told(""), job, eiger(), "cluster eiger"),
            (
                told(""),
                job,
                vec![("pointer:/cluster", Value::Null)],
                "another job's",
            ),
            (
                told(""),
                job,
                vec![("/profile/name", json!("../p"))],
                "does not name its profile",
            ),
            (
                told(""),
                job,
                vec![("/profile/dir", json!("/h/profile_p/../.."))],
                "does not name its profile",
            ),
            (
                told(""),
                job,
                vec![("/profile/dir", json!("/h"))],
                "says that its profile is /h",
            ),
            (
                told(""),
                job,
                vec![
                    ("/profile/dir", json!("/home")),
                    ("pointer:/record", json!("/home/ipjob.json")),
                ],
                "says that its profile is /home",
            ),
            (
                told(""),
                job,
                vec![("/incarnation/id", json!("a; b"))],
                "does not name its profile",
            ),
            (Queue::Absent, None, vec![ready()], "its record is recent"),
            (
                Queue::Absent,
                None,
                vec![ready(), old(), ("/incarnation/host", json!("other"))],
                "cannot be seen from login",
            ),
            (
                Queue::Absent,
                None,
                vec![
                    ("pointer:/cluster", json!("lab")),
                    ("/job/cluster", json!("lab")),
                ],
                "no job id",
            ),
        ] {
            let kept = seen(queue.clone(), id, &changes).expect_err(doubt);
            assert!(
                kept.contains(doubt),
                "{doubt:?} in {kept:?} for {queue:?} {changes:?}"
            );
        }
    }

    #[test]
    fn names_that_earlier_versions_took_are_cleaned() {
        for name in ["my job", "7", "-a"] {
            let dir = format!("/h/profile_{name}");
            let record = format!("{dir}/ipjob.json");
            let changes = [
                ("/profile/name", json!(name)),
                ("/profile/dir", json!(dir)),
                ("pointer:/profile", json!(name)),
                ("pointer:/record", json!(record)),
            ];
            let remains = seen(Queue::Absent, None, &changes).expect("it goes");
            assert_eq!(remains.record, record);
        }
    }
}
