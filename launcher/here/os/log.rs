//! Logs of services: opened so that earlier ones survive, kept within bounds, and read back for their last lines.

mod cut;

pub use cut::keep_within;

use super::files::NO_LINK;
use super::text::printable;
use cut::Cut;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that are read back from the end of a log.
const TAIL_BYTES: u64 = 16 * 1024;

/// Bytes that are read at once when a log is followed.
pub const MOST_AT_ONCE: u64 = 256 * 1024;

/// How a head line begins.
const HEAD: &str = "==== ";

/// A log that a process writes to.
#[derive(Clone, Debug)]
pub struct Log {
    /// Where it is.
    pub path: PathBuf,
    /// Where this process's own lines begin, in all that was ever written.
    begin: u64,
    /// What was left out of it since.
    cut: Arc<Mutex<Cut>>,
}

impl Log {
    /// Opens a log for appending (a requeued job keeps its earlier lives' logs), 0600, with a head line for this start.
    pub fn open(path: &Path, head: &str) -> io::Result<(Self, File)> {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(NO_LINK)
            .open(path)?;
        let cut = cut::of(path);
        let log = {
            let mut known = held(&cut);
            if file.metadata()?.len() <= known.head() {
                // Somebody has removed it: it is another file.
                *known = Cut::default();
            }
            writeln!(file, "{HEAD}{head}")?;
            let begin = known.written(file.metadata()?.len());
            drop(known);
            let path = path.to_owned();
            Self { path, begin, cut }
        };
        Ok((log, file))
    }

    /// The log that another process of this incarnation has opened: its own lines begin after the last head line with it.
    #[must_use]
    pub fn of_another(path: &Path, incarnation: &str) -> Self {
        let text = std::fs::read(path).unwrap_or_default();
        let head = format!("{HEAD}ipjob {incarnation}: ");
        let begin = text
            .windows(head.len())
            .rposition(|window| window == head.as_bytes())
            .map_or(0, |at| at as u64);
        Self {
            path: path.to_owned(),
            begin,
            cut: Arc::default(),
        }
    }

    /// The whole lines that were written from `offset` on (0 is the begin of this start's own), and where they end. A line that
    /// is longer than all that is read at once comes in pieces: waited for, it would hide everything after it.
    #[must_use]
    pub fn lines_from(&self, offset: u64) -> (Vec<String>, u64) {
        let mut text = Vec::new();
        let cut = held(&self.cut);
        let from = cut.place(self.begin + offset);
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(from))?;
            file.take(MOST_AT_ONCE).read_to_end(&mut text)
        });
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let whole = match text.len() as u64 {
            MOST_AT_ONCE if whole == 0 => text.len(),
            _ => whole,
        };
        if read.is_err() || whole == 0 {
            return (Vec::new(), offset);
        }
        let lines = String::from_utf8_lossy(&text[..whole])
            .lines()
            .map(str::to_owned)
            .collect();
        let next = cut.written(from + whole as u64);
        (lines, next.saturating_sub(self.begin))
    }

    /// The last `lines` lines that this start has written, without control characters and empty lines.
    #[must_use]
    pub fn tail(&self, lines: usize) -> Vec<String> {
        self.last(lines, TAIL_BYTES, |_| true)
    }

    /// The same of the lines that begin with a label: srun puts the task's number before each.
    #[must_use]
    pub fn labelled(&self, label: &str, lines: usize) -> Vec<String> {
        // The other tasks write into the same log.
        self.last(lines, MOST_AT_ONCE, |line| line.starts_with(label))
    }

    fn last(&self, lines: usize, bytes: u64, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let text = self.read_end(bytes).unwrap_or_default();
        let mut all: Vec<String> = String::from_utf8_lossy(&text)
            .lines()
            .filter(|line| wanted(line))
            .map(printable)
            .filter(|line| !line.trim().is_empty() && !line.starts_with(HEAD))
            .collect();
        let first = all.len().saturating_sub(lines);
        all.split_off(first)
    }

    fn read_end(&self, bytes: u64) -> io::Result<Vec<u8>> {
        let cut = held(&self.cut);
        let mut file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        // Another program may have cut what it has opened.
        let begin = Some(cut.place(self.begin)).filter(|begin| *begin <= length);
        let from = length.saturating_sub(bytes).max(begin.unwrap_or(0));
        file.seek(SeekFrom::Start(from))?;
        let mut text = Vec::new();
        file.take(bytes).read_to_end(&mut text)?;
        Ok(text)
    }
}

fn held(cut: &Mutex<Cut>) -> MutexGuard<'_, Cut> {
    cut.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_starts_lines_are_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.log");
        let (_, mut first) = Log::open(&path, "one").expect("writable");
        writeln!(first, "old").expect("writable");
        let (log, mut second) = Log::open(&path, "two").expect("writable");
        assert_eq!(log.tail(5), Vec::<String>::new());
        writeln!(second, "a\n\nb\nc").expect("writable");
        assert_eq!(log.tail(2), ["b", "c"]);
    }

    #[test]
    fn a_line_without_an_end_does_not_hide_the_next() {
        let dir = tempfile::tempdir().expect("a directory");
        let (log, mut file) = Log::open(&dir.path().join("x.log"), "one").expect("writable");
        let endless = "x".repeat(usize::try_from(MOST_AT_ONCE).expect("a size") + 10);
        write!(file, "{endless}\nlast\nhalf").expect("writable");
        let (mut told, mut offset) = (Vec::new(), 0);
        while !told.iter().any(|line| line == "last") {
            let (lines, next) = log.lines_from(offset);
            assert!(next > offset, "it stands still at {offset}");
            (told, offset) = (lines, next);
        }
        assert_eq!(log.lines_from(offset), (Vec::new(), offset));
    }
}
