//! Slurm's own words in the step's log, and what they are about. PURE.

use super::daemon::{Told, What};
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
    /// The number of the step whose daemon wrote it: srun's own words are about its own step.
    pub step: Option<u64>,
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
    /// srun itself ended the step: it could not start tasks on a node, or lost a node's daemon.
    /// `srun: error: Task launch for StepId=1.0 failed on node node2: Communication connection failure`
    GivenUp,
    /// Slurm itself ended the step, for more than the end of a task, and said why:
    /// `slurmstepd: error: *** STEP 1.0 ON node1 CANCELLED AT ... DUE TO NODE FAILURE ***`
    Ended,
    /// Slurm takes these nodes for lost.
    NodesFailed(Vec<String>),
    /// Slurm's side of PMI could not read what an MPI library asked of it.
    BadRequest,
    /// Slurm will make no step on the node that was asked for, however often it is asked.
    NodeRefused,
}

impl Topic {
    /// Of a line that tells how tasks ended, or of any other.
    fn read(words: &str, of_tasks: bool) -> Option<Self> {
        if of_tasks {
            return match words.rsplit(": ").next()? {
                "Out Of Memory" => Some(Self::OutOfMemory),
                "Terminated" => Some(Self::JobEnds),
                "Killed" => Some(Self::Killed),
                _ => None,
            };
        }
        let failed = failed_nodes(words);
        if job_is_ending(words) {
            Some(Self::JobEnds)
        } else if is_given_up(words) {
            Some(Self::GivenUp)
        } else if node_is_refused(words) {
            Some(Self::NodeRefused)
        } else {
            (!failed.is_empty()).then_some(Self::NodesFailed(failed))
        }
    }
}

impl Words {
    /// A line that tells of the end of these tasks.
    #[must_use]
    pub fn new(text: &str, tasks: Vec<u32>) -> Self {
        Self {
            text: text.to_owned(),
            about: Topic::read(text, !tasks.is_empty()),
            tasks,
            step: None,
        }
    }

    /// Whether memory was short.
    #[must_use]
    pub fn is_about_memory(&self) -> bool {
        self.about == Some(Topic::OutOfMemory)
    }

    /// Whether they explain what srun tells of tasks after them: these were killed with their step.
    #[must_use]
    pub fn explain_later_ends(&self) -> bool {
        matches!(
            self.about,
            Some(Topic::GivenUp | Topic::Ended | Topic::NodesFailed(_))
        )
    }

    /// Reads a line that srun itself wrote because something is wrong, or slurmstepd because memory was short or it ends the step.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let text = line.trim();
        if let Some(told) = Told::read(text) {
            let about = match told.what {
                What::OutOfMemory => Topic::OutOfMemory,
                What::BadRequest => Topic::BadRequest,
                What::Ended => Topic::Ended,
                // srun has told of the task.
                What::Cancelled | What::EndedForTask => return None,
            };
            return Some(Self {
                text: text.to_owned(),
                tasks: Vec::new(),
                about: Some(about),
                step: told.step,
            });
        }
        let error = text.strip_prefix("srun: error: ")?;
        Some(Self::new(text, ended_tasks(error).unwrap_or_default()))
    }
}

/// Whether Slurm makes no step because it takes the job down.
fn job_is_ending(words: &str) -> bool {
    let expired = words.contains("ob ") && words.ends_with(" has expired");
    expired
        || ["already completing or completed", "Job credential revoked"]
            .iter()
            .any(|end| words.ends_with(end))
}

/// Whether srun ends its step because of what it says so.
fn is_given_up(words: &str) -> bool {
    let error = words.strip_prefix("srun: error: ").unwrap_or(words);
    let of_task = error
        .strip_prefix("task ")
        .and_then(|rest| rest.split_once(" launch failed: "));
    [
        "Task launch for ",
        "Application launch failed: ",
        "Cannot communicate with node ",
        "Aborting, ",
        "step_launch_notify_io_failure: aborting, ",
    ]
    .iter()
    .any(|begin| error.starts_with(begin))
        || of_task.is_some_and(|(task, _)| task.parse::<u32>().is_ok())
}

/// What srun calls the signals that end tasks: the C library's English words, whatever the language is.
const SIGNALS: [&str; 26] = [
    "Aborted",
    "Alarm clock",
    "Bad system call",
    "Broken pipe",
    "Bus error",
    "CPU time limit exceeded",
    "Child exited",
    "File size limit exceeded",
    "Floating point exception",
    "Hangup",
    "I/O possible",
    "Illegal instruction",
    "Interrupt",
    "Killed",
    "Power failure",
    "Profiling timer expired",
    "Quit",
    "Segmentation fault",
    "Stack fault",
    "Terminated",
    "Trace/breakpoint trap",
    "Urgent I/O condition",
    "User defined signal 1",
    "User defined signal 2",
    "Virtual timer expired",
    "Window changed",
];

/// Whether srun says so that a task has ended. Who acts on it starts the engine again: any other word, of a newer Slurm, is
/// only repeated, and the hub tells of the end.
fn is_an_end(how: &str) -> bool {
    let how = how.strip_suffix(" (core dumped)").unwrap_or(how);
    let numbered = [
        "Exited with exit code ",
        "Real-time signal ",
        "Unknown signal ",
    ];
    let number = numbered.iter().find_map(|begin| how.strip_prefix(begin));
    how == "Out Of Memory"
        || SIGNALS.contains(&how)
        || number.is_some_and(|number| number.parse::<u32>().is_ok())
}

/// The tasks of `node2: tasks 3-5,7: Exited with exit code 1`.
fn ended_tasks(error: &str) -> Option<Vec<u32>> {
    let mut parts = error.splitn(3, ": ");
    let (_nodes, tasks, how) = (parts.next()?, parts.next()?, parts.next()?);
    let list = tasks
        .strip_prefix("tasks ")
        .or_else(|| tasks.strip_prefix("task "))?;
    if !is_an_end(how) {
        return None;
    }
    let names = hostlist::expand(&format!("[{}]", list.trim())).ok()?;
    names.iter().map(|name| name.parse().ok()).collect()
}

/// What srun says where a signal asks it to end: it kills its tasks.
const SRUN_ENDS: &str = "srun: forcing job termination";

/// What srun says where it ends the step itself, as with `--kill-on-bad-exit`; `srun: launch/slurm: _step_signal: ` goes before it on 22.05.
const SRUN_ENDS_STEP: &str = "Terminating StepId=";

/// The line of a step's log that says that somebody cancelled it. Where its tasks end `together` (`--kill-on-bad-exit`) and srun had told of
/// one's end before, Slurm ended the others for that, which 22.05 and 24.11 tell in the same words; so they do where srun had given the step
/// up, or was itself asked to end. `is_own` tells the step by its number.
pub fn cancelled(lines: &[String], together: bool, is_own: impl Fn(u64) -> bool) -> Option<&str> {
    for line in lines {
        match (Told::read(line), Words::read(line)) {
            (Some(told), _) if told.what == What::Cancelled && told.step.is_some_and(&is_own) => {
                return Some(line.trim());
            }
            (_, Some(words)) if together && !words.tasks.is_empty() => return None,
            (_, Some(words)) if words.about == Some(Topic::GivenUp) => return None,
            _ if line.trim() == SRUN_ENDS => return None,
            _ if line.starts_with("srun: ") && line.contains(SRUN_ENDS_STEP) => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::{Line, read};
    use super::*;

    /// Lines as the three versions printed them, with what may be concluded from each: of which tasks' end it tells, and of what.
    #[rustfmt::skip]
    const LINES: &[(&str, &[u32], Option<Topic>)] = &[
        // All three.
        ("srun: error: node2: task 3: Killed", &[3], Some(Topic::Killed)),
        ("srun: error: node2: tasks 2-3,7: Exited with exit code 2", &[2, 3, 7], None),
        ("srun: error: node2: task 3: Segmentation fault", &[3], None),
        ("srun: error: node2: task 3: Segmentation fault (core dumped)", &[3], None),
        ("srun: error: node1: tasks 0-1: Terminated", &[0, 1], Some(Topic::JobEnds)),
        ("srun: error: node2: task 2: Out Of Memory", &[2], Some(Topic::OutOfMemory)),
        ("srun: error: Slurm job 2 has expired", &[], Some(Topic::JobEnds)),
        ("srun: error: Unable to create step for job 1: Job/step already completing or completed", &[], Some(Topic::JobEnds)),
        ("srun: error: Unable to create step for job 1: Requested node configuration is not available", &[], Some(Topic::NodeRefused)),
        ("srun: error: Unable to create step for job 1: Memory required by task is not available", &[], None),
        ("srun: error: Only allocated 2 nodes asked for 3", &[], None),
        ("srun: error: Task launch for StepId=1.0 failed on node node2: Communication connection failure", &[], Some(Topic::GivenUp)),
        ("srun: error: Application launch failed: Communication connection failure", &[], Some(Topic::GivenUp)),
        ("srun: error: task 3 launch failed: Unspecified error", &[], Some(Topic::GivenUp)),
        ("0: slurmstepd-node1: error: *** STEP 1.4 ON node1 CANCELLED AT 2026-11-27T05:04:42 DUE TO TIME LIMIT ***", &[], Some(Topic::Ended)),
        ("0: slurmstepd-node1: error: *** STEP 1.4 ON node1 CANCELLED AT 2026-11-27T05:04:42 DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***", &[], Some(Topic::Ended)),
        // 22.05
        ("2: slurmstepd-node2: error: Detected 1 oom-kill event(s) in StepId=1.3. Some of your processes may have been killed by the cgroup out-of-memory handler.", &[], Some(Topic::OutOfMemory)),
        ("slurmstepd: error: Detected 2 oom-kill event(s) in StepId=4.0.", &[], Some(Topic::OutOfMemory)),
        // 24.11
        ("2: slurmstepd-node2: error: Detected 1 oom_kill event in StepId=2.0. Some of the step tasks have been OOM Killed.", &[], Some(Topic::OutOfMemory)),
        ("3: slurmstepd-node2: error: mpi/pmi2: value not properly terminated in client request", &[], Some(Topic::BadRequest)),
        ("3: slurmstepd-node2: error: mpi/pmi2: invalid client request", &[], Some(Topic::BadRequest)),
        // 26.05
        ("3: [2026-11-27T05:03:38.831] error: mpi/pmi2: value not properly terminated in client request", &[], Some(Topic::BadRequest)),
        ("2: [2026-11-27T05:03:38.831] error: Detected 1 oom_kill event in StepId=1.3. Some of the step tasks have been OOM Killed.", &[], Some(Topic::OutOfMemory)),
    ];

    /// Lines of the same logs from which nothing is concluded.
    const OTHERS: &[&str] = &[
        "srun: Force Terminated StepId=1.0",
        "srun: launch/slurm: _step_signal: Terminating StepId=1.6",
        "srun: Terminating StepId=1.7",
        "srun: Job step aborted: Waiting up to 7 seconds for job step to finish.",
        "srun: Cancelled pending job step with signal 15",
        "srun: Step created for job 1",
        "srun: forcing job termination",
        "0: [2026-11-27T05:03:46.358] error: *** STEP 1.4 ON node1 CANCELLED AT 2026-11-27T05:03:46 DUE TO TASK FAILURE ***",
        "srun: Step created for StepId=1.10",
        "0: slurmstepd-node1: error: execve(): /nosuch: No such file or directory",
        "0: [2026-11-27T05:03:46.495] error: execve(): /nosuch: No such file or directory",
        "3: slurmstepd: error: task_p_pre_launch",
        // A step that a task runs.
        "3: srun: error: node2: task 4: Killed",
        "3: 2: slurmstepd-node2: error: Detected 1 oom_kill event in StepId=2.0. Some of the step tasks have been OOM Killed.",
    ];

    #[test]
    fn the_words_of_all_versions_are_known() {
        for (line, tasks, about) in LINES {
            let Some(Line::Srun(words)) = read(line) else {
                panic!("{line}");
            };
            assert_eq!((&words.tasks[..], &words.about), (*tasks, about), "{line}");
            assert_eq!(words.text, *line);
        }
        for line in OTHERS {
            assert_eq!(read(line), None, "{line}");
        }
        let waits =
            "srun: Job 4 step creation temporarily disabled, retrying (Requested nodes are busy)";
        assert_eq!(read(waits), Some(Line::Waits(waits.to_owned())));
        let failed = Words::read("srun: error: Node failure on node[2-3]").expect("srun's");
        let nodes = ["node2", "node3"].map(str::to_owned).to_vec();
        assert_eq!(failed.about, Some(Topic::NodesFailed(nodes)));
    }

    /// The same words as another Slurm might say them: in another language, with colours, times or other prefixes.
    fn changed(line: &str) -> Vec<String> {
        let mut all = vec![
            line.replace("error: ", "Fehler: "),
            line.replace("error: ", "error (code 7): "),
            line.replace("error: ", "\u{1b}[31merror:\u{1b}[0m "),
            line.replace("srun: ", "srun[117]: "),
            format!("[2026-11-27T05:03:38.831] {line}"),
            format!("\u{1b}[31m{line}\u{1b}[0m"),
            format!("Nov 27 05:03:38 node1 {line}"),
            format!("{line} (see slurmd.log)"),
        ];
        for (said, other) in [
            ("Killed", "Getötet"),
            ("Terminated", "Beendet"),
            ("Out Of Memory", "memory was short"),
            ("Exited with exit code 2", "is slow to start"),
            ("Exited with exit code 2", "Exited with exit code two"),
            ("oom_kill", "memory"),
            ("oom-kill", "memory"),
            ("StepId=", "step "),
            ("task", "rank"),
            ("has expired", "is about to expire"),
            ("already completing or completed", "has not begun"),
            ("is not available", "is there"),
        ] {
            all.push(line.replace(said, other));
        }
        all.retain(|other| other != line);
        all
    }

    #[test]
    fn changed_words_say_nothing_rather_than_something_wrong() {
        for (line, tasks, about) in LINES {
            for other in changed(line) {
                let Some(Line::Srun(words)) = read(&other) else {
                    continue;
                };
                assert!(words.tasks.is_empty() || words.tasks == *tasks, "{other}");
                assert!(words.about.is_none() || words.about == *about, "{other}");
            }
        }
    }

    /// The log of a step that `scancel JOB.STEP` ended, as each version wrote it, and what Slurm writes where it ends a step itself.
    #[test]
    fn a_cancelled_step_is_told_from_one_that_slurm_ends() {
        let among = |text: &str, together: bool| {
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            super::cancelled(&lines, together, |step| step == 4).is_some()
        };
        let cancelled = |text: &str| among(text, true);
        for text in [
            "0: slurmstepd-node1: error: *** STEP 1.4 ON node1 CANCELLED AT 2026-11-27T05:03:40 ***\nsrun: Job step aborted: Waiting up to 7 seconds for job step to finish.\nsrun: error: node2: tasks 2-3: Killed",
            "srun: Job step aborted: Waiting up to 7 seconds for job step to finish.\n0: [2026-11-27T05:03:44.475] error: *** STEP 1.4 ON node1 CANCELLED AT 2026-11-27T05:03:44 DUE to SIGNAL Killed ***\nsrun: error: node1: tasks 0-1: Killed",
            "0: [2026-11-27T05:03:46.108] error: *** STEP 1+0.4 ON node1 CANCELLED AT 2026-11-27T05:03:46 DUE to SIGNAL Terminated ***",
        ] {
            assert!(cancelled(text), "{text}");
            assert!(
                !cancelled(&text.replace(".4 ON", ".5 ON")),
                "of another step"
            );
            assert!(!cancelled(&text.replace("0: ", "0: > ")), "said by a task");
            for ends in ["launch/slurm: _step_signal: ", ""] {
                let text = format!("srun: {ends}Terminating StepId=1.4\n{text}");
                assert!(!cancelled(&text), "{text}");
            }
        }
        for text in [
            // A rank of an MPI world has ended.
            "srun: error: node2: task 3: Exited with exit code 7\nsrun: launch/slurm: _step_signal: Terminating StepId=1.4\n0: slurmstepd-node1: error: *** STEP 1.4 ON node1 CANCELLED AT 2026-11-27T05:03:42 ***\nsrun: error: node2: task 2: Terminated",
            "srun: error: node2: task 3: Exited with exit code 7\nsrun: Terminating StepId=1.4\n0: [2026-11-27T05:03:46.358] error: *** STEP 1.4 ON node1 CANCELLED AT 2026-11-27T05:03:46 DUE TO TASK FAILURE ***",
            "0: slurmstepd-node1: error: *** STEP 1.4 ON node1 CANCELLED AT 2026-11-27T05:04:42 DUE TO TIME LIMIT ***",
            "0: [2026-11-27T05:05:16.404] error: *** STEP 1.4 ON node1 CANCELLED AT 2026-11-27T05:05:16 DUE TO JOB REQUEUE ***",
            "0: slurmstepd: error: *** STEP 1.4 ON node1 CANCELLED AT 2026-11-27T05:05:16 DUE TO PREEMPTION ***",
            "0: slurmstepd: error: *** STEP 1.4 ON node1 CANCELLED AT 2026-11-27T05:05:16 DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***",
            "srun: error: node1: task 0: Killed",
        ] {
            assert!(!cancelled(text), "{text}");
        }
        // srun has ended its step itself.
        let told = "0: slurmstepd-node1: error: *** STEP 1.4 ON node1 CANCELLED AT 2026-11-27T05:03:42 ***";
        for before in [
            "srun: error: Task launch for StepId=1.4 failed on node node2: Communication connection failure",
            "srun: error: task 3 launch failed: Unspecified error",
            "srun: error: step_launch_notify_io_failure: aborting, io error with slurmstepd on node 1",
            "srun: forcing job termination",
        ] {
            assert!(!among(&format!("{before}\n{told}"), false), "{before}");
        }
        let later = "srun: error: node2: task 3: Killed\n0: slurmstepd-node1: error: *** STEP 1.4 ON node1 CANCELLED AT 2026-11-27T05:03:42 ***";
        assert!(
            !among(later, true),
            "the other ranks of a world end with it"
        );
        assert!(
            among(later, false),
            "of itself the end of one ends no other"
        );
    }
}
