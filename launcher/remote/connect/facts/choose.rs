//! Which job is meant where none was named.

use super::{Facts, Told};
use crate::failure::Failure;
use crate::plan::job::{JobId, element};
use crate::record::{Record, State};
use crate::remote::connect::event::Event;
use crate::remote::queue::{self, Queue};
use crate::remote::target::Job;

impl Facts {
    /// Which of all jobs is meant, where none was named: the only one that runs.
    pub(super) fn choose(&self) -> Told {
        let alive: Vec<&Record> = self
            .found
            .iter()
            .filter_map(|found| found.record.as_ref().ok())
            .filter(|record| !record.has_ended() && self.is_of_this_cluster(record))
            .filter(|record| match (record.job.id.as_deref(), &self.queue) {
                (Some(id), Some(queue @ Queue::Told(_))) => queue
                    .job(id)
                    .is_some_and(|line| line.phase() != queue::Phase::Over),
                _ => self.now.is_none_or(|now| !record.is_stale(now)),
            })
            .collect();
        let named = |record: &Record| {
            let number = record.job.id.as_deref()?;
            let told = self.queue.as_ref().and_then(|queue| queue.job(number));
            let name = told.map_or_else(
                || JobId::shown(number, record.job.name.as_deref().unwrap_or(number)),
                |line| Some(line.job.clone()),
            );
            name.map(|job| job.name().to_owned())
        };
        let name = |record: &Record| {
            named(record).or_else(|| record.profile.name.as_ref().map(ToString::to_string))
        };
        match alive.as_slice() {
            [only] => match (only.job.id.as_deref(), only.profile.name.as_ref()) {
                (Some(id), _) => Told::Only(match named(only) {
                    Some(name) if element(&name).is_some() => Job::Element(name),
                    _ => Job::Id(id.to_owned()),
                }),
                (None, Some(profile)) => Told::Only(Job::Profile(profile.clone())),
                (None, None) => Told::Event(Event::Refused(Failure::no_job(
                    "the only record names no job",
                ))),
            },
            [] => Told::Event(Event::Refused(
                Failure::no_job(format!("no running ipjob jobs found on {}", self.place))
                    .hint("name a pending job by its id: HOST:JOB"),
            )),
            several => {
                let mut failure = Failure::usage(format!(
                    "{} jobs run on {}: name one",
                    several.len(),
                    self.place
                ));
                for record in several {
                    let name = name(record).unwrap_or_else(|| "?".to_owned());
                    let nodes: Vec<&str> = record.job.nodes.iter().map(|node| &**node).collect();
                    let mode = record.mode.map(|mode| mode.to_string());
                    failure = failure.hint(format!(
                        "{name}: {}, {}, on {}",
                        mode.as_deref().unwrap_or("?"),
                        record.state.map_or("?", State::word),
                        nodes.join(", ")
                    ));
                }
                Told::Event(Event::Refused(failure))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::profile::ProfileName;
    use crate::remote::parts::Part;
    use serde_json::json;

    fn part(kind: &str, words: &str, body: &str) -> Part {
        Part {
            kind: kind.to_owned(),
            words: words.to_owned(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn of_a_host_that_tells_records_without_end_no_more_are_kept_than_a_user_has() {
        let mut facts = Facts::new(None, "daint".to_owned());
        let long = format!("{{\"version\": 1}}{}", " ".repeat(1 << 20));
        for _ in 0..70 {
            facts.take(&part("record", "/x/profile_a/ipjob.json", &long));
        }
        assert_eq!(facts.found.len(), 63);
        facts.take(&part("records", "", ""));
        facts.take(&part("record", "/x/profile_a/ipjob.json", &long));
        assert_eq!(facts.found.len(), 1);
    }

    #[test]
    fn an_element_that_nobody_named_has_the_profile_of_its_record() {
        let record = json!({"version": 1, "state": "ready", "job": {"cluster": "lab", "id": "7", "name": "6_2"},
            "profile": {"name": "job_7"}, "updated": "2026-11-22T14:09:30Z", "refresh_s": 60});
        let queue = "7|6_2|RUNNING|1|1764000000|1764003600|n1|ada|None|x";
        let told = [
            part("queue", "0", queue),
            part("record", "/h/ipjob.json", &record.to_string()),
        ];
        let mut facts = Facts::new(None, "this machine".to_owned());
        for part in &told {
            facts.take(part);
        }
        assert_eq!(facts.profile(), None);
        let chosen = facts.take(&part("look", "", ""));
        let job = Job::Element("6_2".to_owned());
        assert_eq!(chosen, [Told::Only(job.clone())]);
        let mut facts = Facts::again(job, &facts);
        for part in &told {
            facts.take(part);
        }
        assert_eq!(facts.profile().map(ProfileName::as_str), Some("job_7"));
    }
}
