//! What every task of the engines' step tells of itself in the step's log, one line each.

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
}

/// How the line begins.
const HEAD: &str = "ipjob-engine rank ";

impl Report {
    /// `ipjob-engine rank 3 on node2 pid 117 step 123.0`
    #[must_use]
    pub fn line(&self) -> String {
        let step = self.step.as_deref().unwrap_or("-");
        format!(
            "{HEAD}{} on {} pid {} step {step}",
            self.rank, self.node, self.pid
        )
    }

    /// Reads such a line, with the label that srun puts before it; `None` for any other line.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let (label, rest) = line.split_once(HEAD)?;
        if !label
            .chars()
            .all(|c| c.is_ascii_digit() || c == ':' || c == ' ')
        {
            return None;
        }
        let words: Vec<&str> = rest.split_ascii_whitespace().collect();
        let [rank, "on", node, "pid", pid, "step", step] = words[..] else {
            return None;
        };
        Some(Self {
            rank: rank.parse().ok()?,
            node: node.to_owned(),
            pid: pid.parse().ok()?,
            step: (step != "-").then(|| step.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_srun() {
        let report = Report {
            rank: 12,
            node: "node2".to_owned(),
            pid: 117,
            step: Some("123.0".to_owned()),
        };
        assert_eq!(
            Report::read(&format!("12: {}", report.line())),
            Some(report.clone())
        );
        assert_eq!(Report::read(&report.line()), Some(report));
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
