//! Whether the engines of a node are at rest. PURE.

use super::is_label;

/// What a node tells of its engines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// The node's name, as its tasks report it.
    pub node: String,
    /// Whether they have done nothing since the look before.
    pub at_rest: bool,
}

/// How the line begins.
const HEAD: &str = "ipjob-engine ";

impl Rest {
    /// `ipjob-engine node2 at rest`
    #[must_use]
    pub fn line(&self) -> String {
        let what = if self.at_rest { "at rest" } else { "in use" };
        format!("{HEAD}{} {what}", self.node)
    }

    /// Reads such a line, with the label that srun puts before it; `None` for any other line.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let (label, rest) = line.split_once(HEAD)?;
        if !is_label(label) {
            return None;
        }
        let words: Vec<&str> = rest.split_ascii_whitespace().collect();
        let (node, at_rest) = match words[..] {
            [node, "at", "rest"] => (node, true),
            [node, "in", "use"] => (node, false),
            _ => return None,
        };
        let is_name = !node.contains(|c: char| c.is_control() || c.is_whitespace());
        is_name.then(|| Self {
            node: node.to_owned(),
            at_rest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_survives_srun_and_no_other_line_is_one() {
        for at_rest in [true, false] {
            let node = "node2".to_owned();
            let rest = Rest { node, at_rest };
            assert_eq!(
                Rest::read(&format!("12: {}", rest.line())),
                Some(rest.clone())
            );
            assert_eq!(Rest::read(&rest.line()), Some(rest));
        }
        for line in [
            "ipjob-engine rank 3 on node2 pid 117 step 123.0",
            "ipjob-engine world of 6",
            "3: he said: ipjob-engine node2 at rest",
            "ipjob-engine node2 at rest for ever",
            "ipjob-engine at rest",
        ] {
            assert_eq!(Rest::read(line), None, "{line}");
        }
    }
}
