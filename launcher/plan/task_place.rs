//! Where a task stands among those of its node: by the variables of what started it. PURE.

use super::slurm;

/// Variables of the number and the place of an MPI launcher's ranks on their node: Open MPI's, MPICH's (Hydra).
const OF_MPI: [(&str, &str); 2] = [
    ("OMPI_COMM_WORLD_LOCAL_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    ("MPI_LOCALNRANKS", "MPI_LOCALRANKID"),
];

/// A task among those of its node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskPlace {
    /// Which of them it is, from 0 on; `None` where nothing tells.
    pub index: Option<u32>,
    /// How many there are, at least 1; `None` where nothing tells.
    pub tasks: Option<u32>,
    /// The CPUs that the step has on this node, where Slurm tells; several tasks may share them.
    pub cpus: Option<u32>,
    /// Whether what started it has bound it to CPUs, which are its own then. No variable tells.
    pub is_bound: bool,
}

impl TaskPlace {
    /// Reads the variables of a task. Below mpiexec those of Slurm tell of the step of mpiexec's own processes, or of the batch script.
    #[must_use]
    pub fn read(environment: &[(String, String)]) -> Self {
        let get = |name: &str| {
            let mut all = environment.iter();
            all.find(|(variable, _)| variable == name)
                .map(|(_, value)| value.as_str())
        };
        let number = |name: &str| get(name)?.parse::<u32>().ok();
        let cpus = number("SLURM_CPUS_ON_NODE").filter(|cpus| *cpus > 0);
        for (tasks, index) in OF_MPI {
            if let (Some(tasks), Some(index)) = (number(tasks), number(index))
                && index < tasks
            {
                return Self {
                    index: Some(index),
                    tasks: Some(tasks),
                    cpus,
                    is_bound: false,
                };
            }
        }
        if !slurm::is_of_a_step(environment) {
            return Self::default();
        }
        let counts = get("SLURM_STEP_TASKS_PER_NODE").and_then(slurm::tasks_of_nodes);
        let node = number("SLURM_NODEID").and_then(|node| usize::try_from(node).ok());
        let tasks = counts
            .zip(node)
            .and_then(|(counts, node)| counts.get(node).copied());
        Self {
            index: number("SLURM_LOCALID"),
            tasks: tasks.filter(|tasks| *tasks > 0),
            cpus,
            is_bound: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sample::variables;

    #[test]
    fn a_task_finds_its_place_by_what_started_it() {
        let step = [
            ("SLURM_STEP_ID", "0"),
            ("SLURM_STEP_TASKS_PER_NODE", "4(x2),1"),
            ("SLURM_NODEID", "1"),
            ("SLURM_LOCALID", "3"),
            ("SLURM_CPUS_ON_NODE", "8"),
        ];
        let of_slurm = TaskPlace {
            index: Some(3),
            tasks: Some(4),
            cpus: Some(8),
            is_bound: false,
        };
        assert_eq!(TaskPlace::read(&variables(&step)), of_slurm);
        let mut below_mpiexec = step.to_vec();
        below_mpiexec.extend([("MPI_LOCALNRANKS", "2"), ("MPI_LOCALRANKID", "1")]);
        let of_mpi = TaskPlace {
            index: Some(1),
            tasks: Some(2),
            cpus: Some(8),
            is_bound: false,
        };
        assert_eq!(TaskPlace::read(&variables(&below_mpiexec)), of_mpi);
        for (name, value) in [("SLURM_NODEID", "9"), ("SLURM_STEP_TASKS_PER_NODE", "4(x")] {
            let mut other = step.to_vec();
            other.retain(|(variable, _)| *variable != name);
            other.push((name, value));
            assert_eq!(TaskPlace::read(&variables(&other)).tasks, None, "{name}");
        }
        let batch = [("SLURM_STEP_ID", "-5"), ("SLURM_LOCALID", "0")];
        assert_eq!(TaskPlace::read(&variables(&batch)), TaskPlace::default());
    }
}
