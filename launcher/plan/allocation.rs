//! What we were given to run on: nodes, tasks, a job id; without a scheduler, this machine.

use super::job::JobId;
use super::slurm::Slurm;

/// The allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The cluster's name; `local` without a scheduler.
    pub cluster: String,
    /// The job; `None` without a scheduler.
    pub job: Option<JobId>,
    /// How often the job was requeued.
    pub restart: u32,
    /// The nodes by their names.
    pub nodes: Vec<String>,
    /// As many engines are started by default.
    pub engines: u32,
    /// The memory that is free on this node, in bytes, where it is known.
    pub free_memory: Option<u64>,
    /// What Slurm tells of the job; `None` without a scheduler.
    pub slurm: Option<Slurm>,
}

impl Allocation {
    /// This machine: one node, an engine for each CPU.
    #[must_use]
    pub fn this_machine(host: &str, cpus: u32, free_memory: Option<u64>) -> Self {
        Self {
            cluster: "local".to_owned(),
            job: None,
            restart: 0,
            nodes: vec![host.to_owned()],
            engines: cpus.max(1),
            free_memory,
            slurm: None,
        }
    }

    /// A Slurm job; `cpus` are those of this node, for a job that says nothing of tasks.
    #[must_use]
    pub fn of_job(slurm: Slurm, cpus: u32) -> Self {
        Self {
            cluster: slurm.cluster.clone(),
            job: Some(slurm.job.clone()),
            restart: slurm.restart,
            nodes: slurm.nodes.clone(),
            engines: slurm.engines().unwrap_or(cpus.max(1)),
            free_memory: None,
            slurm: Some(slurm),
        }
    }

    /// This machine as a part of a Slurm job: engines are local, and the rest of the job is not used; but the job's end is theirs.
    #[must_use]
    pub fn within(self, slurm: Slurm) -> Self {
        Self {
            cluster: slurm.cluster.clone(),
            job: Some(slurm.job.clone()),
            restart: slurm.restart,
            slurm: Some(slurm),
            ..self
        }
    }

    /// The same with as many engines as ipjob was started as ranks. They may be on other hosts, so this one's memory says nothing.
    #[must_use]
    pub fn of_ranks(self, size: u32) -> Self {
        Self {
            engines: size,
            free_memory: None,
            ..self
        }
    }

    /// The job's number as it stands in names of profiles: `local` without a scheduler.
    #[must_use]
    pub fn job_name(&self) -> &str {
        self.job.as_ref().map_or("local", JobId::number)
    }
}
