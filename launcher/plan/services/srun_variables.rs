//! The variables from which srun takes options, of Slurm 22.05 to 26.05, each with what becomes of it for the engines' step.
//!
//! What sbatch, an outer step or a shell inside another job has left there must not decide what the step is: without them it has
//! all that the job has. docs/slurm.md shows this table; tests compare both with each other and with srun's own manual.

use crate::plan::slurm::{Slurm, is_of_a_step};

/// What becomes of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It reaches srun.
    Kept,
    /// It reaches srun, and an option of ours overrides it.
    Said,
    /// The size of the step: an option of ours overrides it, but in several components, whose own sizes hold, it does not reach srun.
    Size,
    /// It reaches srun only where this field of `scontrol show job` says that the job asked for it.
    Asked(&'static str),
    /// It reaches srun only outside of steps: a step sets it for all below it.
    OutsideSteps,
    /// It does not reach srun.
    Dropped,
}

/// Variables with the same fate.
#[derive(Debug)]
pub struct Group {
    /// What becomes of them.
    pub decision: Decision,
    /// Why: what docs/slurm.md says.
    #[cfg_attr(not(test), allow(dead_code))]
    pub why: &'static str,
    /// Their names.
    pub names: &'static [&'static str],
}

/// All of them.
#[rustfmt::skip]
pub const GROUPS: &[Group] = &[
    Group {
        decision: Decision::Said,
        why: "ipjob's own option",
        names: &[
            "SLURM_EXPORT_ENV", "SLURM_JOB_NAME", "SLURM_KILL_BAD_EXIT", "SLURM_OVERLAP", "SRUN_EXPORT_ENV",
        ],
    },
    Group {
        decision: Decision::Size,
        why: "the size of the step; of several components each has its own",
        names: &["SLURM_JOB_NUM_NODES", "SLURM_NNODES", "SLURM_NPROCS", "SLURM_NTASKS"],
    },
    Group {
        decision: Decision::Dropped,
        why: "ipjob's own option, or none, where the job asked for it",
        names: &[
            "SLURM_CPUS_PER_TASK", "SLURM_DISTRIBUTION", "SLURM_DIST_PLANESIZE", "SLURM_GPUS_PER_TASK",
            "SLURM_LABELIO", "SLURM_NO_KILL", "SLURM_NTASKS_PER_NODE", "SLURM_TRES_PER_TASK", "SRUN_CPUS_PER_TASK",
        ],
    },
    Group {
        decision: Decision::Dropped,
        why: "the step has all that the job has; another job's would be more, or none of this one's",
        names: &[
            "SLURM_CLUSTER_CONSTRAINT", "SLURM_CONSTRAINT", "SLURM_CORE_SPEC", "SLURM_CPUS_PER_GPU", "SLURM_GPUS",
            "SLURM_GPUS_PER_NODE", "SLURM_GPUS_PER_SOCKET", "SLURM_GRES", "SLURM_GRES_FLAGS", "SLURM_HINT",
            "SLURM_MEM_PER_CPU", "SLURM_MEM_PER_GPU", "SLURM_MEM_PER_NODE", "SLURM_NCORES_PER_SOCKET",
            "SLURM_NSOCKETS_PER_NODE", "SLURM_NTASKS_PER_CORE", "SLURM_NTASKS_PER_GPU", "SLURM_NTASKS_PER_SOCKET",
            "SLURM_NTASKS_PER_TRES", "SLURM_RESV_PORTS", "SLURM_STEP_GRES", "SLURM_THREADS_PER_CORE",
            "SLURM_THREAD_SPEC",
        ],
    },
    Group {
        decision: Decision::Dropped,
        why: "other nodes than the job's, or another order of them",
        names: &[
            "SLURM_ARBITRARY_NODELIST", "SLURM_CLUSTERS", "SLURM_CONSOLIDATE_SEGMENTS", "SLURM_EXTERNAL_LAUNCHER",
            "SLURM_HOSTFILE", "SLURM_JOB_NODELIST", "SLURM_SPREAD_SEGMENTS", "SRUN_SEGMENT_SIZE",
        ],
    },
    Group {
        decision: Decision::Dropped,
        why: "an outer step sets it; `--srun-arg` says it for the engines",
        names: &[
            "SLURM_CPU_BIND", "SLURM_CPU_BIND_LIST", "SLURM_CPU_BIND_TYPE", "SLURM_CPU_BIND_VERBOSE",
            "SLURM_MEM_BIND", "SLURM_MEM_BIND_LIST", "SLURM_MEM_BIND_PREFER", "SLURM_MEM_BIND_SORT",
            "SLURM_MEM_BIND_TYPE", "SLURM_MEM_BIND_VERBOSE", "SLURM_UMASK",
        ],
    },
    Group {
        decision: Decision::Dropped,
        why: "the step would not share its nodes, or would give up",
        names: &["SLURM_EXACT", "SLURM_EXCLUSIVE", "SLURM_IMMEDIATE"],
    },
    Group {
        decision: Decision::Dropped,
        why: "the step would end with its first task, at another time, or by another signal",
        names: &["SLURM_OOMKILLSTEP", "SLURM_SIGNAL", "SLURM_TIMELIMIT", "SLURM_WAIT"],
    },
    Group {
        decision: Decision::Dropped,
        why: "ipjob reads what srun prints, and how it ends",
        names: &[
            "SLURM_EXIT_ERROR", "SLURM_EXIT_IMMEDIATE", "SLURM_SRUN_REDUCE_TASK_EXIT_MSG", "SLURM_STDERRMODE",
            "SLURM_STDINMODE", "SLURM_STDOUTMODE", "SLURM_STEP_KILLED_MSG_NODE_ID", "SRUN_ERROR", "SRUN_INPUT",
            "SRUN_OUTPUT",
        ],
    },
    Group {
        decision: Decision::Dropped,
        why: "another program, or another directory, than the engine's",
        names: &[
            "SLURM_BCAST", "SLURM_BCAST_EXCLUDE", "SLURM_COMPRESS", "SLURM_EPILOG", "SLURM_PROLOG",
            "SLURM_REMOTE_CWD", "SLURM_SEND_LIBS", "SLURM_SRUN_MULTI", "SLURM_TASK_EPILOG", "SLURM_TASK_PROLOG",
            "SLURM_TEST_EXEC", "SLURM_WORKING_DIR",
        ],
    },
    Group {
        decision: Decision::Dropped,
        why: "of an MPI launcher that ipjob itself was started by",
        names: &["PMI_FANOUT", "PMI_FANOUT_OFF_HOST", "PMI_TIME"],
    },
    Group {
        decision: Decision::Asked("TresBind"),
        why: "how tasks get their GPUs",
        names: &["SLURM_GPU_BIND", "SLURM_TRES_BIND"],
    },
    Group {
        decision: Decision::Asked("TresFreq"),
        why: "the clock of the GPUs",
        names: &["SLURM_GPU_FREQ"],
    },
    Group {
        decision: Decision::Asked("Network"),
        why: "the interconnect",
        names: &["SLURM_NETWORK"],
    },
    Group {
        decision: Decision::OutsideSteps,
        why: "a user's or site's own default",
        names: &["SLURM_MPI_TYPE"],
    },
    Group {
        decision: Decision::Kept,
        why: "which job and cluster this is",
        names: &["SLURM_CONF", "SLURM_JOB_ID"],
    },
    Group {
        decision: Decision::Kept,
        why: "how much srun prints, measures or buffers: it does not change the step's size",
        names: &[
            "SLURMD_DEBUG", "SLURM_ACCTG_FREQ", "SLURM_CPU_FREQ_REQ", "SLURM_DEBUG", "SLURM_DEBUG_FLAGS",
            "SLURM_DISABLE_STATUS", "SLURM_OPEN_MODE", "SLURM_OVERCOMMIT", "SLURM_PMI_KVS_NO_DUP_KEYS",
            "SLURM_PROFILE", "SLURM_THREADS", "SLURM_UNBUFFEREDIO",
        ],
    },
    Group {
        decision: Decision::Said,
        why: "one engine out of memory ends no other",
        names: &["SLURM_OOM_KILL_STEP"],
    },
    Group {
        decision: Decision::Kept,
        why: "the user's own wish: no job sets it for what runs in it",
        names: &["SRUN_CONTAINER", "SRUN_CONTAINER_ID", "SRUN_CONTAINER_TYPE", "SRUN_RUNTIME"],
    },
    Group {
        decision: Decision::Kept,
        why: "only read where srun asks for a new job",
        names: &[
            "SLURM_ACCOUNT", "SLURM_BURST_BUFFER", "SLURM_DELAY_BOOT", "SLURM_DEPENDENCY", "SLURM_PARTITION",
            "SLURM_POWER", "SLURM_QOS", "SLURM_REQ_SWITCH", "SLURM_RESERVATION", "SLURM_SPREAD_JOB",
            "SLURM_USE_MIN_NODES", "SLURM_WAIT4SWITCH", "SLURM_WCKEY",
        ],
    },
];

/// The variables among these that must not reach an srun of ours in this job. What the job asked for counts where it is known.
pub fn dropped(environment: &[(String, String)], slurm: Option<&Slurm>) -> Vec<String> {
    let asked = slurm.and_then(|slurm| slurm.asked.as_ref());
    let one_size = slurm.is_none_or(|slurm| slurm.components.len() < 2);
    let inside_a_step = is_of_a_step(environment);
    let reaches = |decision: Decision| match decision {
        Decision::Kept | Decision::Said => true,
        Decision::Size => one_size,
        Decision::Asked(field) => asked.is_none_or(|asked| asked.says(field)),
        Decision::OutsideSteps => !inside_a_step,
        Decision::Dropped => false,
    };
    let is_dropped = |name: &String| {
        let has = |group: &&Group| group.names.contains(&name.as_str());
        let group = GROUPS.iter().find(has);
        group.is_some_and(|group| !reaches(group.decision))
    };
    // Of the job that we are in, where the engines go into another one.
    let from_outside = slurm.is_some_and(|slurm| slurm.from_outside);
    let is_another = |name: &str| from_outside && matches!(name, "SLURM_JOB_ID" | "SLURM_JOBID");
    let names = environment.iter().map(|(name, _)| name);
    names
        .filter(|name| is_dropped(name) || is_another(name))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::job::JobId;
    use crate::plan::slurm::Asked;
    use crate::plan::slurm::Component;
    use std::collections::BTreeSet;

    #[test]
    fn each_variable_has_one_decision_and_the_page_shows_it() {
        let page = include_str!("../../../docs/slurm.md");
        let mut seen = BTreeSet::new();
        for group in GROUPS {
            let names: Vec<String> = group.names.iter().map(|name| format!("`{name}`")).collect();
            let decision = match group.decision {
                Decision::Kept => "kept".to_owned(),
                Decision::Said => "overridden".to_owned(),
                Decision::Size => "overridden, dropped for several components".to_owned(),
                Decision::Asked(field) => format!("kept if the job has `{field}`"),
                Decision::OutsideSteps => "kept outside of steps".to_owned(),
                Decision::Dropped => "dropped".to_owned(),
            };
            let row = format!("| {decision} | {} | {} |", group.why, names.join(", "));
            assert!(page.contains(&row), "docs/slurm.md lacks the row\n{row}");
            assert!(group.names.is_sorted(), "{:?}", group.names);
            for name in group.names {
                assert!(seen.insert(*name), "{name} stands there twice");
            }
        }
    }

    #[test]
    fn only_what_the_job_asked_for_itself_reaches_its_steps() {
        let environment: Vec<(String, String)> = [
            "SLURM_GPUS",
            "SLURM_GPU_BIND",
            "SLURM_NETWORK",
            "SLURM_MPI_TYPE",
            "SLURM_CONF",
            "PATH",
        ]
        .map(|name| (name.to_owned(), "x".to_owned()))
        .to_vec();
        let job = JobId::shown("1", "1").expect("a job");
        let slurm = Slurm {
            asked: Asked::read(&job, "JobId=1 TresBind=gpu:closest Network=(null)"),
            ..Slurm::default()
        };
        assert_eq!(
            dropped(&environment, Some(&slurm)),
            ["SLURM_GPUS", "SLURM_NETWORK"]
        );
        assert_eq!(dropped(&environment, None), ["SLURM_GPUS"]);
        let mut in_a_step = environment;
        in_a_step.push(("SLURM_STEP_ID".to_owned(), "0".to_owned()));
        assert_eq!(dropped(&in_a_step, None), ["SLURM_GPUS", "SLURM_MPI_TYPE"]);
    }

    #[test]
    fn no_size_reaches_a_step_over_several_components() {
        let environment = ["SLURM_NTASKS", "SLURM_NTASKS_HET_GROUP_1", "SLURM_OVERLAP"]
            .map(|name| (name.to_owned(), "2".to_owned()));
        let component = |job: &str| Component {
            job: job.to_owned(),
            nodes: vec![format!("node{job}")],
            tasks: 1,
        };
        let with = |components: Vec<Component>| Slurm {
            components,
            ..Slurm::default()
        };
        for (components, names) in [
            (vec![], vec![]),
            (vec![component("1")], vec![]),
            (vec![component("1"), component("2")], vec!["SLURM_NTASKS"]),
        ] {
            assert_eq!(dropped(&environment, Some(&with(components))), names);
        }
    }
}
