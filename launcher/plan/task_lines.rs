//! What the engines' step tells in its log: every task who it is and which MPI world it sees, one line each, and srun how
//! tasks ended. PURE.

mod daemon;
mod nodes;
mod not_forked;
mod not_imported;
mod rest;
mod sight;
mod words;

use super::share::Share;

/// A line of the step's log that means something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A task told who it is.
    Task(Report),
    /// A task told the size of its MPI world.
    World(World),
    /// A task told why it is not forked.
    NotForked(NotForked),
    /// A module could not be imported beforehand.
    NotImported(NotImported),
    /// A task told whether the engines of its node are at rest.
    Rest(Rest),
    /// An engine told what it sees of its node.
    Sees(Sight),
    /// A task told why it is bound to no CPUs.
    Unbound(Unbound),
    /// srun itself said that something is wrong.
    Srun(Words),
    /// srun itself said that it waits for its place in the job, and why.
    Waits(String),
}

/// Reads a line of the step's log; `None` for what programs print.
#[must_use]
pub fn read(line: &str) -> Option<Line> {
    Report::read(line)
        .map(Line::Task)
        .or_else(|| World::read(line).map(Line::World))
        .or_else(|| NotForked::read(line).map(Line::NotForked))
        .or_else(|| NotImported::read(line).map(Line::NotImported))
        .or_else(|| Sight::read(line).map(Line::Sees))
        .or_else(|| Unbound::read(line).map(Line::Unbound))
        .or_else(|| Rest::read(line).map(Line::Rest))
        .or_else(|| Words::read(line).map(Line::Srun))
        .or_else(|| waits(line).map(Line::Waits))
}

/// `srun: Job 4 step creation temporarily disabled, retrying (Requested nodes are busy)`: said once, until the step is made.
fn waits(line: &str) -> Option<String> {
    let text = line.trim();
    let is_it = text.starts_with("srun: ") && text.contains("step creation temporarily disabled");
    is_it.then(|| text.to_owned())
}

pub use not_forked::NotForked;
pub use not_imported::NotImported;
pub use rest::Rest;
pub use sight::{SIGHT_CODE, Sight, Unbound};
pub use words::{Topic, Words, cancelled};

/// The size of a task's MPI world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct World {
    /// The rank in the step.
    pub task: u32,
    /// How many ranks that world has.
    pub size: u32,
}

/// How the line begins, after srun's label, which has the task's rank: in worlds of 1 each calls itself rank 0. Without a
/// label (mpiexec, or a log that rank 0 has for itself) it counts as rank 0's.
const WORLD_HEAD: &str = "ipjob-engine world of ";

/// What every ipengine runs once MPI is initialised: it tells the size of its world. An expression, so that no name is left
/// in the users' namespace; one write, so that srun doesn't mix it with another task's line.
pub const WORLD_CODE: &str = "__import__('os').write(1, b'ipjob-engine world of %d\\n' % __import__('mpi4py.MPI').MPI.COMM_WORLD.size)";

impl World {
    fn read(line: &str) -> Option<Self> {
        let (label, size) = line.split_once(WORLD_HEAD)?;
        let task = match label.trim() {
            "" => 0,
            label => label.strip_suffix(':')?.parse().ok()?,
        };
        Some(Self {
            task,
            size: size.trim().parse().ok()?,
        })
    }
}

/// One task's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its rank in the step, which is the engine's id.
    pub rank: u32,
    /// The node it runs on.
    pub node: String,
    /// Its process id there.
    pub pid: u32,
    /// The step, `123.0`, where Slurm tells it.
    pub step: Option<String>,
    /// The memory limit of its control group in bytes, where it has one that can be read.
    pub memory: Option<u64>,
    /// What it was given of its node.
    pub share: Share,
}

/// Whether this is what srun puts before a task's line, or nothing.
fn is_label(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_digit() || c == ':' || c == ' ')
}

/// How the line begins.
const HEAD: &str = "ipjob-engine rank ";

impl Report {
    /// `ipjob-engine rank 3 on node2 pid 117 step 123.0 memory 1073741824 threads 4`
    #[must_use]
    pub fn line(&self) -> String {
        let step = self.step.as_deref().unwrap_or("-");
        let memory = self
            .memory
            .map_or_else(String::new, |limit| format!(" memory {limit}"));
        format!(
            "{HEAD}{} on {} pid {} step {step}{memory}{}",
            self.rank,
            self.node,
            self.pid,
            self.share.words()
        )
    }

    /// Reads such a line, with the label that srun puts before it; `None` for any other line.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let (label, rest) = line.split_once(HEAD)?;
        if !is_label(label) {
            return None;
        }
        let mut words: Vec<&str> = rest.split_ascii_whitespace().collect();
        let share = Share::take(&mut words)?;
        let memory = match words[..] {
            [.., "memory", limit] => {
                words.truncate(words.len() - 2);
                Some(limit.parse().ok()?)
            }
            _ => None,
        };
        let [rank, "on", node, "pid", pid, "step", step] = words[..] else {
            return None;
        };
        if [node, step]
            .iter()
            .any(|word| word.contains(|c: char| c.is_control() || c.is_whitespace()))
        {
            return None;
        }
        Some(Self {
            rank: rank.parse().ok()?,
            node: node.to_owned(),
            pid: pid.parse().ok()?,
            step: (step != "-").then(|| step.to_owned()),
            memory,
            share,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_srun() {
        let mut report = Report {
            rank: 12,
            node: "node2".to_owned(),
            pid: 117,
            step: Some("123.0".to_owned()),
            memory: None,
            share: Share::default(),
        };
        assert_eq!(Report::read(&report.line()), Some(report.clone()));
        report.share.threads = Some(4);
        assert_eq!(Report::read(&report.line()), Some(report.clone()));
        report.memory = Some(1 << 30);
        assert_eq!(
            Report::read(&format!("12: {}", report.line())),
            Some(report.clone())
        );
        assert_eq!(Report::read(&report.line()), Some(report));
    }

    #[test]
    fn the_size_of_a_world_is_read() {
        let world = World { task: 4, size: 6 };
        assert_eq!(read("4: ipjob-engine world of 6"), Some(Line::World(world)));
        let world = World { task: 0, size: 3 };
        assert_eq!(read("ipjob-engine world of 3"), Some(Line::World(world)));
        assert_eq!(read(&format!("4: Running: {WORLD_CODE}")), None);
    }

    #[test]
    fn other_lines_are_no_report() {
        for line in [
            "3: [IPEngine.0] Loading connection file",
            "3: print('ipjob-engine rank 1 on x pid 2 step 3')",
            "ipjob-engine rank x on y pid z step -",
        ] {
            assert_eq!(Report::read(line), None, "{line}");
        }
    }
}
