//! How many engines a job has room for, and how they lie on its nodes.

use super::Slurm;

impl Slurm {
    /// As many engines are started by default: the tasks; of a job with one task on each node, which is what a form of a hub mostly
    /// asks for, the CPUs that it asked for. With GPUs these CPUs feed them, and as many engines would share one: a task stays one engine.
    /// `None` where Slurm does not tell.
    #[must_use]
    pub fn engines(&self) -> Option<u32> {
        let tasks = self.tasks?;
        let alone = tasks as usize <= self.nodes.len() && !self.has_gpus;
        let cpus = self.cpus_per_task.filter(|_| alone).unwrap_or(1);
        Some(tasks.saturating_mul(cpus).min(self.room()?.max(tasks)))
    }

    /// As many engines fit: one for each task or, where that is more, for each CPU.
    #[must_use]
    pub fn room(&self) -> Option<u32> {
        Some(self.tasks?.max(sum(&self.cpus)))
    }

    /// The CPUs that the job was given on this host; `None` where Slurm does not tell.
    #[must_use]
    pub fn cpus_on(&self, host: &str) -> Option<u32> {
        let own = self.node_of(host)?;
        let place = self.nodes.iter().position(|node| node == own)?;
        self.cpus.get(place).copied()
    }

    /// Whether so many engines can be the job's own tasks; more of them share what the job has.
    fn are_tasks(&self, engines: u32) -> bool {
        self.tasks.is_none_or(|tasks| engines <= tasks)
    }

    /// The CPUs of each of so many engines: what the job asked for its tasks, of more engines as many as all of them can have. `None`
    /// where it asked for none, or where the engines are more than its CPUs.
    #[must_use]
    pub fn cpus_of_each(&self, engines: u32) -> Option<u32> {
        if self.are_tasks(engines) {
            return self.cpus_per_task;
        }
        let fit = |cpus: &u32| sum(&self.capacities(*cpus)) >= engines;
        let most = sum(&self.cpus).checked_div(engines)?;
        (1..=most).rev().find(fit)
    }

    /// The GPUs of each of so many engines; more of them than the job has tasks see all GPUs of their node.
    #[must_use]
    pub fn gpus_of_each(&self, engines: u32) -> Option<&str> {
        let own = self.gpus_per_task.as_deref();
        own.filter(|_| self.are_tasks(engines))
    }

    /// How many of so many engines each node gets: one in turn, where there is room for one more. It is what srun does (22.05, 24.11
    /// and 26.05, `--distribution=block`).
    #[must_use]
    pub fn spread(&self, engines: u32) -> Vec<u32> {
        let capacities = self.capacities(self.cpus_of_each(engines).unwrap_or(1));
        // Where there is none, or Slurm does not tell: `--overcommit`.
        let full = sum(&capacities) < engines;
        let mut counts = vec![0_u32; self.nodes.len()];
        let mut left = engines;
        while left > 0 && !counts.is_empty() {
            for (node, count) in counts.iter_mut().enumerate() {
                let fits = full || capacities.get(node).is_some_and(|most| *count < *most);
                if fits && left > 0 {
                    *count += 1;
                    left -= 1;
                }
            }
        }
        counts
    }

    /// How many engines with so many CPUs fit on each node.
    fn capacities(&self, cpus: u32) -> Vec<u32> {
        let fit = |all: &u32| all.checked_div(cpus).unwrap_or(0);
        self.cpus.iter().map(fit).collect()
    }
}

fn sum(counts: &[u32]) -> u32 {
    counts.iter().copied().fold(0, u32::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn job(tasks: u32, cpus_per_task: Option<u32>, cpus: &[u32]) -> Slurm {
        Slurm {
            nodes: (1..=cpus.len()).map(|n| format!("n{n}")).collect(),
            cpus: cpus.to_vec(),
            tasks: Some(tasks),
            cpus_per_task,
            ..Slurm::default()
        }
    }

    #[test]
    fn one_task_with_many_cpus_is_many_engines() {
        for (tasks, cpus_per_task, cpus, engines, room) in [
            (1, Some(4), &[4][..], 4, 4),
            (2, Some(4), &[4, 4], 8, 8),
            // Several tasks on a node are what the job wants.
            (4, Some(2), &[4, 4], 4, 8),
            // It asked for no CPUs: a whole node was given all the same.
            (1, None, &[64], 1, 64),
            (1, Some(4), &[64], 4, 64),
            // Slurm tells no CPUs.
            (1, Some(4), &[], 1, 1),
            (3, None, &[1, 1], 3, 3),
        ] {
            let job = job(tasks, cpus_per_task, cpus);
            assert_eq!((job.engines(), job.room()), (Some(engines), Some(room)));
        }
        let with_gpu = Slurm {
            has_gpus: true,
            ..job(1, Some(4), &[4])
        };
        assert_eq!((with_gpu.engines(), with_gpu.room()), (Some(1), Some(4)));
    }

    #[test]
    fn engines_beyond_the_tasks_share_all_cpus() {
        for (cpus, engines, each, spread) in [
            (&[4][..], 4, Some(1), &[4][..]),
            (&[4], 2, Some(2), &[2]),
            (&[4, 4], 4, Some(2), &[2, 2]),
            (&[4, 4], 5, Some(1), &[3, 2]),
            (&[8, 2], 5, Some(2), &[4, 1]),
            (&[8, 2], 10, Some(1), &[8, 2]),
            (&[4, 4], 9, None, &[5, 4]),
        ] {
            let job = job(1, None, cpus);
            assert_eq!(job.cpus_of_each(engines), each, "{engines} on {cpus:?}");
            assert_eq!(job.spread(engines), spread, "{engines} on {cpus:?}");
        }
        let with_gpus = Slurm {
            gpus_per_task: Some("1".to_owned()),
            ..job(4, Some(2), &[4, 4])
        };
        for (engines, cpus, gpus) in [(3, 2, Some("1")), (4, 2, Some("1")), (5, 1, None)] {
            assert_eq!(with_gpus.cpus_of_each(engines), Some(cpus));
            assert_eq!(with_gpus.gpus_of_each(engines), gpus);
        }
    }

    proptest! {
        #[test]
        fn what_is_planned_fits(cpus in vec(1..64_u32, 1..8), tasks in 1..200_u32, per_task in proptest::option::of(1..9_u32), engines in 1..600_u32) {
            let job = job(tasks, per_task, &cpus);
            let (default, room) = (job.engines().expect("told"), job.room().expect("told"));
            prop_assert!(default >= 1 && default <= room);
            let spread = job.spread(engines);
            prop_assert_eq!(sum(&spread), engines);
            if let Some(each) = job.cpus_of_each(engines).filter(|_| engines > tasks) {
                for (count, all) in spread.iter().zip(&cpus) {
                    prop_assert!(count * each <= *all);
                }
            }
            if engines > tasks {
                prop_assert_eq!(job.cpus_of_each(engines).is_some(), engines <= sum(&cpus));
            }
        }
    }
}
