//! Processes as /proc shows them.

use super::text::printable;
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

/// What /proc/PID/stat tells of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `Z` ...
    pub state: char,
    /// The parent.
    pub parent: u32,
    /// Clock ticks from boot to its start: with the pid it names one process for ever.
    pub start: u64,
    /// Clock ticks (of 10 ms) that it has spent on a CPU, all its threads together.
    pub ran: u64,
}

impl Stat {
    /// Whether it still runs: a zombie only waits to be counted.
    #[must_use]
    pub fn runs(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

/// The state of a process; `None` when there is none of that id.
#[must_use]
pub fn stat(pid: u32) -> Option<Stat> {
    // These files tell no length beforehand, so that `fs::read` would ask the kernel six times for what fits into one read;
    // the probes look at many of them.
    let mut line = [0; 1024];
    let length = File::open(format!("/proc/{pid}/stat"))
        .and_then(|mut file| file.read(&mut line))
        .ok()?;
    parse_stat(&String::from_utf8_lossy(line.get(..length)?))
}

/// Whether a process has ended that began at `start`: it is seen to be gone, to wait only to be counted, or to be another one. What cannot be
/// read (descriptors that run out) says nothing.
#[must_use]
pub fn has_ended(pid: u32, start: u64) -> bool {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(line) => parse_stat(&String::from_utf8_lossy(&line))
            .is_some_and(|stat| !stat.runs() || stat.start != start),
        Err(error) => {
            error.kind() == io::ErrorKind::NotFound
                || error.raw_os_error() == Some(Errno::ESRCH as i32)
        }
    }
}

/// The state of a process that has not ended: of its threads' states the one that says most of why. A process whose first thread has
/// ended is a zombie by its own state as long as another one hangs.
#[must_use]
pub fn living_state(pid: u32) -> Option<char> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let states = tasks.flatten().filter_map(|task| {
        let line = fs::read(task.path().join("stat")).ok()?;
        let stat = parse_stat(&String::from_utf8_lossy(&line))?;
        stat.runs().then_some(stat.state)
    });
    states.min_by_key(|state| match state {
        'D' => 0,
        'R' => 1,
        _ => 2,
    })
}

/// A process that is looked at again and again: its file stays open, which spares the kernel most of the work, and tells of no other
/// process that gets its id.
#[derive(Debug)]
pub struct Watched(File);

impl Watched {
    /// Watches a process; `None` when there is none of that id.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        // The main thread's own file: that of the process sums up the times of all threads at each look.
        File::open(format!("/proc/{pid}/task/{pid}/stat"))
            .ok()
            .map(Self)
    }

    /// Its state; `None` once it is gone. The times are the main thread's.
    #[must_use]
    pub fn stat(&self) -> Option<Stat> {
        let mut line = [0; 1024];
        let length = self.0.read_at(&mut line, 0).ok()?;
        parse_stat(&String::from_utf8_lossy(line.get(..length)?))
    }
}

/// Reads a line of /proc/PID/stat. The second field is the program's name in parentheses and may hold anything, more
/// parentheses included.
#[must_use]
pub fn parse_stat(text: &str) -> Option<Stat> {
    let rest = text.get(text.rfind(')')? + 1..)?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let user: u64 = fields.nth(9)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Stat {
        state,
        parent,
        start: fields.nth(6)?.parse().ok()?,
        ran: user.saturating_add(system),
    })
}

/// Nanoseconds that the living threads of a process have spent on a CPU: so exact that a single message shows. `None` where the
/// kernel does not count them.
#[must_use]
pub fn ran_exactly(pid: u32) -> Option<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut sum = None;
    for task in tasks.flatten() {
        let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else {
            continue;
        };
        let spent: u64 = text.split_ascii_whitespace().next()?.parse().ok()?;
        sum = Some(sum.unwrap_or(0_u64).saturating_add(spent));
    }
    sum
}

/// The boot id of this kernel; empty where it cannot be read.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// The namespace in which our process ids hold; empty where it cannot be read.
#[must_use]
pub fn pid_namespace() -> String {
    fs::read_link("/proc/self/ns/pid")
        .map(|link| link.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Every process id that /proc shows.
#[must_use]
pub fn all() -> Vec<u32> {
    fs::read_dir("/proc").map_or_else(
        |_| Vec::new(),
        |entries| {
            entries
                .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
                .collect()
        },
    )
}

/// The children of a process. Kernels without `CONFIG_PROC_CHILDREN` make it a walk through all processes.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for task in tasks.flatten() {
        match fs::read_to_string(task.path().join("children")) {
            Ok(text) => found.extend(
                text.split_ascii_whitespace()
                    .filter_map(|word| word.parse::<u32>().ok()),
            ),
            // Either the thread has just ended, or this kernel lists no children at all.
            Err(_) if task.path().exists() => return children_by_walk(pid),
            Err(_) => {}
        }
    }
    found
}

fn children_by_walk(pid: u32) -> Vec<u32> {
    all()
        .into_iter()
        .filter(|other| stat(*other).is_some_and(|stat| stat.parent == pid))
        .collect()
}

/// All processes below one, without itself: a program may run behind wrappers.
#[must_use]
pub fn descendants(pid: u32) -> BTreeSet<u32> {
    descendants_but(pid, |_| false)
}

/// The same, without those that are left out and what is below them.
#[must_use]
pub fn descendants_but(pid: u32, left_out: impl Fn(u32) -> bool) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut open = vec![pid];
    while let Some(parent) = open.pop() {
        for child in children(parent) {
            if !left_out(child) && found.insert(child) {
                open.push(child);
            }
        }
    }
    found
}

/// A process's first environment; `None` where it is not ours to read.
#[must_use]
pub fn environment(pid: u32) -> Option<Vec<(OsString, OsString)>> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let pair = |entry: &[u8]| {
        let at = entry.iter().position(|byte| *byte == b'=')?;
        let (name, value) = entry.split_at(at);
        let text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        (at > 0).then(|| (text(name), text(value.get(1..).unwrap_or_default())))
    };
    Some(
        environment
            .split(|byte| *byte == 0)
            .filter_map(pair)
            .collect(),
    )
}

/// A variable of a process's first environment; `None` where it is not ours to read.
#[must_use]
pub fn variable(pid: u32, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environment
        .split(|byte| *byte == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok()?.split_once('='))
        .find(|(variable, _)| *variable == name)
        .map(|(_, value)| value.to_owned())
}

/// The arguments of a process as it shows them; none where they cannot be read.
#[must_use]
pub fn arguments(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0);
    words
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

/// A process for messages: `pid 4242 (python -m ipyparallel.controller)`, its program and the next two words of its command line.
#[must_use]
pub fn described(pid: u32) -> String {
    let words = arguments(pid);
    let mut shown = words.iter().take(3).map(String::as_str);
    let program = shown.next().and_then(|path| path.rsplit('/').next());
    let line: Vec<&str> = program.into_iter().chain(shown).collect();
    let line = printable(line.join(" ").trim());
    if line.is_empty() {
        format!("pid {pid} ({})", name(pid))
    } else {
        format!("pid {pid} ({line})")
    }
}

/// The program's name as the kernel keeps it (15 bytes), fit for a terminal: a process, also another user's, names itself. `?`
/// where it cannot be read.
#[must_use]
pub fn name(pid: u32) -> String {
    // Its bytes may be no text.
    fs::read(format!("/proc/{pid}/comm"))
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_or_else(|_| "?".to_owned(), |text| printable(text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let line = "12 (a) R (b) S 7 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 1 1";
        assert_eq!(
            parse_stat(line),
            Some(Stat {
                state: 'S',
                parent: 7,
                start: 4242,
                ran: 11
            })
        );
        assert_eq!(parse_stat("12 (a"), None);
    }

    #[test]
    fn a_name_cannot_play_with_the_terminal() {
        let bright = "a\u{1b}[31mb\u{7}";
        nix::sys::prctl::set_name(c"a\x1b[31mb\x07").expect("a name");
        let thread = nix::unistd::gettid().as_raw().unsigned_abs();
        assert!(
            fs::read_to_string(format!("/proc/{thread}/comm"))
                .is_ok_and(|n| n.trim_end() == bright)
        );
        assert_eq!(name(thread), "ab");
    }

    #[test]
    fn this_process_is_found() {
        let own = std::process::id();
        assert!(stat(own).is_some_and(|stat| stat.runs()));
        assert!(all().contains(&own));
    }
}

#[cfg(test)]
mod fuzz {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Another user's process names itself.
        #[test]
        fn no_name_of_a_process_changes_what_its_line_tells(
            name in "(?s).{0,16}|[() RSZ0-9\n]{0,15}", state in "[RSDZTX]", parent in any::<u32>(), start in any::<u64>(),
        ) {
            let line = format!("7 ({name}) {state} {parent} 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 {start} 1 1 18446744073709551615\n");
            let stat = Stat { state: state.chars().next().unwrap_or_default(), parent, start, ran: 11 };
            prop_assert_eq!(parse_stat(&line), Some(stat));
        }

        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,60}|[() 0-9]{0,80}") {
            let _ = parse_stat(&text);
        }
    }
}
