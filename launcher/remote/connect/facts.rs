//! From the parts that the remote end tells to the machine's events. PURE.

use super::endpoints::{ClientFile, Page, Reach};
use super::event::{Event, Phase, Queued, Seen};
use crate::failure::Failure;
use crate::here::os::text::printable;
use crate::plan::job::{JobId, element};
use crate::plan::profile::{ProfileName, ipython_dir, is_same};
use crate::plan::settings::Mode;
use crate::record::{PageUrl, Record, State};
use crate::remote::parts::Part;
use crate::remote::queue::{self, Queue};
use crate::remote::target::{self, Job};
use jiff::Timestamp;
use std::cmp::Reverse;

/// The longest client file that is read, in bytes.
const LONGEST_CLIENT: usize = 64 * 1024;

/// Bytes of all records of one look that are kept: those of all jobs of a user are much less.
const LONGEST_LOOK: usize = 64 * 1024 * 1024;

/// What a part means for the loop.
#[derive(Debug, PartialEq)]
pub enum Told {
    /// Something for the machine.
    Event(Event),
    /// The only job that runs: from now on it is meant.
    Only(Job),
}

/// One record as it was told.
#[derive(Debug)]
struct Found {
    path: String,
    record: Result<Record, String>,
    client: Option<String>,
}

/// What has been told so far.
#[derive(Debug)]
pub struct Facts {
    job: Option<Job>,
    place: String,
    opened: bool,
    user: Option<String>,
    cluster: Option<String>,
    now: Option<Timestamp>,
    queue: Option<Queue>,
    owner: Option<queue::Line>,
    found: Vec<Found>,
    /// Bytes of these records.
    taken: usize,
    closed: Option<String>,
    /// The IPython directory of a shell there.
    ipython_dir: Option<String>,
    /// Which of a job's clusters was taken first: it stays that one.
    kept: Option<Kept>,
}

/// A cluster of a job.
#[derive(Clone, Debug)]
struct Kept {
    /// Where its record lies.
    path: String,
    /// How often the job had been requeued.
    restart: u32,
}

impl Facts {
    /// Nothing is known of the job at that place (`daint`, `this machine`).
    #[must_use]
    pub fn new(job: Option<Job>, place: String) -> Self {
        Self {
            job,
            place,
            opened: false,
            user: None,
            cluster: None,
            now: None,
            queue: None,
            owner: None,
            found: Vec::new(),
            taken: 0,
            closed: None,
            ipython_dir: None,
            kept: None,
        }
    }

    /// The job that is meant, once it is known.
    #[must_use]
    pub fn job(&self) -> Option<&Job> {
        self.job.as_ref()
    }

    /// Whether there is no Slurm where the job was looked for.
    #[must_use]
    pub fn is_without_slurm(&self) -> bool {
        self.queue == Some(Queue::Absent)
    }

    /// The number by which srun knows the job, as its record tells it; `None` without Slurm.
    #[must_use]
    pub fn number(&self) -> Option<&str> {
        self.told()?.job.id.as_deref()
    }

    /// The job's own profile, as its record tells it.
    #[must_use]
    pub fn profile(&self) -> Option<&ProfileName> {
        self.told()?.profile.name.as_ref()
    }

    /// The record of the job that is meant.
    fn told(&self) -> Option<&Record> {
        self.chosen(self.job.as_ref()?)?.record.as_ref().ok()
    }

    /// The same place, and now this job.
    #[must_use]
    pub fn again(job: Job, earlier: &Self) -> Self {
        let mut facts = Self::new(Some(job), earlier.place.clone());
        facts.opened = true;
        facts
    }

    /// The remote end begins anew.
    pub fn restart(&mut self) {
        let kept = self.kept.take();
        *self = Self {
            kept,
            ..Self::new(self.job.clone(), self.place.clone())
        };
    }

    /// Takes one part.
    pub fn take(&mut self, part: &Part) -> Vec<Told> {
        let mut told = Vec::new();
        if !self.opened {
            self.opened = true;
            told.push(Told::Event(Event::Opened));
        }
        match part.kind.as_str() {
            "user" => self.user = Some(printable(&part.words)),
            "cluster" => {
                self.cluster = Some(printable(&part.words)).filter(|name| !name.is_empty());
            }
            "now" => {
                self.now = part
                    .words
                    .trim()
                    .parse()
                    .ok()
                    .and_then(|now| Timestamp::from_second(now).ok());
            }
            "queue" if part.words == "absent" => self.queue = Some(Queue::Absent),
            "queue" => self.queue = Some(Queue::read(part.words.parse().ok(), &part.text())),
            "owner" => self.owner = part.text().lines().find_map(queue::Line::read),
            "records" => {
                self.found.clear();
                self.taken = 0;
                self.closed = None;
            }
            "record" => {
                self.taken = self.taken.saturating_add(part.body.len());
                if self.taken <= LONGEST_LOOK {
                    self.found.push(Found {
                        path: printable(&part.words),
                        record: Record::read(&part.body),
                        client: None,
                    });
                }
            }
            "client" => {
                if let Some(found) = self.found.last_mut()
                    && part.body.len() <= LONGEST_CLIENT
                {
                    found.client = Some(part.text());
                }
            }
            "closed" => self.closed = Some(printable(&part.words)),
            "profiles" => self.ipython_dir = Some(part.words.clone()),
            "beat" => told.extend(self.stale().map(Told::Event)),
            "look" => told.extend(self.look()),
            _ => {}
        }
        told
    }

    /// All has been told: what follows.
    fn look(&mut self) -> Vec<Told> {
        let Some(job) = self.job.clone() else {
            return vec![self.choose()];
        };
        let living = self.living(&job);
        let earlier = self.kept.as_ref().map(|kept| kept.restart);
        if living.as_ref().map(|living| living.restart) > earlier {
            self.kept = living;
        }
        // The record first: Slurm's word alone, that a job is gone, would hide what the record says of it.
        let mut told = vec![Told::Event(self.record(&job))];
        told.extend(self.queued(&job).map(Told::Event));
        told.extend(self.stale().map(Told::Event));
        told
    }

    /// The event of a record that is older than a living job lets it become.
    fn stale(&self) -> Option<Event> {
        let record = self.told()?;
        let now = self.now?;
        (!record.has_ended() && record.is_stale(now))
            .then(|| Event::Stale(record.age_s(now).unwrap_or(0)))
    }

    /// The record of the job: of several the one that lives, of these that of the cluster that was taken before, else of the first cluster.
    fn chosen(&self, job: &Job) -> Option<&Found> {
        self.meant(job).max_by_key(|found| {
            let record = found.record.as_ref().ok();
            let is_old = |record: &Record| self.now.is_some_and(|now| record.is_stale(now));
            let own = self.ipython_dir.as_deref();
            let place = ipython_dir(&found.path).zip(own);
            // Of several clusters of one job always the same: the first, whose name is the shortest.
            (
                record.is_some_and(|record| !record.has_ended()),
                record.is_some_and(|record| !is_old(record)),
                record.map(|record| Reverse((*record.profile.name).clone())),
                place.is_some_and(|(its, own)| is_same(its, own)),
                record.and_then(|record| *record.updated),
            )
        })
    }

    /// The records that may be the job's. Another cluster of the job is another one, unless it is a later life's.
    fn meant(&self, job: &Job) -> impl Iterator<Item = &Found> {
        let is_it = move |found: &&Found| match &found.record {
            // One that cannot be read was found by the job's own pointer, or lies in its profile.
            Err(_) => match job {
                Job::Profile(name) => found.path.ends_with(&format!("/profile_{name}/ipjob.json")),
                Job::Id(_) | Job::Element(_) => true,
            },
            Ok(record) => self.is_meant(job, record) && self.is_of_this_cluster(record),
        };
        let is_kept = |found: &&Found| {
            self.kept.as_ref().is_none_or(|kept| {
                let restart = found.record.as_ref().ok().and_then(|it| *it.job.restart);
                found.path == kept.path || restart > Some(kept.restart)
            })
        };
        self.found.iter().filter(is_it).filter(is_kept)
    }

    /// The cluster that the job is taken for, once it lives.
    fn living(&self, job: &Job) -> Option<Kept> {
        let found = self.chosen(job)?;
        let record = found.record.as_ref().ok()?;
        (!record.has_ended()).then(|| Kept {
            path: found.path.clone(),
            restart: record.job.restart.unwrap_or_default(),
        })
    }

    /// The other clusters of the job that live, by what names each.
    #[must_use]
    pub fn others(&self) -> Vec<String> {
        let Some((job, own)) = self.job.as_ref().zip(self.kept.as_ref()) else {
            return Vec::new();
        };
        let named = self.found.iter().filter_map(|found| {
            let record = found.record.as_ref().ok()?;
            let lives = !record.has_ended() && self.now.is_none_or(|now| !record.is_stale(now));
            let is_it = self.is_meant(job, record) && self.is_of_this_cluster(record);
            let name = record.profile.name.as_ref()?;
            let told = match job {
                Job::Profile(_) => format!("{name} in {}", ipython_dir(&found.path)?),
                Job::Id(_) | Job::Element(_) => name.to_string(),
            };
            (found.path != own.path && lives && is_it).then_some(told)
        });
        named.collect()
    }

    fn is_meant(&self, job: &Job, record: &Record) -> bool {
        let number = record.job.id.as_deref();
        match job {
            Job::Id(id) => number == Some(id.as_str()),
            Job::Element(name) => {
                let queue = self.queue.as_ref();
                let line = queue.and_then(|queue| queue.element(name));
                match (line, record.job.name.as_deref()) {
                    (Some(line), _) => number == Some(line.job.number()),
                    (None, told) => told.is_none_or(|told| told == name),
                }
            }
            Job::Profile(name) => record.profile.name.as_ref() == Some(name),
        }
    }

    /// Clusters that share a home directory give out the same job ids.
    fn is_of_this_cluster(&self, record: &Record) -> bool {
        let its = record.job.cluster.as_deref();
        match (self.cluster.as_deref(), its, record.job.id.as_ref()) {
            (Some(here), Some(its), Some(_)) => here == its,
            _ => true,
        }
    }

    fn record(&self, job: &Job) -> Event {
        let Some(found) = self.chosen(job) else {
            if let Some(path) = &self.closed {
                return Event::Unusable(
                    Failure::no_job(format!("the record {path} cannot be read there")).hint(
                        "it belongs to another user, or its file system is not mounted there",
                    ),
                );
            }
            let elsewhere = self.found.iter().find_map(|found| {
                let record = found.record.as_ref().ok()?;
                let cluster = record.job.cluster.as_deref()?;
                (self.is_meant(job, record) && !record.has_ended()).then_some(cluster)
            });
            return match elsewhere {
                Some(cluster) => Event::Refused(
                    Failure::no_job(format!(
                        "job {} is on the cluster {cluster}, and {} belongs to {}",
                        job.as_str(),
                        self.place,
                        self.cluster.as_deref().unwrap_or("another")
                    ))
                    .hint(format!("name a login node of {cluster}")),
                ),
                // Slurm knows nothing of a profile, so nothing can be waited for.
                None if matches!(job, Job::Profile(_)) => Event::Refused(
                    Failure::no_job(format!("no job with the profile {} found on {}", job.as_str(), self.place))
                        .hint("name a Slurm job by its id, and a job without Slurm by the profile that it printed"),
                ),
                None => Event::Absent,
            };
        };
        match &found.record {
            Ok(record) => seen(record, found.client.as_deref()).map_or_else(
                |fault| self.unusable(found, &fault),
                |seen| Event::Seen(Box::new(seen)),
            ),
            Err(fault) => self.unusable(found, fault),
        }
    }

    fn unusable(&self, found: &Found, fault: &str) -> Event {
        Event::Unusable(Failure::no_job(format!(
            "the record {} on {} cannot be used: {fault}",
            found.path, self.place
        )))
    }

    /// What Slurm says of the job; nothing where there is no Slurm and the job is none of it.
    fn queued(&self, job: &Job) -> Option<Event> {
        let queue = self.queue.as_ref()?;
        let line = match job {
            Job::Profile(_) => {
                // A profile may be that of a scheduler's job all the same.
                let record = self.chosen(job)?.record.as_ref().ok()?;
                queue.job(record.job.id.as_deref()?)
            }
            Job::Id(id) => match queue.job(id) {
                Some(several) if several.job.is_several() => {
                    let name = several.job.name();
                    return Some(Event::Refused(
                        Failure::usage(format!(
                            "{id} is a job array, and {name} of it are pending"
                        ))
                        .hint(format!("name one of its elements: {id}_INDEX")),
                    ));
                }
                line => line,
            },
            Job::Element(name) => queue.element(name),
        };
        if line.is_none()
            && let Some(owner) = &self.owner
            && self.user.as_ref().is_some_and(|user| *user != owner.user)
        {
            return Some(Event::Refused(
                Failure::no_job(format!(
                    "job {} is {}'s, and you are {} on {}",
                    job.as_str(),
                    owner.user,
                    self.user.as_deref().unwrap_or("somebody else"),
                    self.place
                ))
                .hint("you can only connect to your own jobs: key and token are secret"),
            ));
        }
        Some(Event::Queued(match (queue, line) {
            (Queue::Absent, _) => Queued::NoSlurm,
            (Queue::Silent(words), _) => Queued::Unknown(words.clone()),
            (Queue::Told(_), None) => Queued::Gone(None),
            (Queue::Told(_), Some(line)) => in_queue(line, self.now),
        }))
    }
}

/// Which job is meant where none was named.
impl Facts {
    /// Which of all jobs is meant, where none was named: the only one that runs.
    fn choose(&self) -> Told {
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
        // Several clusters of one job have its name.
        let several = |record: &Record| {
            let same = |other: &&&Record| name(other) == name(record);
            alive.iter().filter(same).count() > 1
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
            [] => Told::Event(Event::Refused(Failure::no_job(format!(
                "no running ipjob jobs found on {}",
                self.place
            )))),
            all => {
                let mut failure = Failure::usage(format!(
                    "{} jobs run on {}: name one",
                    all.len(),
                    self.place
                ));
                for record in all {
                    let profile = record.profile.name.as_ref().map(ToString::to_string);
                    let name = profile.filter(|_| several(record)).or_else(|| name(record));
                    let name = name.unwrap_or_else(|| "?".to_owned());
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

// What a record and a line of Slurm's queue mean for the machine.

/// What a line of the queue means for a job that is waited for, at this moment.
#[must_use]
pub fn in_queue(line: &queue::Line, now: Option<Timestamp>) -> Queued {
    let reason = line
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(" ({reason})"));
    match line.phase() {
        queue::Phase::Over => Queued::Gone(Some(line.state.clone())),
        queue::Phase::Waiting => {
            let start = line
                .expected(now)
                .map_or_else(String::new, |start| format!(", expected to start {start}"));
            Queued::Waiting(format!(
                "the job is {}{reason}{start}",
                line.state.to_lowercase()
            ))
        }
        queue::Phase::Running => match line.state.as_str() {
            "COMPLETING" => Queued::Completing,
            "RUNNING" => Queued::Running(line.start.unwrap_or(0)),
            other => Queued::Waiting(format!("the job is {}{reason}", other.to_lowercase())),
        },
    }
}

/// What a record tells; or what is wrong with one that should be usable.
pub fn seen(record: &Record, client: Option<&str>) -> Result<Seen, String> {
    let phase = match *record.state {
        Some(State::Starting) => Phase::Starting,
        Some(State::Ready | State::Degraded) => Phase::Ready,
        Some(State::Stopping) => Phase::Stopping,
        Some(State::Ended) => Phase::Ended,
        None => return Err("it has no state".to_owned()),
    };
    let reach = match (phase, client) {
        (Phase::Ready, Some(client)) => Some(reach(record, client)?),
        _ => None,
    };
    let count = |number: Option<u32>| number.map_or("?".to_owned(), |number| number.to_string());
    let mut progress = format!(
        "engines {}/{}",
        count(*record.engines.registered),
        count(*record.engines.expected)
    );
    if let Some(moment) = record.timeline.last() {
        progress = format!("{progress}, {}", moment.event);
    }
    Ok(Seen {
        life: record
            .incarnation
            .id
            .as_deref()
            .unwrap_or_default()
            .to_owned(),
        phase,
        progress,
        reason: record.reason.as_deref().map(str::to_owned),
        exit: *record.exit,
        updated: record.updated.map_or(0, |updated| updated.0.as_second()),
        scheduled: record.job.id.is_some(),
        reach,
    })
}

fn reach(record: &Record, client: &str) -> Result<Reach, String> {
    let node = record.host.as_deref().filter(|host| target::is_plain(host));
    let node = node.ok_or("it does not name its host")?.to_owned();
    let ip = record.ip.map(|ip| ip.0);
    let client = ClientFile::read(client, ip)?;
    let page = if *record.mode == Some(Mode::ClusterOnly) {
        None
    } else {
        let page = record.url.as_ref().map(PageUrl::path);
        let (Some(ip), Some(port), Some(page), Some(token)) =
            (ip, *record.port, page, record.token.as_deref())
        else {
            return Err(format!(
                "it does not say where Jupyter is ({})",
                if record.faults.is_empty() {
                    "fields are missing".to_owned()
                } else {
                    format!("strange: {}", record.faults.join(", "))
                }
            ));
        };
        Some(Page::new(ip, port.get(), page, token)?)
    };
    Ok(Reach { node, page, client })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::profile::ProfileName;
    use crate::remote::parts::Part;
    use crate::remote::parts::tests::part;
    use serde_json::json;

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

    /// What a host tells of clusters of job 7: name, state and how often the job was requeued.
    fn clusters(told: &[(&str, &str, u32)]) -> Vec<Part> {
        let record = |(name, state, restart): &(&str, &str, u32)| {
            let record = json!({"version": 1, "state": state, "job": {"cluster": "lab", "id": "7", "restart": restart},
                "profile": {"name": name}, "updated": "2026-11-22T14:09:30Z", "refresh_s": 60});
            part(
                "record",
                &format!("/h/profile_{name}/ipjob.json"),
                &record.to_string(),
            )
        };
        let head = [
            part(
                "queue",
                "0",
                "7|7|RUNNING|1|1764000000|1764003600|n1|ada|None|x",
            ),
            part("records", "", ""),
        ];
        let all = head.into_iter().chain(told.iter().map(record));
        all.chain([part("look", "", "")]).collect()
    }

    #[test]
    fn of_several_clusters_the_one_that_was_taken_first_stays_and_the_others_are_named() {
        let mut facts = Facts::new(Some(Job::Id("7".to_owned())), "daint".to_owned());
        let mut hears = |told: &[(&str, &str, u32)]| {
            for part in clusters(told) {
                facts.take(&part);
            }
            let name = facts.profile().expect("one").to_string();
            (name, facts.others().join(" "))
        };
        for state in ["starting", "ended"] {
            let (one, others) = hears(&[("job_7-2", "ready", 0), ("job_7", state, 0)]);
            assert_eq!((one.as_str(), others.as_str()), ("job_7", "job_7-2"));
        }
        // A later life of the job is followed, whatever its profile.
        let later = [("job_7", "ended", 0), ("mine", "ready", 1)];
        assert_eq!(hears(&later).0, "mine");
    }

    #[test]
    fn of_several_ipython_directories_the_one_in_force_is_meant_and_the_others_are_named() {
        let record = json!({"version": 1, "state": "ready", "job": {"id": null}, "profile": {"name": "job_local"},
            "updated": "2026-11-22T14:09:30Z", "refresh_s": 60});
        let job = Job::Profile(ProfileName::new("job_local").expect("a name"));
        for (own, chosen, other) in [("/a/", "/a", "/b"), ("/b", "/b", "/a")] {
            let mut facts = Facts::new(Some(job.clone()), "this machine".to_owned());
            facts.take(&part("records", "", ""));
            facts.take(&part("profiles", own, ""));
            for place in ["/a", "/b"] {
                let path = format!("{place}/profile_job_local/ipjob.json");
                facts.take(&part("record", &path, &record.to_string()));
            }
            facts.take(&part("look", "", ""));
            let found = facts.chosen(&job).expect("one");
            assert!(found.path.starts_with(&format!("{chosen}/")), "{found:?}");
            assert_eq!(facts.others(), [format!("job_local in {other}")]);
        }
    }

    #[test]
    fn clusters_of_the_only_job_are_named_by_their_profiles() {
        let mut facts = Facts::new(None, "daint".to_owned());
        let told: Vec<Told> = clusters(&[("job_7", "ready", 0), ("job_7-2", "ready", 0)])
            .iter()
            .flat_map(|part| facts.take(part))
            .collect();
        let Some(Told::Event(Event::Refused(failure))) = told.last() else {
            panic!("{told:?}");
        };
        let hints = failure.hints.join("\n");
        assert!(
            hints.starts_with("job_7: ") && hints.contains("\njob_7-2: "),
            "{hints}"
        );
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
