//! Somebody else with an account on this machine, while he runs.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command};

/// What [`super::as_bob`] made, started.
pub struct Bob {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Bob {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("python");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    /// The next line that he prints.
    pub fn line(&mut self) -> String {
        self.lines.next().expect("he goes on").expect("text")
    }

    /// Lets him see the end of his stdin. What he prints until his end, which must be a good one.
    pub fn end(mut self) -> Vec<String> {
        drop(self.child.stdin.take());
        let last = self.lines.by_ref().map_while(Result::ok).collect();
        let status = self.child.wait().expect("our child");
        assert!(status.success(), "{status}: {last:?}");
        last
    }
}
