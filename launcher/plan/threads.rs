//! How many threads an engine's libraries may start. A numerical library starts one for each core of the machine, and so do all engines
//! of a node at once, unless a variable tells it otherwise. PURE.
//!
//! docs/design/threads.md explains the design.

use super::allocation::Allocation;
use super::settings::{Launcher, Threads};
use super::task_place::TaskPlace;
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// The variables by which libraries take the number: the one of OpenMP goes for most of the others as well.
pub const VARIABLES: [&str; 5] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "BLIS_NUM_THREADS",
];

/// The first of [`VARIABLES`] that somebody has set, and its text: then none is set by ipjob, as the others go by it, or were left out on purpose.
#[must_use]
pub fn given(environment: &[(String, String)]) -> Option<(&str, &str)> {
    VARIABLES.into_iter().find_map(|wanted| {
        let is_it = |pair: &&(String, String)| pair.0 == wanted && !pair.1.is_empty();
        let (name, value) = environment.iter().find(is_it)?;
        Some((name.as_str(), value.as_str()))
    })
}

/// The variables that tell libraries so many threads.
pub fn variables(number: u32) -> impl Iterator<Item = (&'static str, String)> {
    VARIABLES
        .into_iter()
        .map(move |name| (name, number.to_string()))
}

/// How many threads each engine gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// ipjob sets none of the variables, because of this.
    Left(String),
    /// As many as this gives.
    By(Rule),
}

impl Decision {
    /// What each engine goes by where it starts.
    #[must_use]
    pub fn rule(&self) -> Option<Rule> {
        match self {
            Self::Left(_) => None,
            Self::By(rule) => Some(*rule),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left(why) => write!(out, "not limited: {why}"),
            Self::By(Rule::Number(number) | Rule::Part(number)) => {
                write!(out, "{number} for each engine")
            }
            Self::By(Rule::Cpus { promised }) => {
                out.write_str("as many for each engine as it has CPUs on its node")?;
                promised.map_or(Ok(()), |most| write!(out, ", at most {most}"))
            }
        }
    }
}

/// How an engine finds its number where it starts. As a word, which tasks are given: `4`, `cpus`, `cpus:4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// It is this.
    Number(u32),
    /// It is this, the engine's part of this machine's CPUs, unless it is bound to others.
    Part(u32),
    /// It is the number of its CPUs.
    Cpus {
        /// So many of them were asked for each task: of more, which Slurm does not keep it from, it uses no more.
        promised: Option<u32>,
    },
}

impl Rule {
    /// The number of an engine with these variables that may use so many CPUs, others of its node perhaps the same ones; `None` where a
    /// variable, which a site's prologue of tasks may have set, has said it.
    #[must_use]
    pub fn of_shared(
        self,
        environment: &[(String, String)],
        bound: u32,
        place: TaskPlace,
    ) -> Option<u32> {
        match self {
            Self::Number(number) | Self::Part(number) => Some(number),
            Self::Cpus { .. } if given(environment).is_some() => None,
            Self::Cpus { promised } => Some(of_task(bound, promised, place)),
        }
    }

    /// The number of an engine that has so many CPUs for itself.
    #[must_use]
    pub fn of_own(self, environment: &[(String, String)], cpus: u32) -> Option<u32> {
        match self {
            Self::Number(number) => Some(number),
            Self::Cpus { .. } if given(environment).is_some() => None,
            Self::Part(_) | Self::Cpus { .. } => Some(cpus.max(1)),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) | Self::Part(number) => write!(out, "{number}"),
            Self::Cpus { promised: None } => out.write_str("cpus"),
            Self::Cpus {
                promised: Some(most),
            } => write!(out, "cpus:{most}"),
        }
    }
}

impl FromStr for Rule {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| {
            let number = text.parse().ok().filter(|number| *number > 0);
            number.ok_or("neither a number nor `cpus[:N]`")
        };
        match text.strip_prefix("cpus") {
            None => Ok(Self::Number(number(text)?)),
            Some("") => Ok(Self::Cpus { promised: None }),
            Some(rest) => {
                let most = rest.strip_prefix(':').unwrap_or_default();
                let promised = Some(number(most)?);
                Ok(Self::Cpus { promised })
            }
        }
    }
}

/// Decides it for engines of this launcher: `cpus` are those that this process may use, of a machine on which all of them are.
#[must_use]
pub fn decide(
    asked: Threads,
    environment: &[(String, String)],
    allocation: &Allocation,
    launcher: Launcher,
    cpus: u32,
    engines: u32,
) -> Decision {
    match asked {
        Threads::Off => return Decision::Left("--threads off".to_owned()),
        Threads::Number(number) => return Decision::By(Rule::Number(number)),
        Threads::Auto => {}
    }
    if let Some((name, value)) = given(environment) {
        return Decision::Left(format!("{name}={value} is set"));
    }
    let slurm = allocation.slurm.as_ref();
    if launcher == Launcher::Local {
        // Where Slurm does not confine a job to its CPUs, this process may use all of the node's.
        let host = allocation.nodes.first();
        let own = slurm
            .zip(host)
            .and_then(|(slurm, host)| slurm.cpus_on(host));
        let all = own.map_or(cpus, |own| own.min(cpus));
        let each = all.checked_div(engines).unwrap_or(1).max(1);
        return Decision::By(Rule::Part(each));
    }
    let promised = slurm
        .filter(|slurm| slurm.components.is_empty())
        .and_then(|slurm| slurm.cpus_of_each(engines));
    Decision::By(Rule::Cpus { promised })
}

/// The threads of a task that may use so many CPUs, which others of its node may use as well.
#[must_use]
pub fn of_task(bound: u32, promised: Option<u32>, place: TaskPlace) -> u32 {
    let all = place.cpus.unwrap_or(bound);
    let share =
        promised.unwrap_or_else(|| all.checked_div(place.tasks.unwrap_or(1)).unwrap_or(all));
    bound.min(share).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sample::variables;
    use crate::plan::slurm::Slurm;
    use proptest::prelude::*;

    fn job(cpus: &[u32], cpus_per_task: Option<u32>) -> Allocation {
        let slurm = Slurm {
            nodes: (1..=cpus.len()).map(|n| format!("n{n}")).collect(),
            node: Some("n1".to_owned()),
            cpus: cpus.to_vec(),
            tasks: Some(2),
            cpus_per_task,
            ..Slurm::default()
        };
        Allocation::of_job(slurm, 64)
    }

    #[test]
    fn the_users_own_word_counts() {
        let machine = Allocation::this_machine("here", 8, None);
        let set = variables(&[("PATH", "/bin"), ("MKL_NUM_THREADS", "2")]);
        let of = |asked, set: &[(String, String)]| {
            decide(asked, set, &machine, Launcher::Local, 8, 2).to_string()
        };
        assert_eq!(of(Threads::Auto, &[]), "4 for each engine");
        assert_eq!(
            of(Threads::Auto, &set),
            "not limited: MKL_NUM_THREADS=2 is set"
        );
        assert_eq!(of(Threads::Number(3), &set), "3 for each engine");
        assert_eq!(of(Threads::Off, &[]), "not limited: --threads off");
        let empty = variables(&[("OMP_NUM_THREADS", "")]);
        assert_eq!(of(Threads::Auto, &empty), "4 for each engine");
    }

    #[test]
    fn local_engines_share_what_is_the_jobs_on_this_machine() {
        for (allocation, cpus, engines, each) in [
            (Allocation::this_machine("n1", 2, None), 2, 4, 1),
            (Allocation::this_machine("n1", 8, None), 8, 3, 2),
            // Slurm confines the job, or does not.
            (job(&[4, 4], None), 4, 2, 2),
            (job(&[4, 4], None), 64, 2, 2),
        ] {
            let decided = decide(
                Threads::Auto,
                &[],
                &allocation,
                Launcher::Local,
                cpus,
                engines,
            );
            assert_eq!(
                decided,
                Decision::By(Rule::Part(each)),
                "{engines} on {cpus}"
            );
        }
        let decided = decide(
            Threads::Auto,
            &[],
            &job(&[8], Some(4)),
            Launcher::Srun,
            64,
            2,
        );
        let promised = Some(4);
        assert_eq!(decided, Decision::By(Rule::Cpus { promised }));
    }

    #[test]
    fn a_rule_survives_a_command_line_and_gives_way_to_a_variable() {
        for text in ["4", "cpus", "cpus:4"] {
            let rule: Rule = text.parse().expect(text);
            assert_eq!(rule.to_string(), text);
        }
        for other in ["", "0", "cpus:", "cpus4", "cpus:0", "-1"] {
            assert!(other.parse::<Rule>().is_err(), "{other}");
        }
        let set = super::super::sample::variables(&[("OMP_NUM_THREADS", "1")]);
        let rule = Rule::Cpus { promised: None };
        let alone = TaskPlace::default();
        for (rule, environment, number) in [
            (rule, &[][..], Some(8)),
            (rule, &set, None),
            (Rule::Number(3), &set, Some(3)),
        ] {
            assert_eq!(rule.of_shared(environment, 8, alone), number);
            assert_eq!(rule.of_own(environment, 8), number);
        }
        assert_eq!(Rule::Part(2).of_own(&[], 8), Some(8));
        assert_eq!(Rule::Part(2).of_shared(&[], 8, alone), Some(2));
    }

    #[test]
    fn a_task_has_as_many_threads_as_cpus_of_its_own() {
        let place = |tasks, cpus| TaskPlace {
            index: Some(0),
            tasks,
            cpus,
            is_bound: false,
        };
        for (bound, promised, tasks, cpus, threads) in [
            // Bound to its own, and not.
            (4, Some(4), Some(2), Some(8), 4),
            (64, Some(4), Some(2), Some(8), 4),
            // Nothing was promised: its part of the step's.
            (64, None, Some(2), Some(64), 32),
            (32, None, Some(4), Some(64), 16),
            (2, None, Some(3), Some(4), 1),
            // Without Slurm.
            (8, None, Some(2), None, 4),
            (8, None, None, None, 8),
            // A machine that has less than Slurm was told.
            (2, Some(4), Some(1), Some(4), 2),
            (1, None, Some(4), None, 1),
        ] {
            let place = place(tasks, cpus);
            assert_eq!(
                of_task(bound, promised, place),
                threads,
                "{bound} {place:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_task_never_has_none_and_never_more_than_its_cpus(
            bound in 1..512_u32, promised in proptest::option::of(1..64_u32), tasks in proptest::option::of(1..64_u32),
            cpus in proptest::option::of(1..512_u32)
        ) {
            let threads = of_task(bound, promised, TaskPlace { index: None, tasks, cpus, is_bound: false });
            prop_assert!(threads >= 1 && threads <= bound);
        }
    }
}
