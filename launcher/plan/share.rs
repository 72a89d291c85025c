//! What an engine was given of its node, as its task tells it. PURE.

/// An engine's share of its node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The threads that its libraries start, where ipjob tells them.
    pub threads: Option<u32>,
}

impl Share {
    /// ` threads 4`: the end of a task's report, empty where nothing was given.
    #[must_use]
    pub fn words(&self) -> String {
        self.threads
            .map_or_else(String::new, |threads| format!(" threads {threads}"))
    }

    /// Takes such words from the end of a report; `None` where they are no good.
    pub fn take(words: &mut Vec<&str>) -> Option<Self> {
        let threads = match words[..] {
            [.., "threads", threads] => {
                words.truncate(words.len() - 2);
                Some(threads.parse().ok().filter(|threads| *threads > 0)?)
            }
            _ => None,
        };
        Some(Self { threads })
    }
}
