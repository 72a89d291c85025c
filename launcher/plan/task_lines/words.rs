//! Slurm's own words in the step's log, and what they are about. PURE.

use super::nodes::{failed_nodes, node_is_refused};
use crate::plan::hostlist;

/// An error in srun's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The whole line: `srun: error: node2: tasks 3-5: Killed`.
    pub text: String,
    /// The tasks whose end it tells of.
    pub tasks: Vec<u32>,
    /// What it is about.
    pub about: Option<Topic>,
}

/// What Slurm's words are about, as far as anything is decided by it. They are read here and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Memory was short: `srun: error: node2: task 4: Out Of Memory`.
    OutOfMemory,
    /// Slurm takes the job down: its own signal to us is on its way, and may be the slower. Tasks get SIGTERM, which is not ours here, with the
    /// whole job or from somebody who means the step alone.
    JobEnds,
    /// Somebody or something killed tasks with SIGKILL: `srun: error: node2: task 4: Killed`.
    Killed,
    /// Slurm takes these nodes for lost.
    NodesFailed(Vec<String>),
    /// Slurm will make no step on the node that was asked for, however often it is asked.
    NodeRefused,
}

impl Topic {
    fn read(words: &str) -> Option<Self> {
        let failed = failed_nodes(words);
        if is_out_of_memory(words) {
            Some(Self::OutOfMemory)
        } else if job_is_ending(words) {
            Some(Self::JobEnds)
        } else if node_is_refused(words) {
            Some(Self::NodeRefused)
        } else if !failed.is_empty() {
            Some(Self::NodesFailed(failed))
        } else {
            words.ends_with(": Killed").then_some(Self::Killed)
        }
    }
}

impl Words {
    /// A line that tells of the end of these tasks.
    #[must_use]
    pub fn new(text: &str, tasks: Vec<u32>) -> Self {
        Self {
            text: text.to_owned(),
            tasks,
            about: Topic::read(text),
        }
    }

    /// Whether memory was short.
    #[must_use]
    pub fn is_about_memory(&self) -> bool {
        self.about == Some(Topic::OutOfMemory)
    }

    /// Reads a line that srun itself wrote because something is wrong, or slurmstepd because memory was short.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let text = line.trim();
        if is_of_the_daemon(text) {
            return Some(Self::new(text, Vec::new()));
        }
        let error = text.strip_prefix("srun: error: ")?;
        Some(Self::new(text, ended_tasks(error).unwrap_or_default()))
    }
}

/// Whether a line is slurmstepd's count of kills for want of memory, which comes by way of a task's stderr and so with its label:
/// `0: slurmstepd: error: Detected 1 oom_kill event in StepId=4.0. Some of the step tasks have been OOM Killed.`
fn is_of_the_daemon(text: &str) -> bool {
    let text = match text.split_once(": ") {
        Some((label, rest)) if label.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => text,
    };
    text.strip_prefix("slurmstepd: error: Detected ")
        .is_some_and(is_out_of_memory)
}

fn is_out_of_memory(words: &str) -> bool {
    ["Out Of Memory", "oom_kill", "oom-kill"]
        .iter()
        .any(|part| words.contains(part))
}

fn job_is_ending(words: &str) -> bool {
    [
        "has expired",
        "already completing or completed",
        "Job credential revoked",
        ": Terminated",
    ]
    .iter()
    .any(|part| words.contains(part))
}

/// The tasks of `node2: tasks 3-5,7: Exited with exit code 1`.
fn ended_tasks(error: &str) -> Option<Vec<u32>> {
    let mut parts = error.splitn(3, ": ");
    let (_nodes, tasks, how) = (parts.next()?, parts.next()?, parts.next()?);
    let list = tasks
        .strip_prefix("tasks ")
        .or_else(|| tasks.strip_prefix("task "))?;
    // It also tells of tasks that ended well (`Exited with exit code 0`) and of those that begin late.
    if how.is_empty() {
        return None;
    }
    let names = hostlist::expand(&format!("[{}]", list.trim())).ok()?;
    names.iter().map(|name| name.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Line, read};
    use super::*;

    #[test]
    fn sruns_own_words_name_tasks() {
        for (line, tasks) in [
            ("srun: error: node2: task 4: Killed", vec![4]),
            (
                "srun: error: node2: tasks 3-5,7: Exited with exit code 4",
                vec![3, 4, 5, 7],
            ),
            ("srun: error: Node failure on node2", vec![]),
            ("srun: error: node2: task 4: Out Of Memory", vec![4]),
            (
                "slurmstepd: error: Detected 2 oom-kill event(s) in StepId=4.0.",
                vec![],
            ),
            (
                "0: slurmstepd: error: Detected 1 oom_kill event in StepId=4.0. Some of the step tasks have been OOM Killed.",
                vec![],
            ),
        ] {
            assert_eq!(read(line), Some(Line::Srun(Words::new(line, tasks))));
        }
        let waits =
            "srun: Job 4 step creation temporarily disabled, retrying (Requested nodes are busy)";
        assert_eq!(read(waits), Some(Line::Waits(waits.to_owned())));
        assert_eq!(
            read("srun: launch/slurm: _step_signal: Terminating StepId=1.0"),
            None
        );
        assert_eq!(read("3: srun: error: node2: task 4: Killed"), None);
        assert_eq!(read("3: slurmstepd: error: task_p_pre_launch"), None);
    }

    #[test]
    fn slurms_words_are_about_one_thing() {
        for (words, about) in [
            ("node2: task 4: Out Of Memory", Some(Topic::OutOfMemory)),
            ("node2: task 4: Killed", Some(Topic::Killed)),
            ("node2: task 4: Terminated", Some(Topic::JobEnds)),
            ("Job 4 has expired", Some(Topic::JobEnds)),
            (
                "Node failure on node[2-3]",
                Some(Topic::NodesFailed(vec![
                    "node2".to_owned(),
                    "node3".to_owned(),
                ])),
            ),
            (
                "Unable to create step for job 4: Requested node configuration is not available",
                Some(Topic::NodeRefused),
            ),
            ("node2: task 4: Exited with exit code 1", None),
            ("node2: task 4: Segmentation fault", None),
        ] {
            let line = format!("srun: error: {words}");
            assert_eq!(
                Words::read(&line).and_then(|words| words.about),
                about,
                "{line}"
            );
        }
    }
}
