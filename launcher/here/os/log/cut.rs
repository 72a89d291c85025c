//! A log has a limit, because a program that never stops writing would fill its user's quota. Writers append, so that they continue
//! after what a cut keeps: the beginning, which says what was started and how, and the latest lines (docs/design/limits.md).

use super::{HEAD, NO_LINK, held};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Bytes that are moved at once.
const BLOCK: usize = 256 * 1024;

/// The most times a cut is repeated because a writer was faster.
const TRIES: u32 = 8;

/// No log has less, however many there are.
const LEAST: u64 = 1024 * 1024;

/// The logs that this program has opened.
static OPENED: LazyLock<Mutex<BTreeMap<PathBuf, Arc<Mutex<Cut>>>>> = LazyLock::new(Mutex::default);

/// What is left out of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Where its begin ends, once something was left out.
    head: u64,
    /// By how much all behind that stands nearer to the begin than it was written.
    gone: u64,
}

impl Cut {
    /// The end of its begin, which always stays.
    pub fn head(self) -> u64 {
        self.head
    }

    /// Where in the file that is, or what comes next to it, which was written at `at`.
    pub fn place(self, at: u64) -> u64 {
        if at <= self.head {
            return at;
        }
        at.saturating_sub(self.gone).max(self.head)
    }

    /// Where that was written which stands at this place of the file.
    pub fn written(self, place: u64) -> u64 {
        if place <= self.head {
            return place;
        }
        place + self.gone
    }
}

/// What is known of a log, which counts as opened from now on.
pub fn of(path: &Path) -> Arc<Mutex<Cut>> {
    let mut all = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(all.entry(path.to_owned()).or_default())
}

/// A look at all logs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Those out of which something was left.
    pub cut: Vec<PathBuf>,
    /// How many bytes they have together.
    pub length: u64,
}

/// Keeps the logs that this program has opened within so many bytes, all of them together: each has its part.
#[must_use]
pub fn keep_within(total: u64) -> Look {
    let all = OPENED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let part = total / u64::try_from(all.len().max(1)).unwrap_or(u64::MAX);
    let most = part.max(LEAST);
    let mut look = Look::default();
    for (path, cut) in all {
        // What cannot be done now, because the disk is away, is tried at the next look.
        let length = fs::symlink_metadata(&path).map_or(0, |file| file.len());
        look.length += length;
        if length > most && fit(&path, &cut, most).unwrap_or(false) {
            look.cut.push(path);
        }
    }
    look
}

/// Leaves the middle of a log out that is longer than `most`; false where it is not.
fn fit(path: &Path, cut: &Mutex<Cut>, most: u64) -> io::Result<bool> {
    // Nobody reads it meanwhile.
    let mut cut = held(cut);
    let known = *cut;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(NO_LINK)
        .open(path)?;
    let mut length = file.metadata()?.len();
    if length <= most {
        return Ok(false);
    }
    let part = most / 4;
    let mut head = after_line(&file, 0, part)?;
    if known.gone > 0 {
        // With more logs than at the last cut each has a smaller part, and its begin too.
        head = head.min(known.head);
    }
    let mut tries = 0;
    let (read, written) = loop {
        let begin = after_line(&file, length - part, part)?.max(known.head);
        let said = format!(
            "{HEAD}ipjob: {} bytes are cut out here, so that this log has at most {most}\n",
            begin + known.gone - head
        );
        let behind = head + said.len() as u64;
        // Only ever towards the begin: else what is moved would be written over before it is read.
        if begin < behind {
            return Ok(false);
        }
        let moved = file
            .write_all_at(said.as_bytes(), head)
            .and_then(|()| move_down(&file, begin, behind, most / 2));
        length = file.metadata()?.len();
        tries += 1;
        match moved {
            // So much was written meanwhile that the latest lines are not among what was moved: they are what counts.
            Ok((read, _)) if read < length && tries < TRIES => {}
            Ok(moved) => break moved,
            // A disk that is full may not even take it where something stood: then room is what counts.
            Err(_) => break (length, head),
        }
    };
    file.set_len(written)?;
    *cut = Cut {
        head,
        gone: known.gone + read.saturating_sub(written),
    };
    Ok(true)
}

/// The place after the first end of a line in the `length` bytes from `from` on, or `from`; in the begin of a file after the last one, or
/// its end.
fn after_line(file: &File, from: u64, length: u64) -> io::Result<u64> {
    let most = usize::try_from(length).unwrap_or(BLOCK).min(BLOCK);
    let mut text = vec![0; most];
    let at = if from == 0 {
        length - most as u64
    } else {
        from
    };
    file.read_exact_at(&mut text, at)?;
    let end = |byte: &u8| *byte == b'\n';
    let (found, else_at) = if from == 0 {
        (text.iter().rposition(end), length)
    } else {
        (text.iter().position(end), from)
    };
    Ok(found.map_or(else_at, |found| at + found as u64 + 1))
}

/// Moves what stands from `from` on to `to`, with what is written behind it meanwhile, but no more than `most` bytes. Tells where
/// reading and writing ended.
fn move_down(file: &File, from: u64, to: u64, most: u64) -> io::Result<(u64, u64)> {
    let mut block = vec![0; BLOCK];
    let (mut read, mut written) = (from, to);
    while written - to < most {
        let count = file.read_at(&mut block, read)?;
        if count == 0 {
            break;
        }
        file.write_all_at(&block[..count], written)?;
        read += count as u64;
        written += count as u64;
    }
    Ok((read, written))
}

#[cfg(test)]
mod tests {
    use super::super::Log;
    use super::*;
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    const MOST: u64 = 256 * 1024;

    fn number(line: &str) -> Option<u32> {
        line.strip_prefix("line ")?.parse().ok()
    }

    #[test]
    fn a_flood_leaves_the_begin_and_the_end_and_its_reader_goes_on() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.log");
        let (log, mut file) = Log::open(&path, "one").expect("writable");
        let cut = of(&path);
        let done = AtomicBool::new(false);
        let mut cuts = 0;
        let (mut read, mut offset) = (Vec::new(), 0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for count in 0..1_000_000 {
                    // In one write: a cut can lose what is written while it truncates, and of a line in three that is a part.
                    let line = format!("line {count}\n");
                    file.write_all(line.as_bytes()).expect("writable");
                }
                done.store(true, Ordering::SeqCst);
            });
            loop {
                let last = done.load(Ordering::SeqCst);
                if fs::metadata(&path).expect("a log").len() > MOST {
                    fit(&path, &cut, MOST).expect("cut");
                    cuts += 1;
                }
                let (lines, next) = log.lines_from(offset);
                assert!(next >= offset);
                read.extend(lines.iter().filter_map(|line| number(line)));
                let still = next == offset;
                offset = next;
                if last && still {
                    break;
                }
            }
        });
        assert!(cuts > 1);
        // What is read twice or as half a line would be out of order.
        assert!(read.is_sorted_by(|one, next| one < next), "{read:?}");
        assert_eq!(read.last(), Some(&999_999));
        assert_eq!(log.tail(1), ["line 999999"]);
        let text = fs::read_to_string(&path).expect("text");
        assert!(text.len() as u64 <= MOST);
        assert!(text.starts_with("==== one\nline 0\nline 1\n"));
        let left_out: Vec<&str> = text.lines().filter(|line| number(line).is_none()).collect();
        assert_eq!(left_out.len(), 2, "{left_out:?}");
        assert!(left_out[1].contains("bytes are cut out here"));
    }

    #[test]
    fn with_more_logs_each_has_a_smaller_begin_and_its_reader_goes_on() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.log");
        let (log, mut file) = Log::open(&path, "one").expect("writable");
        let cut = of(&path);
        let (mut read, mut offset) = (Vec::new(), 0);
        let mut count = 0;
        for most in [16 * MOST, 4 * MOST, 3 * MOST, MOST] {
            for _ in 0..500_000 {
                writeln!(file, "line {count}").expect("writable");
                count += 1;
            }
            assert!(fit(&path, &cut, most).expect("cut"));
            let length = fs::metadata(&path).expect("a log").len();
            assert!(length <= most, "{length} {most}");
            assert!(!fit(&path, &cut, most).expect("looked at"));
            // Some of it, so that the next cut finds a reader in what it leaves out.
            let (lines, next) = log.lines_from(offset);
            assert!(next > offset);
            read.extend(lines.iter().filter_map(|line| number(line)));
            offset = next;
        }
        loop {
            let (lines, next) = log.lines_from(offset);
            if next == offset {
                break;
            }
            read.extend(lines.iter().filter_map(|line| number(line)));
            offset = next;
        }
        assert!(read.is_sorted_by(|one, next| one < next), "{read:?}");
        assert_eq!(read.last(), Some(&(count - 1)));
        let text = fs::read_to_string(&path).expect("text");
        assert!(text.starts_with("==== one\nline 0\nline 1\n"));
        assert_eq!(
            text.lines().filter(|line| number(line).is_none()).count(),
            2
        );
    }

    /// As when the part of a log shrinks while it does not grow.
    #[test]
    fn a_log_that_was_cut_is_cut_to_less_without_a_new_line() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.log");
        let (log, mut file) = Log::open(&path, "one").expect("writable");
        for count in 0..500_000 {
            writeln!(file, "line {count}").expect("writable");
        }
        for most in [16 * MOST, 6 * MOST, 2 * MOST, MOST / 2] {
            assert!(fit(&path, &of(&path), most).expect("cut"));
            assert!(fs::metadata(&path).expect("a log").len() <= most);
            let text = fs::read_to_string(&path).expect("text");
            let left: Vec<u32> = text.lines().filter_map(number).collect();
            assert!(left.is_sorted_by(|one, next| one < next), "{left:?}");
            assert_eq!(left.first(), Some(&0));
            assert_eq!(left.last(), Some(&499_999));
            assert_eq!(
                text.lines().filter(|line| number(line).is_none()).count(),
                2
            );
        }
        assert_eq!(log.tail(1), ["line 499999"]);
    }

    #[test]
    fn a_later_start_knows_its_own_lines_in_a_log_that_was_cut() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.log");
        let (_, mut file) = Log::open(&path, "one").expect("writable");
        file.write_all(&vec![b'x'; 3 * BLOCK]).expect("writable");
        fit(&path, &of(&path), MOST).expect("cut");
        let (log, mut file) = Log::open(&path, "two").expect("writable");
        writeln!(file, "a\nb").expect("writable");
        assert_eq!(log.lines_from(0).0, ["a", "b"]);
        file.write_all(&vec![b'\n'; 2 * BLOCK]).expect("writable");
        writeln!(file, "c").expect("writable");
        fit(&path, &of(&path), MOST).expect("cut");
        assert_eq!(log.tail(5), ["c"]);
        fs::remove_file(&path).expect("removed");
        let (log, mut file) = Log::open(&path, "three").expect("writable");
        writeln!(file, "d").expect("writable");
        assert_eq!(log.lines_from(0).0, ["d"]);
    }
}
