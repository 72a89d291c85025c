//! Batch scripts to begin with: the files of sbatch/, filled in.

use super::settings::Mode;
use crate::failure::{Failure, Outcome};

/// Notebook mode's script.
const JUPYTER: &str = include_str!("../../sbatch/run_jupyter.sbatch");

/// Cluster-only mode's script.
const IPCLUSTER: &str = include_str!("../../sbatch/run_ipcluster.sbatch");

/// What is filled in; what is `None` stays as the file has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filling {
    /// `--nodes`
    pub nodes: Option<u32>,
    /// `--ntasks-per-node`
    pub ntasks_per_node: Option<u32>,
    /// `--time`, in Slurm's notation
    pub time: Option<String>,
    /// `--account`
    pub account: Option<String>,
    /// `--partition`
    pub partition: Option<String>,
    /// `--constraint`
    pub constraint: Option<String>,
    /// `--gres`
    pub gres: Option<String>,
    /// Whether the job is to survive a node's death.
    pub no_kill: bool,
}

/// What is given, as names and values of sbatch's options.
fn options(filling: &Filling) -> Outcome<Vec<(&'static str, String)>> {
    if let Some(time) = &filling.time {
        check_time(time)?;
    }
    let words = [
        ("account", &filling.account),
        ("partition", &filling.partition),
        ("constraint", &filling.constraint),
        ("gres", &filling.gres),
    ];
    for (name, value) in &words {
        if let Some(value) = value {
            check_word(name, value)?;
        }
    }
    let numbers = [
        ("nodes", filling.nodes),
        ("ntasks-per-node", filling.ntasks_per_node),
    ]
    .map(|(name, number)| (name, number.map(|number| number.to_string())));
    let words = [("time", &filling.time)].into_iter().chain(words);
    let words = words.map(|(name, value)| (name, value.clone()));
    Ok(numbers
        .into_iter()
        .chain(words)
        .filter_map(|(name, value)| Some((name, value?)))
        .collect())
}

/// The same as arguments of sbatch, which win over the lines of a script.
pub fn arguments(filling: &Filling) -> Outcome<Vec<String>> {
    let given = options(filling)?;
    let given = given
        .iter()
        .map(|(name, value)| format!("--{name}={value}"));
    let no_kill = filling.no_kill.then(|| "--no-kill".to_owned());
    Ok(given.chain(no_kill).collect())
}

/// The script of a mode. Refused is what would not arrive at Slurm as it was given, or would add lines to the script.
pub fn fill(mode: Mode, filling: &Filling) -> Outcome<String> {
    let options = options(filling)?;
    let script = match mode {
        Mode::Notebook => JUPYTER,
        Mode::ClusterOnly => IPCLUSTER,
    };
    let line = |line: &str| {
        // Two # are a line that waits to be filled in.
        let option = line.trim_start_matches('#').strip_prefix("SBATCH --");
        if filling.no_kill && option == Some("no-kill") {
            return "#SBATCH --no-kill".to_owned();
        }
        let name = option.and_then(|option| Some(option.split_once('=')?.0));
        options
            .iter()
            .find(|(given, _)| name == Some(given))
            .map_or_else(
                || line.to_owned(),
                |(name, value)| format!("#SBATCH --{name}={value}"),
            )
    };
    Ok(script.lines().map(line).map(|line| line + "\n").collect())
}

/// Slurm splits a #SBATCH line at white space, takes quotes and backslashes away and ends it at a #; it expands no variable.
fn check_word(name: &str, value: &str) -> Outcome<()> {
    let refused = |char: &char| !char.is_ascii_graphic() || "'\"\\#$`".contains(*char);
    match value.chars().find(refused) {
        Some(char) => Err(Failure::usage(format!(
            "--{name} {value:?} cannot be used in a #SBATCH line because of its {char:?}"
        ))
        .hint("Slurm's names have letters, digits and signs such as - _ . : , & | [ ]; variables are not expanded there")),
        None if value.is_empty() => Err(Failure::usage(format!("--{name} is empty"))
            .hint("leave the option out where your site needs none")),
        None => Ok(()),
    }
}

/// Minutes, M:S, H:M:S, D-H, D-H:M, D-H:M:S, or no limit.
fn check_time(text: &str) -> Outcome<()> {
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (Some(days), clock),
        None => (None, text),
    };
    let is_number =
        |text: &str| (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let is_time = days.is_none_or(is_number)
        && clock.split(':').all(is_number)
        && clock.split(':').count() <= 3;
    let is_none = ["UNLIMITED", "INFINITE"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word));
    if is_time || is_none {
        return Ok(());
    }
    Err(
        Failure::usage(format!("--time {text:?} is not a Slurm time limit"))
            .hint("give minutes (30), HOURS:MINUTES:SECONDS or DAYS-HOURS"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODES: [Mode; 2] = [Mode::Notebook, Mode::ClusterOnly];

    fn full() -> Filling {
        let word = |text: &str| Some(text.to_owned());
        Filling {
            nodes: Some(16),
            ntasks_per_node: Some(32),
            time: word("1-12"),
            account: word("s1042"),
            partition: word("normal,debug"),
            constraint: word("[rack1|rack2]&mc*2"),
            gres: word("gpu:a100:4(S:0-1)"),
            no_kill: true,
        }
    }

    /// The lines that sbatch reads.
    fn directives(script: &str) -> Vec<&str> {
        script
            .lines()
            .filter_map(|line| line.strip_prefix("#SBATCH "))
            .collect()
    }

    #[test]
    fn what_is_not_filled_in_is_the_file() {
        for (mode, file) in [(Mode::Notebook, JUPYTER), (Mode::ClusterOnly, IPCLUSTER)] {
            assert_eq!(fill(mode, &Filling::default()).as_deref(), Ok(file));
        }
    }

    #[test]
    fn every_option_changes_one_line() {
        for mode in MODES {
            let script = fill(mode, &full()).expect("good values");
            let directives = directives(&script);
            for line in [
                "--nodes=16",
                "--ntasks-per-node=32",
                "--time=1-12",
                "--account=s1042",
                "--partition=normal,debug",
                "--constraint=[rack1|rack2]&mc*2",
                "--gres=gpu:a100:4(S:0-1)",
                "--no-kill",
                "--no-requeue",
            ] {
                let found = directives.iter().filter(|found| **found == line).count();
                assert_eq!(found, 1, "{line} in {directives:?}");
            }
            let empty = fill(mode, &Filling::default()).expect("the file");
            assert_eq!(script.lines().count(), empty.lines().count());
            assert!(!script.contains("##SBATCH"), "{script}");
        }
    }

    #[test]
    fn times_are_those_of_slurm() {
        let with = |time: &str| {
            let filling = Filling {
                time: Some(time.to_owned()),
                ..Filling::default()
            };
            fill(Mode::Notebook, &filling)
        };
        for time in [
            "5",
            "90:00",
            "24:00:00",
            "2-0",
            "1-12:30",
            "1-12:30:15",
            "infinite",
        ] {
            assert!(with(time).is_ok(), "{time}");
        }
        for time in [
            "",
            "2h",
            "-5",
            "1-",
            "1:2:3:4",
            ":",
            "5 ",
            "5\n",
            "٣",
            "1234567890",
        ] {
            let failure = with(time).expect_err(time);
            assert_eq!(failure.exit_code(), 2);
            assert!(failure.message.contains("--time"), "{failure}");
        }
    }

    #[test]
    fn what_would_not_arrive_is_refused() {
        for value in [
            "",
            "a b",
            "a\nscancel --me",
            "a\r",
            "a\t",
            "\u{1b}[2J",
            "a\0",
            "a#b",
            "'a'",
            "\"",
            "a\\",
            "$USER",
            "`id`",
            "größe",
            "a\u{2028}b",
        ] {
            let filling = Filling {
                account: Some(value.to_owned()),
                ..Filling::default()
            };
            let failure = fill(Mode::ClusterOnly, &filling).expect_err(value);
            assert_eq!(failure.exit_code(), 2);
            assert!(failure.message.contains("--account"), "{failure}");
            assert!(!failure.message.contains('\n'), "{failure}");
        }
    }
}
