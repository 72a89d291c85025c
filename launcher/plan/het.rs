//! Heterogeneous jobs: the components that the engines' step runs in.

use super::hostlist;
use super::slurm::{self, Component};
use crate::failure::{Failure, Outcome};

/// The components that a `--het-group` among these arguments of srun names, from a job's variables; none without one.
pub fn named(srun_args: &[String], environment: &[(String, String)]) -> Outcome<Vec<Component>> {
    let mut words = srun_args.iter();
    let mut list = None;
    while let Some(word) = words.next() {
        match word.strip_prefix("--het-group") {
            Some("") => list = words.next().map(String::as_str),
            Some(rest) => list = rest.strip_prefix('=').or(list),
            None => {}
        }
    }
    let Some(list) = list else {
        return Ok(Vec::new());
    };
    // Slurm writes them as it writes nodes: `0,2-3` are the numbers of a list of names without one.
    let groups = hostlist::expand(&format!("[{list}]")).map_err(|_| none(list))?;
    groups
        .iter()
        .map(|group| component(group, list, environment))
        .collect()
}

fn component(group: &str, list: &str, environment: &[(String, String)]) -> Outcome<Component> {
    let get = |name: &str| {
        let name = format!("{name}_HET_GROUP_{group}");
        let found = environment.iter().find(|(variable, _)| *variable == name)?;
        Some(found.1.as_str())
    };
    let (Some(job), Some(nodes)) = (get("SLURM_JOB_ID"), get("SLURM_JOB_NODELIST")) else {
        return Err(none(list));
    };
    Ok(Component {
        job: job.to_owned(),
        nodes: hostlist::expand(nodes)?,
        tasks: slurm::tasks(get("SLURM_NTASKS"), get("SLURM_TASKS_PER_NODE"))?.unwrap_or(1),
    })
}

fn none(list: &str) -> Failure {
    Failure::usage(format!(
        "--het-group {list:?} names a component that this job does not have"
    ))
    .hint(
        "components are numbered from 0, in the order of the batch script's `#SBATCH hetjob` parts",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sample::variables;

    fn job() -> Vec<(String, String)> {
        variables(&[
            ("SLURM_JOB_ID_HET_GROUP_0", "5"),
            ("SLURM_JOB_NODELIST_HET_GROUP_0", "n1"),
            ("SLURM_NTASKS_HET_GROUP_0", "1"),
            ("SLURM_JOB_ID_HET_GROUP_1", "6"),
            ("SLURM_JOB_NODELIST_HET_GROUP_1", "n[2-3]"),
            ("SLURM_TASKS_PER_NODE_HET_GROUP_1", "4(x2)"),
        ])
    }

    fn jobs(args: &[&str]) -> Outcome<Vec<(String, u32)>> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let found = named(&args, &job())?;
        Ok(found.into_iter().map(|one| (one.job, one.tasks)).collect())
    }

    #[test]
    fn components_are_read_as_srun_reads_them() {
        let (first, second) = (("5".to_owned(), 1), ("6".to_owned(), 8));
        assert_eq!(jobs(&["--exclusive"]), Ok(Vec::new()));
        assert_eq!(jobs(&["--het-group=1"]), Ok(vec![second.clone()]));
        assert_eq!(jobs(&["--het-group", "1"]), Ok(vec![second.clone()]));
        let both = Ok(vec![first, second]);
        assert_eq!(jobs(&["--het-group=0,1"]), both);
        assert_eq!(jobs(&["-v", "--het-group=0-1"]), both);
    }

    #[test]
    fn a_component_that_is_none_is_refused() {
        for list in ["2", "0,7", "all"] {
            let failure = jobs(&[&format!("--het-group={list}")]).expect_err(list);
            assert_eq!(failure.exit_code(), 2, "{failure}");
        }
    }
}
