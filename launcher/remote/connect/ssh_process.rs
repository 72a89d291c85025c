//! An ssh that runs for connect: what it prints and writes to stderr becomes notices, and its end is one notice, once its last words
//! have been read.

use super::notice::{Notice, Sender};
use crate::failure::{Failure, Outcome};
use crate::here::os::stray_processes::Leftover;
use crate::here::os::text::printable;
use crate::plan::exit::Exit;
use crate::record::LONGEST_RECORD;
use crate::remote::parts::{Parts, RAW};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Lines of stderr that are kept.
const MOST_LINES: usize = 30;

/// Bytes of a line that are read.
const LONGEST_LINE: u64 = 4096;

/// How long the last words of a program that has ended are waited for: what it has started may keep its stderr open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What becomes of stdout.
pub enum Output {
    /// Parts, each of which begins with this mark.
    Parts(String),
    /// Lines.
    Lines,
}

/// A program that runs.
#[derive(Debug)]
pub struct Program {
    /// What its notices carry.
    pub id: u32,
    pid: u32,
    /// The same with its start, where /proc tells it: its number may be another's once it has been reaped.
    process: Option<Leftover>,
    /// Its stdin, which tells the other side that we live.
    pub stdin: Option<ChildStdin>,
    /// The last lines of its stderr.
    pub words: Vec<String>,
    exit: Option<Exit>,
    closed: bool,
}

impl Program {
    /// Starts it with these arguments; `input` is what its stdin begins with.
    pub fn start(
        id: u32,
        program: &Path,
        args: &[String],
        input: Option<&str>,
        output: Output,
        sender: &Sender,
    ) -> Outcome<Self> {
        let mut child = Command::new(program)
            .args(args)
            .stdin(if input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                Failure::missing(format!("{} cannot be started", program.display()))
                    .because(error)
                    .hint("check that it can be run here")
            })?;
        let mut stdin = child.stdin.take();
        if let (Some(stdin), Some(input)) = (&mut stdin, input) {
            // It fits into the pipe; an ssh that has ended already tells why itself.
            let _ = stdin.write_all(input.as_bytes());
        }
        let mut program = Self {
            id,
            pid: child.id(),
            process: Leftover::child(child.id()),
            stdin,
            words: Vec::new(),
            exit: None,
            closed: false,
        };
        program.read(&mut child, output, sender);
        Ok(program)
    }

    /// Begins to read; the handle of the child may go, because every child is reaped in `here::os::signals`.
    fn read(&mut self, child: &mut Child, output: Output, sender: &Sender) {
        let (id, errors) = (self.id, sender.clone());
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || lines(id, stderr, &errors));
        }
        let Some(stdout) = child.stdout.take() else {
            return;
        };
        let sender = sender.clone();
        match output {
            Output::Parts(mark) => {
                thread::spawn(move || {
                    let mut parts = Parts::new(BufReader::new(stdout), &mark, LONGEST_RECORD);
                    while let Ok(Some(part)) = parts.next() {
                        if part.kind == RAW {
                            let stream = parts.into_rest();
                            let _ = sender.send(Notice::Raw { id, stream });
                            return;
                        }
                        if sender.send(Notice::Part { id, part }).is_err() {
                            return;
                        }
                    }
                });
            }
            Output::Lines => {
                thread::spawn(move || {
                    each_line(stdout, |line| {
                        sender.send(Notice::Printed { id, line }).is_ok()
                    });
                });
            }
        }
    }

    /// Whether it is the process of that id.
    #[must_use]
    pub fn is(&self, pid: u32) -> bool {
        self.exit.is_none() && self.pid == pid
    }

    /// It has ended; its last words may still come.
    pub fn exited(&mut self, exit: Exit, sender: &Sender) {
        self.exit = Some(exit);
        let (id, sender) = (self.id, sender.clone());
        tokio::spawn(async move {
            tokio::time::sleep(LAST_WORDS).await;
            let _ = sender.send(Notice::Closed { id });
        });
    }

    /// It said something.
    pub fn said(&mut self, line: String) {
        if self.words.len() == MOST_LINES {
            self.words.remove(0);
        }
        self.words.push(line);
    }

    /// Nothing more will be said.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// How it ended, once nothing more will be said.
    #[must_use]
    pub fn ended(&self) -> Option<&Exit> {
        self.exit.as_ref().filter(|_| self.closed)
    }

    /// Whether it runs, as far as is known.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.exit.is_none()
    }

    /// Signals it.
    pub fn signal(&self, signal: Signal) {
        let is_ours = self.runs() && self.process.is_none_or(Leftover::is_unreaped);
        if let (true, Ok(pid)) = (is_ours, i32::try_from(self.pid)) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

/// The lines of a stderr as notices, and then its end.
fn lines(id: u32, stderr: ChildStderr, sender: &Sender) {
    each_line(stderr, |line| {
        sender.send(Notice::Said { id, line }).is_ok()
    });
    let _ = sender.send(Notice::Closed { id });
}

/// Hands on lines that are fit for a terminal, until nobody wants them.
fn each_line(stream: impl Read, mut wanted: impl FnMut(String) -> bool) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let read: io::Result<usize> = stream
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line);
        if !read.is_ok_and(|read| read > 0) {
            return;
        }
        let line = printable(String::from_utf8_lossy(&line).trim_end());
        if !line.is_empty() && !wanted(line) {
            return;
        }
    }
}
