//! A Slurm job as its environment tells it. Garbage in a variable is refused by the variable's name.

mod asked;
mod config;
mod size;

use super::hostlist;
use super::job::JobId;
use crate::failure::{Failure, Outcome};
pub use asked::{Asked, variables};
pub use config::{Config, TRIED};

/// What Slurm gave to this job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slurm {
    /// The job; the element, in a job array.
    pub job: JobId,
    /// The cluster's name.
    pub cluster: String,
    /// The job's nodes.
    pub nodes: Vec<String>,
    /// The CPUs that the job was given on each of its nodes; empty where Slurm does not tell.
    pub cpus: Vec<u32>,
    /// Tasks of the job: `SLURM_NTASKS`, else the sum of `SLURM_TASKS_PER_NODE`; `None` where Slurm tells neither.
    pub tasks: Option<u32>,
    /// CPUs of each task, where the job asked for it: newer Slurm does not hand it on to srun.
    pub cpus_per_task: Option<u32>,
    /// GPUs of each task, in Slurm's own notation, where the job asked for it.
    pub gpus_per_task: Option<String>,
    /// Whether the job asked for GPUs, in whatever way.
    pub has_gpus: bool,
    /// Tasks of each node, where the job asked for it.
    pub tasks_per_node: Option<u32>,
    /// What the job asked for, where Slurm could be asked; the environment alone can tell of another job.
    pub asked: Option<Asked>,
    /// How often the job was requeued.
    pub restart: u32,
    /// Seconds since 1970 of the job's end, where this Slurm tells it (23.02 and later).
    pub end: Option<i64>,
    /// The name of the node that this process runs on, where a slurmd started it.
    pub node: Option<String>,
    /// Where the job was submitted: a login node, mostly.
    pub submit_host: Option<String>,
    /// The components of a heterogeneous job that the engines' step was told to run in.
    pub components: Vec<Component>,
    /// The step that this process belongs to: `None` in the batch script.
    pub step: Option<String>,
    /// Whether we are outside of the job, and were told of it (`--jobid`).
    pub from_outside: bool,
    /// Whether that step has one task, us: `tasks` are then that one, and not the job's.
    pub alone_in_step: bool,
}

impl Slurm {
    /// The job that these variables describe; `None` when they describe none.
    pub fn read(environment: &[(String, String)]) -> Outcome<Option<Self>> {
        let get = |name: &str| {
            environment
                .iter()
                .find(|(variable, value)| variable == name && !value.is_empty())
                .map(|(_, value)| value.as_str())
        };
        let Some(job) = get("SLURM_JOB_ID") else {
            return Ok(None);
        };
        let array = (get("SLURM_ARRAY_JOB_ID"), get("SLURM_ARRAY_TASK_ID"));
        let job = JobId::of_variables(job, array.0, array.1)
            .ok_or_else(|| garbage("SLURM_JOB_ID", job))?;
        let number = |name: &'static str| get(name).map(|text| positive(name, text)).transpose();
        let tasks = tasks(get("SLURM_NTASKS"), get("SLURM_TASKS_PER_NODE"))?;
        let restart = get("SLURM_RESTART_COUNT").map_or(Ok(0), |text| {
            text.parse()
                .map_err(|_| garbage("SLURM_RESTART_COUNT", text))
        })?;
        let nodes = match get("SLURM_JOB_NODELIST").or_else(|| get("SLURM_NODELIST")) {
            Some(list) => hostlist::expand(list)?,
            None => {
                return Err(Failure::missing(
                    "SLURM_JOB_ID is set, but SLURM_JOB_NODELIST is not: this is not a job's environment",
                )
                .hint("is SLURM_JOB_ID left over from another shell? `unset SLURM_JOB_ID`, or --launcher local"));
            }
        };
        let cpus = get("SLURM_JOB_CPUS_PER_NODE")
            .map(|text| counts("SLURM_JOB_CPUS_PER_NODE", text))
            .transpose()?
            // In a step that was made from outside the job the nodes are the step's.
            .filter(|cpus| cpus.len() == nodes.len());
        Ok(Some(Self {
            job,
            cluster: get("SLURM_CLUSTER_NAME").unwrap_or("slurm").to_owned(),
            nodes,
            cpus: cpus.unwrap_or_default(),
            tasks,
            cpus_per_task: number("SLURM_CPUS_PER_TASK")?,
            gpus_per_task: get("SLURM_GPUS_PER_TASK")
                .map(str::to_owned)
                .or_else(|| get("SLURM_TRES_PER_TASK").and_then(asked::gpus)),
            has_gpus: OF_GPUS.iter().any(|name| get(name).is_some()),
            tasks_per_node: get("SLURM_NTASKS_PER_NODE").and_then(|text| text.parse().ok()),
            asked: None,
            restart,
            end: get("SLURM_JOB_END_TIME").and_then(|text| text.parse().ok()),
            components: Vec::new(),
            node: get("SLURMD_NODENAME").map(str::to_owned),
            submit_host: get("SLURM_SUBMIT_HOST")
                .filter(|host| is_host_name(host))
                .map(str::to_owned),
            step: get("SLURM_STEP_ID")
                .filter(|id| step(id).is_some())
                .map(str::to_owned),
            from_outside: false,
            alone_in_step: get("SLURM_STEP_NUM_TASKS") == Some("1"),
        }))
    }

    /// The job, with its engines in these components of it; the same job where there are none.
    #[must_use]
    pub fn with_engines_in(mut self, components: Vec<Component>) -> Self {
        if !components.is_empty() {
            let tasks = components.iter().map(|one| one.tasks);
            self.tasks = Some(tasks.fold(0, u32::saturating_add));
            // Those of the first component are known only, and its tasks may all be another's.
            self.cpus.clear();
            for node in components.iter().flat_map(|one| &one.nodes) {
                if !self.nodes.contains(node) {
                    self.nodes.push(node.clone());
                }
            }
        }
        self.components = components;
        self
    }

    /// The ids by which Slurm knows the engines' step, `12.0`: each component of a heterogeneous job has a part of it, by its own
    /// job id, while the tasks know only the first one's.
    #[must_use]
    pub fn steps(&self, step: &str) -> Vec<String> {
        match step.split_once('.') {
            Some((_, number)) if !self.components.is_empty() => self
                .components
                .iter()
                .map(|one| format!("{}.{number}", one.job))
                .collect(),
            _ => vec![step.to_owned()],
        }
    }

    /// The job's node that `host` is: by Slurm's own name for it, which a slurmd sets for all that it starts, or by the host
    /// name with or without its domain. `None` on a login node, where salloc can leave the shell.
    #[must_use]
    pub fn node_of(&self, host: &str) -> Option<&str> {
        let told = self.node.as_ref();
        told.and_then(|told| self.nodes.iter().find(|node| *node == told))
            .map(String::as_str)
            .or_else(|| self.node_named(host))
    }

    /// The job's node of this host name, with or without its domain.
    #[must_use]
    pub fn node_named(&self, host: &str) -> Option<&str> {
        let is = |node: &&String| *node == host || short(node) == short(host);
        self.nodes.iter().find(is).map(String::as_str)
    }
}

/// One component of a heterogeneous job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its own job id.
    pub job: String,
    /// Its nodes.
    pub nodes: Vec<String>,
    /// Its tasks.
    pub tasks: u32,
}

/// A host name without its domain.
#[must_use]
pub fn short(host: &str) -> &str {
    host.split_once('.').map_or(host, |(name, _)| name)
}

/// Whether it may stand in a command line that people paste.
fn is_host_name(text: &str) -> bool {
    let plain = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(plain)
}

/// The variables that a job with GPUs has, each for another way to ask for them.
const OF_GPUS: [&str; 6] = [
    "SLURM_GPUS",
    "SLURM_GPUS_ON_NODE",
    "SLURM_GPUS_PER_NODE",
    "SLURM_GPUS_PER_SOCKET",
    "SLURM_GPUS_PER_TASK",
    "SLURM_JOB_GPUS",
];

/// The first of the numbers that Slurm uses for what is no step: the batch script, salloc's shell.
const FIRST_SPECIAL_STEP: u64 = 0xffff_fff0;

/// The step of `SLURM_STEP_ID`. In a batch script of 26.05 that is -5, in salloc's shell 4294967290 or, of 26.05, -6: neither is a step.
#[must_use]
pub fn step(id: &str) -> Option<u64> {
    id.parse().ok().filter(|id| *id < FIRST_SPECIAL_STEP)
}

/// The step's name, `123.0`, of `SLURM_JOB_ID` and `SLURM_STEP_ID`.
#[must_use]
pub fn step_name(job: &str, id: &str) -> Option<String> {
    step(id).map(|step| format!("{job}.{step}"))
}

/// Whether these are the variables of a task of a step.
#[must_use]
pub fn is_of_a_step(environment: &[(String, String)]) -> bool {
    let tells = |(name, value): &(String, String)| name == "SLURM_STEP_ID" && step(value).is_some();
    environment.iter().any(tells)
}

/// The tasks of each node of a step, as `SLURM_STEP_TASKS_PER_NODE` tells them: `2(x3),1`.
#[must_use]
pub fn tasks_of_nodes(text: &str) -> Option<Vec<u32>> {
    counts("SLURM_STEP_TASKS_PER_NODE", text).ok()
}

/// The tasks that these two variables tell of.
pub fn tasks(ntasks: Option<&str>, per_node: Option<&str>) -> Outcome<Option<u32>> {
    match ntasks {
        Some(text) => positive("SLURM_NTASKS", text).map(Some),
        None => per_node
            .map(|text| {
                let counts = counts("SLURM_TASKS_PER_NODE", text)?;
                let sum = counts
                    .iter()
                    .try_fold(0_u32, |sum, count| sum.checked_add(*count));
                sum.filter(|sum| *sum > 0)
                    .ok_or_else(|| garbage("SLURM_TASKS_PER_NODE", text))
            })
            .transpose(),
    }
}

fn positive(name: &str, text: &str) -> Outcome<u32> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| garbage(name, text))
}

/// The numbers of `2(x3),1`, one for each node.
fn counts(name: &str, text: &str) -> Outcome<Vec<u32>> {
    let one = |part: &str| -> Option<(u32, usize)> {
        let Some((count, times)) = part.split_once("(x") else {
            return Some((part.parse().ok()?, 1));
        };
        let times = times.strip_suffix(')')?.parse().ok()?;
        Some((count.parse().ok()?, times))
    };
    let mut all = Vec::new();
    for part in text.split(',') {
        let (count, times) = one(part)
            .filter(|(_, times)| all.len().saturating_add(*times) <= hostlist::MOST)
            .ok_or_else(|| garbage(name, text))?;
        all.extend(core::iter::repeat_n(count, times));
    }
    Ok(all)
}

fn garbage(name: &str, text: &str) -> Failure {
    let start: String = text.chars().take(40).collect();
    Failure::missing(format!(
        "the variable {name} has {start:?}, which Slurm never sets"
    ))
    .hint("is it left over or set by hand? unset it, or run with --launcher local")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sample::variables;

    #[test]
    fn a_batch_job_of_slurm_22_is_read() {
        let job = Slurm::read(&variables(&[
            ("SLURM_JOB_ID", "13"),
            ("SLURM_JOB_NODELIST", "node[1,3]"),
            ("SLURM_TASKS_PER_NODE", "2(x2)"),
            ("SLURM_CLUSTER_NAME", "lab"),
            ("SLURMD_NODENAME", "node1"),
        ]))
        .expect("readable")
        .expect("a job");
        assert_eq!(job.nodes, ["node1", "node3"]);
        assert_eq!((job.tasks, job.restart, job.end), (Some(4), 0, None));
        assert_eq!(job.node_of("node1"), Some("node1"));
    }

    #[test]
    fn a_host_is_told_from_a_login_node() {
        let job = Slurm {
            nodes: vec!["node1".to_owned(), "node3".to_owned()],
            ..Slurm::default()
        };
        assert_eq!(job.node_of("node3.example.org"), Some("node3"));
        assert_eq!(job.node_of("login"), None);
        let on_a_node = Slurm {
            node: Some("node1".to_owned()),
            ..job
        };
        assert_eq!(on_a_node.node_of("any"), Some("node1"));
        assert_eq!(on_a_node.node_named("node3.example.org"), Some("node3"));
        assert_eq!(on_a_node.node_named("login.example.org"), None);
    }

    #[test]
    fn a_batch_script_and_sallocs_shell_are_no_step() {
        for (id, number) in [
            ("0", Some(0)),
            ("17", Some(17)),
            ("-5", None),
            ("-6", None),
            ("4294967290", None),
            ("", None),
        ] {
            assert_eq!(step(id), number, "{id}");
            let name = number.map(|number| format!("7.{number}"));
            assert_eq!(step_name("7", id), name, "{id}");
        }
    }

    #[test]
    fn newer_slurm_tells_all_that_a_task_asked_for_in_one_variable() {
        let job = Slurm::read(&variables(&[
            ("SLURM_JOB_ID", "13"),
            ("SLURM_JOB_NODELIST", "node1"),
            ("SLURM_TRES_PER_TASK", "cpu=2,gres/gpu:a100=1"),
        ]));
        let job = job.expect("readable").expect("a job");
        assert_eq!(job.gpus_per_task.as_deref(), Some("a100:1"));
    }

    #[test]
    fn no_job_is_no_job() {
        assert_eq!(Slurm::read(&variables(&[("SLURM_NTASKS", "64")])), Ok(None));
        assert_eq!(Slurm::read(&variables(&[("SLURM_JOB_ID", "")])), Ok(None));
    }

    #[test]
    fn garbage_is_refused_by_name() {
        for (name, value) in [
            ("SLURM_JOB_ID", "12; rm"),
            ("SLURM_NTASKS", "many"),
            ("SLURM_NTASKS", "0"),
            ("SLURM_TASKS_PER_NODE", "2(x"),
            ("SLURM_TASKS_PER_NODE", "4000000000(x4)"),
            ("SLURM_RESTART_COUNT", "-1"),
        ] {
            let mut pairs = vec![("SLURM_JOB_ID", "1"), ("SLURM_JOB_NODELIST", "n1")];
            pairs.retain(|(other, _)| *other != name);
            pairs.push((name, value));
            let failure = Slurm::read(&variables(&pairs)).expect_err(value);
            assert!(failure.message.contains(name), "{failure}");
        }
    }
}
