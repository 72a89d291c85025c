//! Slurm's words: lists of nodes, the job's variables, walltimes.

use crate::plan::settings::Mode;
use crate::plan::slurm::Slurm;
use crate::plan::template::{Filling, fill};
use crate::plan::{het, hostlist, ranks::Rank};
use proptest::collection::vec;
use proptest::prelude::*;

/// The bounds of any list: names, and bytes of one name.
const MOST: (usize, usize) = (200_000, 253);

/// One bracket as ranges: first number, how many more, digits at least.
type Bracket = Vec<(u64, u64, usize)>;

fn bracket() -> impl Strategy<Value = Bracket> {
    vec((0..2000_u64, 0..4_u64, 1..5_usize), 1..3)
}

/// A list of parts, each of texts with brackets after them.
fn parts() -> impl Strategy<Value = Vec<(Vec<(String, Bracket)>, String)>> {
    let part = (vec(("[a-z-]{1,4}", bracket()), 0..3), "[a-z]{1,3}");
    vec(part, 1..4)
}

fn written(bracket: &Bracket) -> String {
    let range = |(first, more, width): &(u64, u64, usize)| match more {
        0 => format!("{first:0width$}"),
        more => format!("{first:0width$}-{:0width$}", first + more),
    };
    bracket.iter().map(range).collect::<Vec<_>>().join(",")
}

/// What a bracket stands for, number by number.
fn meant(bracket: &Bracket) -> Vec<String> {
    let mut all = Vec::new();
    for (first, more, width) in bracket {
        // A number with more digits than were asked for sets the width by itself.
        let width = format!("{first:0width$}").len();
        all.extend((*first..=first + more).map(|number| format!("{number:0width$}")));
    }
    all
}

/// Variables as Slurm sets them, or nearly.
fn variables() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop::sample::select(vec![
        "SLURM_JOB_ID",
        "SLURM_JOB_NODELIST",
        "SLURM_NODELIST",
        "SLURM_NTASKS",
        "SLURM_TASKS_PER_NODE",
        "SLURM_CPUS_PER_TASK",
        "SLURM_JOB_CPUS_PER_NODE",
        "SLURM_RESTART_COUNT",
        "SLURM_JOB_END_TIME",
        "SLURM_STEP_ID",
        "SLURM_PROCID",
        "SLURM_STEP_NUM_TASKS",
        "PMI_RANK",
        "PMI_SIZE",
        "MPI_LOCALNRANKS",
        "SLURM_JOB_ID_HET_GROUP_0",
        "SLURM_JOB_NODELIST_HET_GROUP_0",
        "SLURM_TASKS_PER_NODE_HET_GROUP_0",
    ]);
    let value = prop_oneof![
        "[0-9]{1,11}",
        "[a-c]\\[[0-9,-]{0,8}\\]",
        "[0-9(x),]{0,12}",
        "\\PC{0,12}",
    ];
    vec((name.prop_map(str::to_owned), value), 0..12)
}

proptest! {
    #[test]
    fn a_list_stands_for_the_names_that_it_was_made_of(parts in parts()) {
        let mut texts = Vec::new();
        let mut names = Vec::new();
        for (brackets, end) in &parts {
            let mut text = String::new();
            let mut heads = vec![String::new()];
            for (before, bracket) in brackets {
                text = format!("{text}{before}[{}]", written(bracket));
                heads = heads
                    .iter()
                    .flat_map(|head| meant(bracket).into_iter().map(move |number| format!("{head}{before}{number}")))
                    .collect();
            }
            texts.push(text + end);
            names.extend(heads.into_iter().map(|head| head + end));
        }
        prop_assert_eq!(hostlist::expand(&texts.join(",")), Ok(names));
    }

    #[test]
    fn no_list_grows_or_makes_it_panic(
        text in prop_oneof!["[a-c0-9,\\-\\[\\]]{0,40}", "\\PC{0,20}"],
        long in "[a0,]|\\[[0-9]-[0-9]\\]|\\[0\\]",
        times in prop_oneof![20 => 0..4_usize, 1 => 0..3000_usize],
        end in prop_oneof![30 => Just(""), 1 => Just("[0-99999]")],
    ) {
        if let Ok(names) = hostlist::expand(&format!("{text}{}{end}", long.repeat(times))) {
            prop_assert!(!names.is_empty() && names.len() <= MOST.0);
            prop_assert!(names.iter().all(|name| name.len() <= MOST.1 && !name.contains(char::is_whitespace)));
        }
    }

    #[test]
    fn a_job_is_read_as_slurm_tells_it(
        id in 1..u32::MAX, restart in 0..99_u32, end in any::<u32>(),
        tasks in vec((1..200_u32, 1..20_u32), 1..5), first in 0..50_u32,
    ) {
        let nodes: u32 = tasks.iter().map(|(_, times)| times).sum();
        let per_node = tasks.iter().map(|(tasks, times)| match times {
            1 => tasks.to_string(),
            times => format!("{tasks}(x{times})"),
        });
        let per_node = per_node.collect::<Vec<_>>().join(",");
        let variables = [
            ("SLURM_JOB_ID", id.to_string()),
            ("SLURM_JOB_NODELIST", format!("n[{first}-{}]", first + nodes - 1)),
            ("SLURM_JOB_CPUS_PER_NODE", per_node.clone()),
            ("SLURM_TASKS_PER_NODE", per_node),
            ("SLURM_RESTART_COUNT", restart.to_string()),
            ("SLURM_JOB_END_TIME", end.to_string()),
        ].map(|(name, value)| (name.to_owned(), value));
        let job = Slurm::read(&variables).expect("readable").expect("a job");
        prop_assert_eq!(job.job.number(), id.to_string());
        prop_assert_eq!(job.nodes.len(), nodes as usize);
        let sum = tasks.iter().map(|(tasks, times)| tasks * times).sum();
        prop_assert_eq!((job.tasks, job.room(), job.engines()), (Some(sum), Some(sum), Some(sum)));
        let each = tasks.iter().flat_map(|(tasks, times)| vec![*tasks; *times as usize]);
        prop_assert_eq!(job.cpus, each.collect::<Vec<_>>());
        prop_assert_eq!((job.restart, job.end), (restart, Some(i64::from(end))));
    }

    #[test]
    fn no_variables_make_a_job_that_cannot_be(variables in variables(), het in "\\PC{0,4}|[0-9,-]{0,6}") {
        if let Ok(Some(job)) = Slurm::read(&variables) {
            prop_assert!(job.job.number().bytes().all(|byte| byte.is_ascii_digit()));
            prop_assert!(!job.nodes.is_empty() && job.nodes.len() <= MOST.0);
            prop_assert!(job.tasks != Some(0) && job.cpus_per_task != Some(0));
            prop_assert!(job.cpus.is_empty() || job.cpus.len() == job.nodes.len());
            prop_assert!(job.engines() != Some(0) && job.engines() <= job.room());
        }
        if let Ok(Some(rank)) = Rank::read(&variables, "pid 1") {
            prop_assert!(rank.number < rank.size && rank.size > 1);
            let name = rank.meeting();
            prop_assert!(name.len() < 120 && name.is_ascii() && !name.contains('/'));
        }
        let _ = het::named(&["--het-group".to_owned(), het], &variables);
    }

    #[test]
    fn walltimes_of_slurm_arrive_as_they_were_given(days in 0..999_u32, clock in vec(0..60_u32, 1..4), with_days: bool) {
        let clock = clock.iter().map(|part| format!("{part:02}")).collect::<Vec<_>>().join(":");
        let time = if with_days { format!("{days}-{clock}") } else { clock };
        let script = fill(Mode::Notebook, &Filling { time: Some(time.clone()), ..Filling::default() }).expect("a walltime");
        let line = format!("#SBATCH --time={time}");
        prop_assert_eq!(script.lines().filter(|found| **found == line).count(), 1);
    }

    #[test]
    fn no_value_changes_more_of_a_script_than_its_line(
        value in prop_oneof!["(?s).{0,12}", "[0-9:-]{0,9}", "[a-z$`'#\\\\\n ]{0,8}"],
    ) {
        let plain = fill(Mode::ClusterOnly, &Filling::default()).expect("the file");
        let some = || Some(value.clone());
        for filling in [
            Filling { time: some(), ..Filling::default() },
            Filling { gres: some(), ..Filling::default() },
            Filling { account: some(), ..Filling::default() },
        ] {
            if let Ok(script) = fill(Mode::ClusterOnly, &filling) {
                prop_assert_eq!(script.lines().count(), plain.lines().count());
                let changed: Vec<_> = script.lines().zip(plain.lines()).filter(|(new, old)| new != old).collect();
                prop_assert!(changed.len() <= 1, "{:?}", changed);
                for (new, _) in changed {
                    prop_assert!(new.starts_with("#SBATCH --") && new.ends_with(&value));
                }
            }
        }
    }
}
