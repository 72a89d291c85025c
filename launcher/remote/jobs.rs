//! The jobs that there are, and which of them a person means. PURE.

use super::find::{Found, Trace};
use super::job_state::{State, waits, with_record, without_record};
use super::queue::{Line, Phase, Queue};
use super::target;
use crate::failure::{Failure, Outcome};
use crate::plan::job::JobId;
use crate::plan::profile::ProfileName;
use crate::record::Record;
use jiff::Timestamp;

/// The beginning of the names of jobs from `ipjob template`: one of these without a record is shown as well.
const TEMPLATE_NAME: &str = "ipjob-";

/// One job.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// The Slurm cluster; `local` without Slurm, `None` where nothing tells it.
    pub cluster: Option<String>,
    /// The job of Slurm; `None` without it.
    pub id: Option<JobId>,
    /// The profile's name.
    pub profile: Option<ProfileName>,
    /// How it is.
    pub state: State,
    /// What explains the state.
    pub note: Option<String>,
    /// Its line in the queue.
    pub line: Option<Line>,
    /// What it left; nothing for a job that has not begun.
    pub trace: Trace,
}

impl Job {
    /// What people call it: its name in Slurm, or its profile.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.id.as_ref().map(|id| id.name().to_owned());
        name.or_else(|| self.profile.as_ref().map(ProfileName::to_string))
            .unwrap_or_else(|| "?".to_owned())
    }

    /// What it is called where that must mean one cluster of a job: with its profile, unless that is the job's own.
    #[must_use]
    pub fn full_name(&self) -> String {
        let own = self.number().map(ProfileName::of_job);
        match (&self.id, &self.profile) {
            (Some(id), Some(profile)) if own.as_ref() != Some(profile) => {
                format!("{} ({profile})", id.name())
            }
            _ => self.name(),
        }
    }

    /// Its number in Slurm.
    fn number(&self) -> Option<&str> {
        self.id.as_ref().map(JobId::number)
    }

    /// The record, if it is this job's.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        let record = self.trace.record()?;
        is_of(record, self.cluster.as_deref(), self.number()).then_some(record)
    }

    /// When its time ends.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let of_record = self
            .record()
            .and_then(|record| Some(record.job.deadline.as_ref()?.0));
        let of_queue = || {
            let line = self
                .line
                .as_ref()
                .filter(|line| line.phase() == Phase::Running)?;
            Timestamp::from_second(line.end?).ok()
        };
        of_record
            .or_else(of_queue)
            .filter(|_| !self.state.is_over())
    }
}

/// The words that name each of these jobs alone: several clusters of one job are told apart by their profiles.
#[must_use]
pub fn words(jobs: &[Job]) -> Vec<String> {
    let shared = |job: &Job| {
        jobs.iter()
            .filter(|other| other.name() == job.name())
            .count()
            > 1
    };
    let word = |job: &Job| match &job.profile {
        Some(profile) if shared(job) => profile.to_string(),
        _ => job.name(),
    };
    jobs.iter().map(word).collect()
}

/// Whether a record is of this job: a profile may have been used again.
fn is_of(record: &Record, cluster: Option<&str>, job: Option<&str>) -> bool {
    record.job.cluster.as_deref() == cluster && record.job.id.as_deref() == job
}

/// The jobs that are meant; without a name all of them. A named one that is not there is an error.
pub fn chosen(found: &Found, wanted: Option<&target::Job>, place: &str) -> Outcome<Vec<Job>> {
    let mut jobs: Vec<Job> = found
        .traces
        .iter()
        .map(|trace| judge(found, trace))
        .collect();
    let known = |jobs: &[Job], id: &JobId| {
        jobs.iter()
            .any(|job| job.number() == Some(id.number()) && job.cluster == found.cluster)
    };
    for line in found.queue.lines() {
        let named = match wanted {
            Some(target::Job::Id(id)) => is_meant(&line.job, id),
            Some(target::Job::Element(name)) => line.job.holds(name),
            Some(target::Job::Profile(_)) => false,
            None => is_of_template(line) && line.phase() != Phase::Over,
        };
        if named && !known(&jobs, &line.job) {
            let id = match wanted {
                // Of several that wait only this one is meant.
                Some(target::Job::Element(name)) => line.job.named(name),
                _ => line.job.clone(),
            };
            jobs.push(unseen(found, line, id));
        }
    }
    if let Some(wanted) = wanted {
        jobs.retain(|job| match wanted {
            target::Job::Profile(name) => job.profile.as_ref() == Some(name),
            target::Job::Id(id) => job.id.as_ref().is_some_and(|job| is_meant(job, id)),
            target::Job::Element(name) => job.id.as_ref().is_some_and(|job| job.holds(name)),
        });
        if jobs.is_empty() {
            return Err(no_such_job(found, wanted, place));
        }
    }
    jobs.sort_by_key(|job| {
        (
            job.state.is_over(),
            job.number().map_or(0, str::len),
            job.number().map(str::to_owned),
            job.profile.clone(),
        )
    });
    Ok(jobs)
}

/// Whether a job without a record is one of `ipjob template`, by its name.
#[must_use]
pub fn is_of_template(line: &Line) -> bool {
    line.name.starts_with(TEMPLATE_NAME)
}

/// Whether a job may be meant by this number: its own, or that of its array.
fn is_meant(job: &JobId, number: &str) -> bool {
    job.number() == number || job.array() == Some(number)
}

fn no_such_job(found: &Found, wanted: &target::Job, place: &str) -> Failure {
    let name = wanted.as_str();
    if let Some(line) = found
        .foreign
        .as_ref()
        .filter(|line| line.user != found.user)
    {
        return Failure::no_job(format!("job {name} is {}'s, not yours", line.user))
            .hint(format!("{} lists your own", found.status()));
    }
    let failure = match wanted {
        target::Job::Profile(_) => {
            let failure =
                Failure::no_job(format!("no job with a profile {name:?} found on {place}"));
            match found.asked {
                None => failure.hint(format!("if {name} is a host, write `{name}:`")),
                Some(_) => failure,
            }
        }
        _ => Failure::no_job(format!("you have no job {name} on {place}")),
    };
    let failure = match &found.queue {
        Queue::Silent(words) => failure.because(format!("squeue: {words}")),
        Queue::Absent if !matches!(wanted, target::Job::Profile(_)) => {
            let failure = failure.because(format!("there is no squeue on {place}"));
            match found.asked {
                None => failure.hint(format!(
                    "on a laptop write HOST:{name}, where HOST is what you type after `ssh`"
                )),
                Some(_) => failure,
            }
        }
        _ => failure,
    };
    failure.hint(format!("{} lists your jobs", found.status()))
}

/// A job that only the queue knows.
fn unseen(found: &Found, line: &Line, id: JobId) -> Job {
    let (state, note) = match line.phase() {
        Phase::Waiting => (State::Pending, waits(line, found.now)),
        Phase::Running => (
            State::Starting,
            format!("no record yet; squeue says {}", line.state),
        ),
        Phase::Over => (
            State::Ended,
            format!("it left no record; squeue says {}", line.state),
        ),
    };
    Job {
        cluster: found.cluster.clone(),
        id: Some(id),
        profile: None,
        state,
        note: Some(note),
        line: Some(line.clone()),
        trace: Trace::default(),
    }
}

/// One job by what it left.
fn judge(found: &Found, trace: &Trace) -> Job {
    let record = trace.record();
    let job = record.map(|record| &record.job);
    let (cluster, id, profile) = match trace.told() {
        Some(pointer) => (
            pointer.cluster.as_deref(),
            pointer.job.as_deref(),
            pointer.profile.as_ref(),
        ),
        None => (
            job.and_then(|job| job.cluster.as_deref()),
            job.and_then(|job| job.id.as_deref()),
            record.and_then(|record| record.profile.name.as_ref()),
        ),
    };
    let cluster = cluster.map(str::to_owned);
    let own = record.filter(|record| is_of(record, cluster.as_deref(), id));
    let asked = cluster.is_some() && cluster == found.cluster;
    // What stands for elements that wait has a number that is none of theirs.
    let line = id
        .as_ref()
        .filter(|_| asked)
        .and_then(|id| found.queue.job(id))
        .filter(|line| !line.job.is_several())
        .cloned();
    let id = id.and_then(|number| {
        let recorded = own.and_then(|record| record.job.name.as_deref());
        let told = line.as_ref().map(|line| line.job.clone());
        told.or_else(|| JobId::shown(number, recorded.unwrap_or(number)))
    });
    let (state, note) = match own {
        Some(record) => with_record(found, trace, record, line.as_ref(), id.is_some(), asked),
        None => without_record(found, trace, line.as_ref()),
    };
    Job {
        cluster,
        id,
        profile: profile.cloned(),
        state,
        note,
        line,
        trace: trace.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::find::RecordFile;
    use super::super::stop::{self, Order};
    use super::*;
    use crate::record::{JobNumber, Pointer, Text};
    use serde_json::{Value, json};

    const NOW: &str = "2026-11-22T14:10:00Z";

    fn found(queue: Queue, traces: Vec<Trace>) -> Found {
        Found {
            asked: None,
            host: "login".to_owned(),
            boot: "b-1".to_owned(),
            user: "ada".to_owned(),
            now: NOW.parse().expect("a time"),
            cluster: Some("lab".to_owned()),
            queue,
            foreign: None,
            ipython_dir: None,
            traces,
        }
    }

    fn told(lines: &[&str]) -> Queue {
        Queue::read(Some(0), &lines.join("\n"))
    }

    /// A trace of job 5 on the cluster `lab`, with these changes to its record.
    fn trace(changes: &[(&str, Value)]) -> Trace {
        let mut record = json!({
            "version": 1, "state": "ready", "reason": null, "job": {"cluster": "lab", "id": "5", "nodes": ["n1"], "restart": 0, "signal_to": null},
            "incarnation": {"id": "lab.5.0.aa", "host": "n1", "boot": "b-9", "pid": 42, "pid_start": 7},
            "profile": {"name": "job_5", "dir": "/h"}, "updated": "2026-11-22T14:09:30Z", "refresh_s": 60, "exit": null
        });
        for (field, value) in changes {
            *record.pointer_mut(field).expect("a field") = value.clone();
        }
        let pointer = json!({"version": 1, "cluster": "lab", "job": "5", "profile": "job_5", "host": "n1", "record": "/h/ipjob.json"});
        Trace {
            pointer_path: Some("/s/lab.5.json".to_owned()),
            pointer: Some(Pointer::read(pointer.to_string().as_bytes())),
            record_path: Some("/h/ipjob.json".to_owned()),
            record: RecordFile::Read(Box::new(
                Record::read(record.to_string().as_bytes()).expect("a record"),
            )),
            process: None,
        }
    }

    const RUNNING: &str = "5|5|RUNNING|1|1764000000|1764003600|n1|ada|None|x";
    const OLD: (&str, &str) = ("/updated", "2026-11-22T14:00:00Z");

    fn judged(queue: Queue, trace: Trace) -> (State, String) {
        let jobs = chosen(&found(queue, vec![trace]), None, "here").expect("jobs");
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        (jobs[0].state, jobs[0].note.clone().unwrap_or_default())
    }

    #[test]
    fn an_ipjob_outside_of_its_job_is_asked_on_its_own_host() {
        let order = |host: &str| {
            let trace = trace(&[("/incarnation/host", json!(host))]);
            let found = found(told(&[RUNNING]), vec![trace]);
            let job = chosen(&found, None, "here").expect("jobs").remove(0);
            stop::order(&found, &job, "here").map(|order| order.expect("it lives"))
        };
        assert!(matches!(order("n1.example.org"), Ok(Order::Node { .. })));
        let failure = order("login2").expect_err("srun does not reach it");
        let words = failure.hints.join(" ");
        assert!(words.contains("ipjob stop login2:5"), "{failure}");
        assert!(!words.contains("scancel"), "{failure}");
    }

    #[test]
    fn slurm_and_the_record_are_weighed_against_each_other() {
        let ended = ("/state", json!("ended"));
        let old = (OLD.0, json!(OLD.1));
        let elsewhere = ("/job/cluster", json!("eiger"));
        for (queue, changes, state, note) in [
            (told(&[RUNNING]), vec![], State::Ready, ""),
            (
                told(&[RUNNING]),
                vec![("/state", json!("degraded"))],
                State::Degraded,
                "",
            ),
            (
                told(&[RUNNING]),
                vec![old.clone()],
                State::Unknown,
                "last written 600 s ago; squeue says RUNNING",
            ),
            (told(&[]), vec![], State::Dead, "squeue no longer knows it"),
            (
                told(&[]),
                vec![ended.clone()],
                State::Ended,
                "no reason given",
            ),
            (
                told(&["5|5|TIMEOUT|1|1|1|n1|ada|TimeLimit|x"]),
                vec![],
                State::Dead,
                "squeue says TIMEOUT",
            ),
            (
                told(&["5|5|COMPLETING|1|1|1|n1|ada|None|x"]),
                vec![
                    ended.clone(),
                    ("/reason", json!("SIGTERM")),
                    ("/exit", json!(0)),
                ],
                State::Ended,
                "SIGTERM (exit code 0); squeue says COMPLETING",
            ),
            // A notebook's job, in which ipjob was a step.
            (
                told(&[RUNNING]),
                vec![
                    ended.clone(),
                    ("/job/signal_to", json!("5.1")),
                    ("/reason", json!("SIGTERM")),
                    ("/exit", json!(0)),
                ],
                State::Ended,
                "SIGTERM (exit code 0); the Slurm job is still RUNNING",
            ),
            (
                told(&[RUNNING]),
                vec![ended.clone(), ("/job/signal_to", json!("batch"))],
                State::Ended,
                "no reason given; squeue says RUNNING",
            ),
            (
                told(&["5|5|PENDING|1|N/A|N/A||ada|BeginTime|x"]),
                vec![ended.clone()],
                State::Pending,
                "requeued; squeue says PENDING (BeginTime)",
            ),
            (Queue::Silent("down".to_owned()), vec![], State::Ready, ""),
            (
                Queue::Silent("down".to_owned()),
                vec![old.clone()],
                State::Dead,
                "squeue: down",
            ),
            (
                Queue::Absent,
                vec![old.clone()],
                State::Dead,
                "squeue is not available here",
            ),
            // Slurm knows a job by the number that the pointer has, but the record is another cluster's.
            (
                told(&[RUNNING]),
                vec![elsewhere.clone()],
                State::Unknown,
                "its record is another job's now",
            ),
            (
                told(&[]),
                vec![("/job/id", json!("6"))],
                State::Ended,
                "its record is another job's now",
            ),
            (
                told(&[RUNNING]),
                vec![("/state", json!("fine"))],
                State::Unknown,
                "",
            ),
        ] {
            let found = judged(queue.clone(), trace(&changes));
            assert_eq!(found.0, state, "{queue:?} {changes:?}: {}", found.1);
            assert!(found.1.contains(note), "{note:?} in {:?}", found.1);
        }
    }

    #[test]
    fn a_job_of_another_cluster_is_not_looked_up_in_this_one() {
        let mut other = trace(&[("/job/cluster", json!("eiger"))]);
        if let Some(Ok(pointer)) = &mut other.pointer {
            pointer.cluster = Text::ours("eiger").into();
        }
        assert_eq!(judged(told(&[]), other.clone()).0, State::Ready);
        assert_eq!(
            judged(told(&["5|5|FAILED|1|1|1|n1|ada|None|x"]), other).0,
            State::Ready
        );
    }

    #[test]
    fn without_slurm_the_process_tells() {
        let local = |process: &str, host: &str, boot: &str| {
            let mut trace = trace(&[
                ("/job/cluster", json!("local")),
                ("/job/id", Value::Null),
                ("/incarnation/host", json!(host)),
                ("/incarnation/boot", json!(boot)),
            ]);
            trace.pointer = None;
            trace.process = Some((42, process.to_owned()));
            trace
        };
        let line = |state: char, start: u32| {
            format!("42 (ipjob) {state} 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 {start} 1 1")
        };
        let runs = line('S', 7);
        for (process, host, boot, state, note) in [
            (runs.as_str(), "login", "b-1", State::Ready, ""),
            (
                "",
                "login",
                "b-1",
                State::Dead,
                "its ipjob (pid 42 on login) is gone",
            ),
            (&line('Z', 7), "login", "b-1", State::Dead, "is gone"),
            (&line('S', 8), "login", "b-1", State::Dead, "is gone"),
            ("", "login", "b-0", State::Dead, "rebooted"),
            ("", "elsewhere", "b-1", State::Ready, ""),
            ("", "login", "", State::Ready, ""),
        ] {
            let found = judged(Queue::Absent, local(process, host, boot));
            assert_eq!(found.0, state, "{process} {host} {boot}: {}", found.1);
            assert!(found.1.contains(note), "{note:?} in {:?}", found.1);
        }
    }

    #[test]
    fn who_is_seen_to_live_is_not_dead_whatever_the_clocks_say() {
        for (updated, note) in [
            (
                "2026-11-22T13:09:30Z",
                "last written 3630 s ago, but its ipjob (pid 42) is running",
            ),
            ("2026-11-22T15:09:30Z", ""),
        ] {
            let mut living = trace(&[
                ("/updated", json!(updated)),
                ("/incarnation/host", json!("login")),
                ("/incarnation/boot", json!("b-1")),
            ]);
            let line = "42 (ipjob) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 7 1 1";
            living.process = Some((42, line.to_owned()));
            let (state, told) = judged(Queue::Absent, living);
            assert_eq!(state, State::Ready, "{told}");
            assert!(told.contains(note), "{told}");
        }
    }

    #[test]
    fn a_named_job_is_found_or_told_why_not() {
        let id = |word: &str| target::Job::Id(word.to_owned());
        let element = target::Job::Element("9_1".to_owned());
        let profile = target::Job::Profile(ProfileName::of_job("5"));
        let queue = told(&[
            RUNNING,
            "10|9_1|PENDING|1|N/A|N/A||ada|Priority|x",
            "11|11|RUNNING|1|1|1|n|ada|None|ipjob-jupyter",
        ]);
        let all = found(queue, vec![trace(&[])]);
        let names = |wanted: Option<&target::Job>| -> Vec<String> {
            let jobs = chosen(&all, wanted, "here").expect("jobs");
            jobs.iter().map(Job::name).collect()
        };
        assert_eq!(names(None), ["5", "11"]);
        assert_eq!(names(Some(&id("5"))), ["5"]);
        assert_eq!(names(Some(&profile)), ["5"]);
        assert_eq!(names(Some(&element)), ["9_1"]);
        assert_eq!(names(Some(&id("10"))), ["9_1"]);
        let mut other = all.clone();
        other.foreign = Line::read("7|7|RUNNING|1|1|1|n|bob|None|x");
        let failure = chosen(&other, Some(&id("7")), "here").expect_err("bob's");
        assert_eq!(
            (failure.exit_code(), failure.message.as_str()),
            (5, "job 7 is bob's, not yours")
        );
        let failure = chosen(&all, Some(&id("8")), "daint").expect_err("none");
        assert_eq!(
            (failure.exit_code(), failure.message.as_str()),
            (5, "you have no job 8 on daint")
        );
        let silent = found(Queue::Silent("down".to_owned()), vec![]);
        let failure = chosen(&silent, Some(&id("8")), "here").expect_err("none");
        assert_eq!(failure.cause.as_deref(), Some("squeue: down"));
    }

    /// An array of which `6_2`, the last to start, has the array's number, and `6_3` waits.
    fn array() -> Found {
        let mut record = trace(&[("/job/id", json!("6"))]);
        if let Some(Ok(pointer)) = &mut record.pointer {
            pointer.job = JobNumber::ours("6").into();
        }
        let lines = [
            "6|6_2|RUNNING|1|1764000000|1764003600|n1|ada|None|x",
            "7|6_0|RUNNING|1|1764000000|1764003600|n1|ada|None|x",
            "8|6_[3,5%2]|PENDING|1|N/A|N/A||ada|Resources|ipjob-jupyter",
        ];
        found(told(&lines), vec![record])
    }

    #[test]
    fn an_element_is_called_by_a_name_that_means_it_only() {
        let all = array();
        let named = |wanted: &target::Job| -> Vec<(String, String)> {
            let jobs = chosen(&all, Some(wanted), "here").expect("jobs");
            let both = |job: &Job| {
                job.id
                    .as_ref()
                    .map(|id| (id.name().to_owned(), id.number().to_owned()))
            };
            jobs.iter().filter_map(both).collect()
        };
        let pair = |name: &str, number: &str| (name.to_owned(), number.to_owned());
        let element = |name: &str| target::Job::Element(name.to_owned());
        assert_eq!(named(&element("6_2")), [pair("6_2", "6")]);
        assert_eq!(named(&element("6_0")), [pair("6_0", "7")]);
        assert_eq!(named(&element("6_5")), [pair("6_5", "8")]);
        assert!(chosen(&all, Some(&element("6_4")), "here").is_err());
        // The number may mean the array, so all of it is told.
        let number = target::Job::Id("6".to_owned());
        let whole = [pair("6_2", "6"), pair("6_0", "7"), pair("6_[3,5]", "8")];
        assert_eq!(named(&number), whole);
        assert_eq!(named(&target::Job::Id("7".to_owned())), [pair("6_0", "7")]);
    }

    #[test]
    fn an_element_that_squeue_does_not_tell_of_is_known_by_its_record() {
        let mut left = trace(&[("/job/id", json!("6"))]);
        if let (RecordFile::Read(record), Some(Ok(pointer))) = (&mut left.record, &mut left.pointer)
        {
            record.job.name = Text::ours("6_2").into();
            pointer.job = JobNumber::ours("6").into();
        }
        let silent = found(Queue::Silent("down".to_owned()), vec![left]);
        let element = target::Job::Element("6_2".to_owned());
        let jobs = chosen(&silent, Some(&element), "here").expect("jobs");
        assert_eq!(jobs[0].name(), "6_2");
    }
}
