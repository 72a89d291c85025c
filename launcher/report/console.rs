//! Lines for people, on stderr: timed where a log keeps them, with a live line below where a person watches a terminal.
//!
//! A broken stderr must not end a job, so what cannot be written is dropped.

use super::live_line::LiveLine;
use crate::failure::Failure;
use crate::here::os::own_time;
use anstream::AutoStream;
use anstream::adapter::strip_str;
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{IsTerminal, Write as _};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default();
const DIM: Style = Style::new().dimmed();

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// Steps of the job as well.
    Normal,
    /// Details as well.
    Verbose,
}

/// stderr, as people read it.
#[derive(Debug)]
pub struct Console {
    started: Instant,
    verbosity: Verbosity,
    live: Option<LiveLine>,
    terminal: bool,
    /// Whether lines have no colours, whatever the environment says: a log or a program reads them. A notebook's kernel sets `CLICOLOR_FORCE`.
    plain: bool,
    paused: bool,
    /// Who writes the lines, once they go into a file that may stop taking them.
    scribe: Option<Scribe>,
    /// Who writes them into a log as well.
    copyist: Option<Scribe>,
}

/// Writes lines on a thread of its own: a job's stderr is most often a file in the home directory, and where that stops answering
/// the job goes on.
#[derive(Debug)]
struct Scribe {
    lines: SyncSender<String>,
    /// Closes when all is written.
    done: Receiver<()>,
}

impl Scribe {
    /// Starts the thread, which writes with this; `None` where there can be none.
    fn start(name: &str, mut write: impl FnMut(&str) + Send + 'static) -> Option<Self> {
        let (lines, given) = mpsc::sync_channel::<String>(MOST_LINES);
        let (told, done) = mpsc::channel();
        let thread = thread::Builder::new().name(name.to_owned());
        let started = thread.spawn(move || {
            for line in given {
                write(&line);
            }
            drop(told);
        });
        started.is_ok().then_some(Self { lines, done })
    }

    fn write(&self, line: &str) {
        let _ = self.lines.try_send(line.to_owned());
    }

    /// Waits a moment for the last lines.
    fn finish(self) {
        drop(self.lines);
        let _ = own_time::receive(&self.done, LAST_LINES);
    }
}

/// Lines that wait at the most; what is more is dropped.
const MOST_LINES: usize = 10_000;

/// How long the last lines are waited for.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The line that tells what is waited for, where a person watches a terminal that can show one.
fn live_line(terminal: bool, verbosity: Verbosity) -> Option<LiveLine> {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    (terminal && !dumb && verbosity >= Verbosity::Normal).then(LiveLine::start)
}

impl Console {
    /// The console of a program that began at `started`, as yet without a live line.
    #[must_use]
    pub fn new(started: Instant, verbosity: Verbosity) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            started,
            verbosity,
            live: None,
            terminal,
            plain: false,
            paused: false,
            scribe: None,
            copyist: None,
        }
    }

    /// From now on nothing waits for lines to be written, unless a person watches them.
    pub fn detach(&mut self) {
        if self.terminal || self.scribe.is_some() {
            return;
        }
        self.scribe = Scribe::start("stderr", write_line);
    }

    /// From now on all lines stand in this file as well.
    pub fn copy_to(&mut self, mut file: File) {
        self.copyist = Scribe::start("copies", move |line| {
            let _ = writeln!(file, "{}", strip_str(line));
        });
    }

    /// A program reads the lines.
    pub fn without_colours(&mut self) {
        self.plain = true;
    }

    /// stderr leads elsewhere from now on, into a file.
    pub fn moved(&mut self) {
        self.terminal = false;
        self.plain = true;
        self.detach();
    }

    /// Waits a moment for the last lines.
    pub fn finish(&mut self) {
        self.still();
        let scribes = [self.scribe.take(), self.copyist.take()];
        scribes.into_iter().flatten().for_each(Scribe::finish);
    }

    /// Whether a person watches: then the token may be shown.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Seconds since the start.
    #[must_use]
    pub fn elapsed(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Begins a line of its own: another program may have left its prompt at the terminal.
    pub fn apart(&self) {
        self.line("");
    }

    /// A step of the job.
    pub fn step(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.timed(text);
        }
    }

    /// What only those want who asked for it.
    pub fn detail(&self, text: &str) {
        if self.verbosity >= Verbosity::Verbose {
            self.timed(&format!("{DIM}{text}{DIM:#}"));
        }
    }

    /// What a person should look at.
    pub fn warning(&self, text: &str) {
        self.timed(&format!("{YELLOW}warning:{YELLOW:#} {text}"));
    }

    /// The last lines of a log, under its name.
    pub fn log_lines(&self, name: &str, lines: &[String]) {
        if lines.is_empty() {
            self.line(&format!("        {DIM}(nothing in {name}){DIM:#}"));
            return;
        }
        self.line(&format!("        {DIM}last lines of {name}:{DIM:#}"));
        for line in lines {
            self.line(&format!("        {DIM}|{DIM:#} {line}"));
        }
    }

    /// Lines below a step, indented like its text.
    pub fn below(&self, lines: &[String]) {
        if self.verbosity >= Verbosity::Normal {
            for line in lines {
                self.line(&format!("        {line}"));
            }
        }
    }

    /// The live line begins, where a person watches: below it nothing else may be printed.
    pub fn watched(&mut self) {
        self.live = live_line(self.terminal, self.verbosity);
    }

    /// What is waited for, on the live line; tells whether there is one.
    pub fn waiting(&self, pending: &[String]) -> bool {
        if let Some(live) = &self.live {
            live.say(pending.join(", "));
        }
        self.live.is_some()
    }

    /// Takes the live line away for a while: another program asks at the terminal.
    pub fn pause(&mut self) {
        self.paused = true;
        self.still();
    }

    /// The live line comes back, where there was one.
    pub fn resume(&mut self) {
        if std::mem::take(&mut self.paused) && self.live.is_none() {
            self.watched();
        }
    }

    /// Whether another program may be asking.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Takes the live line away: nothing more is waited for, or a driver gets the terminal.
    pub fn still(&mut self) {
        self.live = None;
    }

    /// The failure that ends the program, with its cause and hints.
    pub fn failure(&self, failure: &Failure) {
        let mut text = format!("{RED}error:{RED:#} {}", failure.message);
        if let Some(cause) = &failure.cause {
            let _ = write!(text, "\n{RED}cause:{RED:#} {cause}");
        }
        for hint in &failure.hints {
            let _ = write!(text, "\n{CYAN}hint:{CYAN:#} {hint}");
        }
        self.line(&text);
    }

    fn timed(&self, text: &str) {
        self.line(&format!("{:>6}  {text}", format!("{:.1}s", self.elapsed())));
    }

    fn line(&self, text: &str) {
        let stripped = self.plain.then(|| strip_str(text).to_string());
        let text = stripped.as_deref().unwrap_or(text);
        if let Some(copyist) = &self.copyist {
            copyist.write(text);
        }
        match (&self.scribe, &self.live) {
            (Some(scribe), _) => scribe.write(text),
            (None, Some(live)) => live.above(|| write_line(text)),
            (None, None) => write_line(text),
        }
    }
}

fn write_line(text: &str) {
    // anstream drops colours where stderr is no terminal or NO_COLOR is set.
    let mut stderr = AutoStream::auto(std::io::stderr());
    let _ = writeln!(stderr, "{text}");
}
