//! Where in a job a session is to be, or why it cannot be. PURE.

use crate::failure::{Failure, Outcome};
use crate::plan::profile;
use crate::plan::slurm::short;
use crate::remote::find::Found;
use crate::remote::job_state::State;
use crate::remote::jobs::Job;
use crate::remote::queue::Phase;
use crate::remote::stop::{elsewhere, note};
use crate::remote::target::{Host, is_plain, place};
use std::path::Path;

/// A place for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The job's number, for srun.
    pub number: String,
    /// What people call the job.
    pub name: String,
    /// The node.
    pub node: String,
    /// The program of ipjob there.
    pub program: String,
    /// The record.
    pub record: String,
    /// The directory of the job's host key.
    pub directory: String,
}

/// What a person has said of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    /// The node.
    pub node: Option<&'a str>,
    /// The program of ipjob on the cluster.
    pub program: Option<&'a str>,
    /// The host that was asked.
    pub host: Option<&'a Host>,
}

impl Place {
    /// The place in this job.
    pub fn of(found: &Found, job: &Job, wishes: Wishes) -> Outcome<Self> {
        let name = job.full_name();
        let to = |job: &str| match wishes.host {
            Some(host) => format!("{}:{job}", host.as_str()),
            None => job.to_owned(),
        };
        let runs = job.line.as_ref();
        let runs = runs.is_some_and(|line| line.phase() == Phase::Running);
        match job.state {
            State::Pending => {
                return Err(Failure::no_job(format!(
                    "job {name} is not running yet: {}",
                    note(job)
                ))
                .hint(format!("`ipjob wait {}` waits for it", to(&job.name()))));
            }
            State::Ended => {
                return Err(Failure::no_job(format!(
                    "job {name} has ended: {}",
                    note(job)
                )));
            }
            State::Dead if !runs => {
                return Err(Failure::no_job(format!(
                    "job {name} is dead: {}",
                    note(job)
                )));
            }
            _ => {}
        }
        let Some(id) = &job.id else {
            return Err(without_slurm(found, job, wishes.host));
        };
        if let Some(failure) = elsewhere(found, job, &place(wishes.host), "ssh") {
            return Err(failure);
        }
        let lacking = |what: &str| {
            Failure::no_job(format!("job {name} has no {what}: {}", note(job)))
                .hint("a session needs a job that ipjob has started")
        };
        let record = job.record().ok_or_else(|| lacking("record"))?;
        let path = job.trace.record_path.clone();
        let path = path.ok_or_else(|| lacking("record"))?;
        let profile = record.profile.dir.as_deref();
        let profile = profile.ok_or_else(|| lacking("profile in its record"))?;
        let own = wishes.program.or(record.program.as_deref());
        let program = own.ok_or_else(|| {
            Failure::missing(format!(
                "the record of job {name} does not say where ipjob is: an earlier version wrote it"
            ))
            .hint("name it: --remote-ipjob PATH")
        })?;
        let restart = record.job.restart.unwrap_or_default();
        Ok(Self {
            number: id.number().to_owned(),
            node: node(job, wishes.node)?,
            name,
            program: program.to_owned(),
            record: path,
            directory: profile::ssh(Path::new(profile), restart)
                .display()
                .to_string(),
        })
    }

    /// The words of the script's order.
    #[must_use]
    pub fn words<'a>(&'a self, key: &'a str) -> [&'a str; 7] {
        [
            "session",
            &self.directory,
            key,
            &self.number,
            &self.node,
            &self.program,
            &self.record,
        ]
    }
}

/// The node: the one that was named, else the one that ipjob runs on, else the job's first.
fn node(job: &Job, wanted: Option<&str>) -> Outcome<String> {
    let record = job.record();
    let all: Vec<&str> = record
        .iter()
        .flat_map(|record| &record.job.nodes)
        .map(|node| &**node)
        .filter(|node| is_plain(node))
        .collect();
    let called = |name: &str| all.iter().find(|node| short(node) == short(name)).copied();
    let chosen = match wanted {
        Some(name) => called(name),
        None => record
            .and_then(|record| called(record.incarnation.host.as_deref()?))
            .or(all.first().copied()),
    };
    chosen.map(str::to_owned).ok_or_else(|| {
        let name = job.full_name();
        let wanted = wanted.unwrap_or("no node");
        Failure::usage(format!("job {name} does not run on {wanted}"))
            .hint(format!("its nodes: {}", all.join(", ")))
    })
}

/// There is no step to be had: who wants a session there logs in.
fn without_slurm(found: &Found, job: &Job, host: Option<&Host>) -> Failure {
    let name = job.full_name();
    let runs_on = job
        .record()
        .and_then(|record| record.incarnation.host.as_deref());
    let runs_on = runs_on.unwrap_or(&found.host);
    let failure = Failure::usage(format!(
        "job {name} runs without Slurm on {runs_on}, so there is no Slurm job to get into"
    ));
    match host {
        _ if runs_on != found.host => failure.hint(format!("log in to {runs_on}: `ssh {runs_on}`")),
        Some(host) => failure.hint(format!("log in there: `ssh {}`", host.as_str())),
        None => failure.hint("you are already there"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ending::Ending;
    use super::*;
    use crate::record::{Pointer, Record};
    use crate::remote::find::{RecordFile, Trace};
    use crate::remote::jobs;
    use crate::remote::parts::Part;
    use crate::remote::queue::Queue;
    use crate::remote::shell::LastWords;
    use crate::remote::target::Target;
    use serde_json::{Value, json};

    /// Job 5 of a cluster of two nodes, with these changes to its record, as squeue tells of it.
    fn job(queue: &str, changes: &[(&str, Value)]) -> (Found, Job) {
        let mut record = json!({
            "version": 1, "state": "ready", "reason": null, "program": "/opt/ipjob",
            "job": {"cluster": "lab", "id": "5", "nodes": ["n1", "n2"], "restart": 1},
            "incarnation": {"id": "lab.5.1.aa", "host": "n2.site.org", "boot": "b", "pid": 42, "pid_start": 7},
            "profile": {"name": "job_5", "dir": "/h/profile_job_5"}, "updated": "2026-11-22T14:09:30Z", "refresh_s": 60
        });
        for (field, value) in changes {
            *record.pointer_mut(field).expect("a field") = value.clone();
        }
        let text = |field: &str| record["job"][field].as_str();
        let pointer = json!({"version": 1, "cluster": text("cluster"), "job": text("id"), "profile": "job_5", "host": "n2",
            "record": "/h/profile_job_5/ipjob.json"});
        let trace = Trace {
            pointer_path: Some("/s/p.json".to_owned()),
            pointer: Some(Pointer::read(pointer.to_string().as_bytes())),
            record_path: Some("/h/profile_job_5/ipjob.json".to_owned()),
            record: RecordFile::Read(Box::new(
                Record::read(record.to_string().as_bytes()).expect("a record"),
            )),
            process: None,
        };
        let queue = match queue {
            "" => Queue::Absent,
            state => Queue::read(Some(0), &format!("5|5|{state}|2|1|2|n[1-2]|ada|None|x")),
        };
        let found = Found {
            asked: None,
            host: "login".to_owned(),
            boot: "b".to_owned(),
            user: "ada".to_owned(),
            now: "2026-11-22T14:10:00Z".parse().expect("a time"),
            cluster: Some("lab".to_owned()),
            queue,
            foreign: None,
            ipython_dir: None,
            traces: vec![trace],
        };
        let job = jobs::chosen(&found, None, "login").expect("jobs").remove(0);
        (found, job)
    }

    #[test]
    fn a_session_is_beside_ipjob_or_where_it_is_wanted() {
        let (found, job) = job("RUNNING", &[]);
        let place = |node, program| {
            let wishes = Wishes {
                node,
                program,
                host: None,
            };
            Place::of(&found, &job, wishes).expect("a place")
        };
        let there = place(None, None);
        assert_eq!(
            there.words("ecdsa AAAA"),
            [
                "session",
                "/h/profile_job_5/ipjob-runtime-1/ssh",
                "ecdsa AAAA",
                "5",
                "n2",
                "/opt/ipjob",
                "/h/profile_job_5/ipjob.json"
            ]
        );
        let there = place(Some("n1.site.org"), Some("ipjob"));
        assert_eq!(
            (there.node.as_str(), there.program.as_str()),
            ("n1", "ipjob")
        );
    }

    #[test]
    fn where_no_session_can_be_is_told_with_what_to_do() {
        let target = Target::read("daint:5").expect("a target");
        let running = "RUNNING";
        for (queue, changes, node, code, words) in [
            (
                "PENDING",
                vec![("/state", json!("ended"))],
                None,
                5,
                "`ipjob wait daint:5`",
            ),
            ("COMPLETED", vec![], None, 5, "squeue says COMPLETED"),
            (
                running,
                vec![("/state", json!("ended"))],
                None,
                5,
                "has ended",
            ),
            (running, vec![], Some("n3"), 2, "its nodes: n1, n2"),
            (
                running,
                vec![("/program", Value::Null)],
                None,
                4,
                "--remote-ipjob PATH",
            ),
            (
                running,
                vec![("/job/cluster", json!("eiger"))],
                None,
                4,
                "`ipjob ssh HOST:5`",
            ),
            ("", vec![], None, 4, "whose queue cannot be seen from daint"),
            (
                "",
                vec![("/job/id", Value::Null), ("/job/cluster", json!("local"))],
                None,
                2,
                "log in to n2.site.org",
            ),
            (
                "",
                vec![
                    ("/job/id", Value::Null),
                    ("/job/cluster", json!("local")),
                    ("/incarnation/host", json!("login")),
                ],
                None,
                2,
                "log in there: `ssh daint`",
            ),
        ] {
            let (found, job) = job(queue, &changes);
            let wishes = Wishes {
                node,
                program: None,
                host: target.host.as_ref(),
            };
            let failure = Place::of(&found, &job, wishes).expect_err(words);
            let told = format!("{failure} {}", failure.hints.join(" "));
            assert_eq!(
                (failure.exit_code(), told.contains(words)),
                (code, true),
                "{told}"
            );
        }
    }

    #[test]
    fn the_end_of_a_session_is_told_by_what_was_seen_of_it() {
        let target = Target::read("daint:5").expect("a target");
        let part = |words: &str| Part {
            kind: "code".to_owned(),
            words: words.to_owned(),
            body: Vec::new(),
        };
        let stopping = [("/state", json!("stopping")), ("/reason", json!("SIGTERM"))];
        let none = &stopping[..0];
        let (running, ending) = ("RUNNING", "COMPLETING");
        let lost = "the connection to daint was lost: Broken pipe";
        let ended = "the session on n2, in job 5, was ended: srun: killed";
        let cannot = "no session can be opened on n2, in job 5: node down";
        let shell = "`ssh -t daint srun --jobid=5 --overlap --nodelist=n2 --pty bash`";
        for (queue, changes, code, had_begun, errors, exit, expected) in [
            (running, none, None, true, "Broken pipe", 6, lost),
            (
                running,
                none,
                None,
                false,
                "Permission denied",
                6,
                "ssh to daint failed",
            ),
            (
                running,
                &stopping[..],
                Some("1"),
                true,
                "",
                5,
                "job 5 is stopping: SIGTERM",
            ),
            (
                ending,
                none,
                Some("1"),
                true,
                "",
                5,
                "job 5 is ending: squeue says COMPLETING",
            ),
            (running, none, Some("137"), true, "srun: killed", 1, ended),
            (running, none, Some("1"), false, "node down", 4, cannot),
            (running, none, Some("4"), false, "no sshd", 4, shell),
        ] {
            let (found, running) = self::job("RUNNING", &[]);
            let there = Place::of(&found, &running, Wishes::default()).expect("a place");
            let (_, after) = self::job(queue, changes);
            let words = LastWords {
                errors: errors.to_owned(),
                parts: code.map(part).into_iter().collect(),
            };
            let ending = Ending {
                there: &there,
                host: target.host.as_ref(),
                had_begun,
                words: &words,
                job: Some(&after),
            };
            let failure = ending.failure();
            let told = format!("{failure} {}", failure.hints.join(" "));
            assert_eq!(
                (failure.exit_code(), told.contains(expected)),
                (exit, true),
                "{told}"
            );
        }
    }
}
