//! A module that an engine, or the Python that forks a node's engines, was to import beforehand and could not. PURE.

use super::is_label;
use core::fmt;

/// How the line begins; `engine/preload.py` writes it.
const HEAD: &str = "ipjob-engine cannot import ";

/// Which module, where and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotImported {
    /// Its name; `numpy?` is the default's.
    pub module: String,
    /// The node.
    pub node: String,
    /// The exception: `ModuleNotFoundError: No module named 'x'`.
    pub why: String,
}

impl NotImported {
    /// Reads `ipjob-engine cannot import x on node2: ModuleNotFoundError: No module named 'x'`, with the label that srun puts before it;
    /// `None` for any other line.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let (label, rest) = line.split_once(HEAD)?;
        let (what, why) = rest.split_once(": ").filter(|_| is_label(label))?;
        let (module, node) = what.split_once(" on ")?;
        let plain = !node.contains(char::is_whitespace)
            && !module.contains(char::is_whitespace)
            && !rest.trim().contains(char::is_control);
        plain.then(|| Self {
            module: module.to_owned(),
            node: node.to_owned(),
            why: why.trim().to_owned(),
        })
    }
}

impl fmt::Display for NotImported {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { module, node, why } = self;
        match module.strip_suffix('?') {
            None => write!(
                out,
                "--preload: {module} cannot be imported on {node}: {why}"
            ),
            Some(module) => write!(
                out,
                "{module}, which engines import by default (--preload off leaves it out), cannot be imported on {node}: {why}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::NotImported;

    #[test]
    fn it_survives_srun() {
        let line = "ipjob-engine cannot import a.b on node2: ImportError: no: x\n";
        let told = NotImported {
            module: "a.b".to_owned(),
            node: "node2".to_owned(),
            why: "ImportError: no: x".to_owned(),
        };
        assert_eq!(NotImported::read(line), Some(told.clone()));
        assert_eq!(
            NotImported::read(&format!("12: {line}")),
            Some(told.clone())
        );
        assert_eq!(NotImported::read(&format!("print('{line}')")), None);
        assert_eq!(
            told.to_string(),
            "--preload: a.b cannot be imported on node2: ImportError: no: x"
        );
        let default = NotImported::read(&line.replace("a.b", "numpy?")).expect("a line");
        assert_eq!(
            default.to_string(),
            "numpy, which engines import by default (--preload off leaves it out), cannot be imported on node2: ImportError: no: x"
        );
    }
}
