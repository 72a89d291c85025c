//! Slurm's queue, as squeue prints it for the script of `find`. PURE.

use crate::here::os::local_time;
use crate::here::os::text::printable;
use crate::plan::job::JobId;
use jiff::Timestamp;

/// What squeue is asked for: what the reader below expects, the job's name last because it may hold anything.
pub const FORMAT: &str = "%A|%i|%T|%D|%S|%e|%N|%u|%r|%j";

/// What there is of Slurm on that host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queue {
    /// squeue is not there.
    Absent,
    /// squeue failed, in its own words: nothing is known of any job.
    Silent(String),
    /// The user's jobs, also those that ended a short while ago.
    Told(Vec<Line>),
}

/// One job of the queue. What it tells is fit for a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The job.
    pub job: JobId,
    /// What squeue calls it: `123_4`.
    pub shown: String,
    /// Slurm's word: `PENDING`, `RUNNING` ...
    pub state: String,
    /// Why it waits, or how it ended.
    pub reason: Option<String>,
    /// When it began, or is expected to; seconds since 1970.
    pub start: Option<i64>,
    /// When it ends at the latest; seconds since 1970.
    pub end: Option<i64>,
    /// How many nodes it has or wants.
    pub node_count: Option<u32>,
    /// The nodes in Slurm's notation, once it has some.
    pub nodes: Option<String>,
    /// Whose it is.
    pub user: String,
    /// The job's name.
    pub name: String,
}

/// What a state of Slurm means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waits for nodes, for the first time or again.
    Waiting,
    /// It has nodes, or is just giving them back.
    Running,
    /// It is over.
    Over,
}

impl Queue {
    /// Reads what squeue printed and its exit code.
    #[must_use]
    pub fn read(code: Option<i32>, text: &str) -> Self {
        if code == Some(0) {
            return Self::Told(text.lines().filter_map(Line::read).collect());
        }
        let reason = text.lines().map(str::trim).find(|line| !line.is_empty());
        // It is told as squeue's.
        let reason = reason.map(|line| line.strip_prefix("squeue: ").unwrap_or(line));
        Self::Silent(reason.map_or_else(|| "no answer from squeue".to_owned(), printable))
    }

    /// The job of that number.
    #[must_use]
    pub fn job(&self, number: &str) -> Option<&Line> {
        let is = |line: &&Line| line.job.number() == number;
        self.lines().iter().find(is)
    }

    /// The element of a job array, `123_4`, or what stands for it while it waits.
    #[must_use]
    pub fn element(&self, name: &str) -> Option<&Line> {
        self.lines().iter().find(|line| line.job.holds(name))
    }

    /// All jobs that squeue told of.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        match self {
            Self::Told(lines) => lines,
            Self::Absent | Self::Silent(_) => &[],
        }
    }
}

impl Line {
    /// Reads a line; `None` for whatever else a program says there.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.trim().splitn(10, '|').collect();
        let [
            id,
            shown,
            state,
            count,
            start,
            end,
            nodes,
            user,
            reason,
            name,
        ] = fields[..]
        else {
            return None;
        };
        let job = JobId::shown(id, shown)?;
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
        if !state.bytes().all(plain) {
            return None;
        }
        let told = |text: &str| {
            let text = printable(text.trim());
            let nothing = matches!(text.as_str(), "" | "(null)" | "None" | "N/A");
            (!nothing).then_some(text)
        };
        Some(Self {
            job,
            shown: printable(shown),
            state: state.to_owned(),
            reason: told(reason),
            start: start.parse().ok(),
            end: end.parse().ok(),
            node_count: count.parse().ok(),
            nodes: told(nodes),
            user: printable(user),
            name: printable(name),
        })
    }

    /// When it is expected to start, for a person at this machine; `now` is the moment where Slurm is, if it is known.
    #[must_use]
    pub fn expected(&self, now: Option<Timestamp>) -> Option<String> {
        let start = Timestamp::from_second(self.start?).ok()?;
        Some(local_time::ahead(start, now.unwrap_or_else(Timestamp::now)))
    }

    /// Whether the job is just giving its nodes back: what is left of it is being ended.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.state == "COMPLETING"
    }

    /// What the state means. One that this program does not know counts as running, so that nothing of it is removed.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.state.as_str() {
            "PENDING" | "REQUEUED" | "REQUEUE_FED" | "REQUEUE_HOLD" | "RESV_DEL_HOLD"
            | "SPECIAL_EXIT" => Phase::Waiting,
            "BOOT_FAIL" | "CANCELLED" | "COMPLETED" | "DEADLINE" | "FAILED" | "LAUNCH_FAILED"
            | "NODE_FAIL" | "OUT_OF_MEMORY" | "PREEMPTED" | "RECONFIG_FAIL" | "REVOKED"
            | "TIMEOUT" => Phase::Over,
            _ => Phase::Running,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_jobs_name_is() {
        let text = "124|123_1|RUNNING|2|1764000000|1764003600|node[1-2]|ada|None|a|b\u{1b}[31m c";
        let line = Line::read(text).expect("a line");
        assert_eq!(
            (line.job.number(), line.job.name(), &*line.name),
            ("124", "123_1", "a|b c")
        );
        assert_eq!(
            (line.start, line.end),
            (Some(1_764_000_000), Some(1_764_003_600))
        );
        assert_eq!(
            (line.node_count, line.nodes.as_deref()),
            (Some(2), Some("node[1-2]"))
        );
        assert_eq!((line.reason.clone(), line.phase()), (None, Phase::Running));
        let hours_before = Timestamp::from_second(1_763_992_000).ok();
        let expected = line.expected(hours_before);
        assert!(expected.is_some_and(|text| text.ends_with(" (in 2 h)")));
        let waits = Line::read("7|7|PENDING|1|N/A|N/A||ada|Resources|x").expect("a line");
        assert_eq!((waits.start, waits.nodes.clone()), (None, None));
        assert_eq!(
            (waits.reason.as_deref(), waits.phase()),
            (Some("Resources"), Phase::Waiting)
        );
        for garbage in [
            "",
            "slurm_load_jobs error: x",
            "1|2|3",
            "x|1|RUNNING|1|1|1|n|u|r|j",
            "1|1|run;id|1|1|1|n|u|r|j",
        ] {
            assert_eq!(Line::read(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn an_unknown_state_is_no_end() {
        for (state, phase) in [
            ("TIMEOUT", Phase::Over),
            // One that is put back into the queue is PENDING again.
            ("PREEMPTED", Phase::Over),
            ("COMPLETING", Phase::Running),
            ("SOMETHING_NEW", Phase::Running),
        ] {
            let line = Line::read(&format!("1|1|{state}|1|1|1|n|u|r|j")).expect("a line");
            assert_eq!(line.phase(), phase);
        }
    }

    #[test]
    fn a_failure_of_squeue_says_nothing_of_jobs() {
        let silent = Queue::read(
            Some(1),
            "\nslurm_load_jobs error: Unable to contact slurm controller\n",
        );
        assert_eq!(
            silent,
            Queue::Silent("slurm_load_jobs error: Unable to contact slurm controller".to_owned())
        );
        assert_eq!(
            Queue::read(Some(1), "squeue: error: Invalid user"),
            Queue::Silent("error: Invalid user".to_owned())
        );
        assert_eq!(Queue::read(Some(0), ""), Queue::Told(Vec::new()));
    }
}
