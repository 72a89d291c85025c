//! A task whose engine was to be a fork and is a Python of its own. PURE.

use super::is_label;
use core::fmt;

/// How the line begins.
const HEAD: &str = "ipjob-engine not forked on ";

/// Why it is not forked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotForked {
    /// The node.
    pub node: String,
    /// Why.
    pub why: String,
}

impl NotForked {
    /// `ipjob-engine not forked on node2: 2 threads run`
    #[must_use]
    pub fn line(&self) -> String {
        format!("{HEAD}{}: {}", self.node, self.why)
    }

    /// Reads such a line, with the label that srun puts before it; `None` for any other line.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let (label, rest) = line.split_once(HEAD)?;
        let (node, why) = rest.split_once(": ").filter(|_| is_label(label))?;
        let (node, why) = (node.to_owned(), why.trim().to_owned());
        let plain = !node.contains(char::is_whitespace) && !rest.trim().contains(char::is_control);
        plain.then_some(Self { node, why })
    }
}

impl fmt::Display for NotForked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (on {})", self.why, self.node)
    }
}

#[cfg(test)]
mod tests {
    use super::NotForked;

    #[test]
    fn it_survives_srun() {
        let told = NotForked {
            node: "node2".to_owned(),
            why: "a socket: open".to_owned(),
        };
        assert_eq!(
            NotForked::read(&format!("12: {}", told.line())),
            Some(told.clone())
        );
        assert_eq!(NotForked::read(&format!("print('{}')", told.line())), None);
        assert_eq!(told.to_string(), "a socket: open (on node2)");
    }
}
