//! Which of several ranks we are, when srun or mpiexec started ipjob itself many times: the first leads, the others become
//! engines.

use super::environment::is_of_mpi;
use super::fnv;
use super::incarnation::INCARNATION_VARIABLE;
use super::slurm;
use crate::failure::{Failure, Outcome};

/// A word of the user's that all ranks of one start share and no other start has: for starters that tell nothing of the kind.
pub const MEETING_VARIABLE: &str = "IPJOB_MEETING";

/// Variables with which starters name what they have started.
const STARTS: &[&str] = &[
    "PMIX_NAMESPACE",
    "PMI_JOBID",
    "PALS_APID",
    "ALPS_APP_ID",
    "OMPI_MCA_ess_base_jobid",
];

/// One of several ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Which, from 0.
    pub number: u32,
    /// Of how many.
    pub size: u32,
    /// What only the ranks of this one start have in common.
    pub key: String,
    /// Whether the starter offers them an MPI world.
    pub world: bool,
    /// Whether the starter may kill us alone, and leave running what we have started: Slurm ends all of a step.
    pub needs_guard: bool,
    /// Whether all ranks are known to be on one host.
    pub one_host: bool,
    /// Variables that an earlier start left in the shell, which must not reach engines.
    pub leftovers: Vec<String>,
}

impl Rank {
    /// The rank that these variables describe; `None` when we were started once. `starter` is the process that started the
    /// ranks of this host, by a name that no other process has.
    pub fn read(environment: &[(String, String)], starter: &str) -> Outcome<Option<Self>> {
        let variables = Variables(environment);
        // Below another ipjob (a terminal in Jupyter) these variables are that one's.
        if variables.get(INCARNATION_VARIABLE).is_some() {
            return Ok(None);
        }
        let step = variables.step();
        let told = match (
            variables.pair("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")?,
            variables.pair("PMI_RANK", "PMI_SIZE")?,
        ) {
            (Some(pair), _) | (None, Some(pair)) => Some(pair),
            _ if step.is_some() => variables.pair("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")?,
            _ => None,
        };
        let Some((rank, size)) = told.filter(|(_, size)| *size > 1) else {
            return Ok(None);
        };
        let on_this_host = variables.number("MPI_LOCALNRANKS")?;
        let one_host = on_this_host == Some(size);
        let key = match variables.get(MEETING_VARIABLE) {
            Some(word) => format!("word {word}"),
            None => variables.key(step, one_host, on_this_host.is_some(), starter)?,
        };
        Ok(Some(Self {
            number: rank,
            size,
            key,
            world: environment.iter().any(|(name, _)| is_of_mpi(name)),
            needs_guard: step.is_none(),
            one_host,
            leftovers: Vec::new(),
        }))
    }

    /// The name of the directory where the ranks of this start meet: the key itself may hold anything and be long.
    #[must_use]
    pub fn meeting(&self) -> String {
        let plain: String = self
            .key
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '_'
                }
            })
            .take(60)
            .collect();
        format!(".ipjob-meeting-{plain}-{:08x}", fnv::hash(&self.key))
    }
}

struct Variables<'a>(&'a [(String, String)]);

impl<'a> Variables<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(variable, value)| variable == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Outcome<Option<u32>> {
        self.get(name)
            .map(|text| text.parse().map_err(|_| garbage(name, text)))
            .transpose()
    }

    /// A rank and the number of ranks, where both are told.
    fn pair(&self, rank: &str, size: &str) -> Outcome<Option<(u32, u32)>> {
        let (Some(number), Some(of)) = (self.number(rank)?, self.number(size)?) else {
            return Ok(None);
        };
        if number >= of {
            return Err(garbage(rank, &format!("{number} of {of}")));
        }
        Ok(Some((number, of)))
    }

    /// The step that we are a task of: not the batch script, not the shell that salloc gives.
    fn step(&self) -> Option<u64> {
        slurm::step(self.get("SLURM_STEP_ID")?)
    }

    /// What only the ranks of this start have: the step and the port that its srun listens on (job ids are used again after
    /// a cluster was set up anew), the starter's own name for it, and on one host the starter itself.
    fn key(
        &self,
        step: Option<u64>,
        one_host: bool,
        hosts_told: bool,
        starter: &str,
    ) -> Outcome<String> {
        let mut parts = Vec::new();
        if let (Some(job), Some(step)) = (self.get("SLURM_JOB_ID"), step) {
            parts.push(format!(
                "{}.{job}.{}.{step}",
                self.get("SLURM_CLUSTER_NAME").unwrap_or("slurm"),
                self.get("SLURM_RESTART_COUNT").unwrap_or("0"),
            ));
            for name in ["SLURM_LAUNCH_NODE_IPADDR", "SLURM_SRUN_COMM_PORT"] {
                parts.extend(self.get(name).map(str::to_owned));
            }
        }
        parts.extend(
            STARTS
                .iter()
                .filter_map(|name| Some(format!("{name}={}", self.get(name)?))),
        );
        if one_host || (parts.is_empty() && !hosts_told) {
            parts.push(starter.to_owned());
        }
        if parts.is_empty() {
            return Err(Failure::usage(
                "ipjob was started on several hosts, but nothing shows which ranks belong together",
            )
            .hint(format!("start it with srun, or give all ranks the same word: mpiexec -genv {MEETING_VARIABLE} WORD -n N ipjob ...")));
        }
        Ok(parts.join(" "))
    }
}

/// What a person is told whose engines could be one MPI world, and whose starter offers none.
#[must_use]
pub fn no_world_offered() -> String {
    "engines start without MPI, although mpi4py is installed: the program that started the ranks provides no MPI world (`srun --mpi=TYPE -n N ipjob ...` does)".to_owned()
}

fn garbage(name: &str, text: &str) -> Failure {
    let start: String = text.chars().take(40).collect();
    Failure::missing(format!(
        "the variable {name} has {start:?}, which no MPI launcher sets"
    ))
    .hint(
        "is it left over or set by hand? unset it, or choose with --launcher how engines are started",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sample::variables;

    fn read(pairs: &[(&str, &str)]) -> Outcome<Option<Rank>> {
        Rank::read(&variables(pairs), "vm.1f.77.4242")
    }

    const STEP: &[(&str, &str)] = &[
        ("SLURM_JOB_ID", "13"),
        ("SLURM_CLUSTER_NAME", "lab"),
        ("SLURM_STEP_ID", "0"),
        ("SLURM_STEP_NUM_TASKS", "6"),
        ("SLURM_PROCID", "4"),
        ("SLURM_LAUNCH_NODE_IPADDR", "10.77.0.11"),
        ("SLURM_SRUN_COMM_PORT", "40001"),
    ];

    #[test]
    fn a_step_of_several_tasks_is_ranks() {
        let rank = read(STEP).expect("readable").expect("a rank");
        assert_eq!((rank.number, rank.size, rank.world), (4, 6, false));
        assert_eq!(rank.key, "lab.13.0.0 10.77.0.11 40001");
        let name = rank.meeting();
        assert!(
            name.starts_with(".ipjob-meeting-lab.13.0.0_10.77.0.11_40001-"),
            "{name}"
        );
    }

    #[test]
    fn what_runs_once_is_no_rank() {
        let batch: &[(&str, &str)] = &[
            ("SLURM_JOB_ID", "13"),
            ("SLURM_NTASKS", "6"),
            ("SLURM_PROCID", "0"),
        ];
        let interactive: &[(&str, &str)] = &[
            ("SLURM_JOB_ID", "13"),
            ("SLURM_STEP_ID", "4294967290"),
            ("SLURM_STEP_NUM_TASKS", "6"),
            ("SLURM_PROCID", "0"),
        ];
        let shell: &[(&str, &str)] = &[
            ("SLURM_JOB_ID", "13"),
            ("SLURM_STEP_ID", "0"),
            ("SLURM_STEP_NUM_TASKS", "1"),
            ("SLURM_PROCID", "0"),
            ("PMI_RANK", "0"),
            ("PMI_SIZE", "1"),
        ];
        let below_ipjob = [STEP, &[(INCARNATION_VARIABLE, "lab.13.0.77")]].concat();
        for environment in [&[], batch, interactive, shell, &below_ipjob] {
            assert_eq!(read(environment), Ok(None), "{environment:?}");
        }
    }

    #[test]
    fn mpiexec_on_one_host_is_told_by_its_process() {
        let hydra: &[(&str, &str)] = &[
            ("PMI_RANK", "2"),
            ("PMI_SIZE", "3"),
            ("MPI_LOCALNRANKS", "3"),
        ];
        let rank = read(hydra).expect("readable").expect("a rank");
        assert_eq!(rank.key, "vm.1f.77.4242");
        assert!(rank.world);
        // Inside an outer step, whose variables all of its processes have.
        let nested = [STEP, hydra].concat();
        let rank = read(&nested).expect("readable").expect("a rank");
        assert_eq!((rank.number, rank.size), (2, 3));
        assert!(rank.key.ends_with(" vm.1f.77.4242"), "{}", rank.key);
    }

    #[test]
    fn ranks_on_several_hosts_need_a_name() {
        let hydra: &[(&str, &str)] = &[
            ("PMI_RANK", "2"),
            ("PMI_SIZE", "6"),
            ("MPI_LOCALNRANKS", "3"),
        ];
        let failure = read(hydra).expect_err("nothing tells them apart");
        assert!(failure.hints[0].contains(MEETING_VARIABLE), "{failure}");
        for (name, value) in [
            (MEETING_VARIABLE, "x"),
            ("PMIX_NAMESPACE", "prterun-a-77@1"),
        ] {
            let named = [hydra, &[(name, value)]].concat();
            let rank = read(&named).expect("readable").expect("a rank");
            assert!(rank.key.ends_with(value), "{}", rank.key);
        }
    }

    #[test]
    fn two_starts_never_meet() {
        let key = |pairs: &[(&str, &str)]| {
            let rank = read(&[pairs, STEP].concat()).expect("readable");
            rank.expect("a rank").meeting()
        };
        let own = key(&[]);
        for other in [
            ("SLURM_STEP_ID", "1"),
            ("SLURM_JOB_ID", "14"),
            ("SLURM_RESTART_COUNT", "1"),
            ("SLURM_CLUSTER_NAME", "other"),
            ("SLURM_SRUN_COMM_PORT", "40002"),
        ] {
            assert_ne!(key(&[other]), own, "{other:?}");
        }
    }

    #[test]
    fn garbage_is_refused_by_name() {
        for (name, rank, size) in [("PMI_RANK", "x", "3"), ("PMI_RANK", "3", "3")] {
            let failure = read(&[("PMI_RANK", rank), ("PMI_SIZE", size)]).expect_err(rank);
            assert!(failure.message.contains(name), "{failure}");
        }
    }
}
