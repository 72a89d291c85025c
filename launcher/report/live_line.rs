//! The line that tells what is waited for, drawn again and again in one place of a terminal.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Between two drawings.
const TICK: Duration = Duration::from_millis(100);

/// What turns before the text.
const TURNS: [char; 8] = ['⠁', '⠂', '⠄', '⡀', '⢀', '⠠', '⠐', '⠈'];

/// Goes to the line's begin and clears it.
const CLEAR: &str = "\r\x1b[2K";

/// The line, from now until this is dropped.
#[derive(Debug)]
pub struct LiveLine {
    /// What it says; `None` once there is none any more. Who has the lock has the terminal.
    text: Arc<Mutex<Option<String>>>,
}

impl LiveLine {
    /// Draws it on stderr, which is a terminal.
    pub fn start() -> Self {
        let text = Arc::new(Mutex::new(Some(String::new())));
        let shown = Arc::clone(&text);
        // Without a thread there is no line.
        let _ = thread::Builder::new()
            .name("live line".to_owned())
            .spawn(move || draw(&shown));
        Self { text }
    }

    /// What it says from now on.
    pub fn say(&self, text: String) {
        self.with(|line| *line = Some(text));
    }

    /// Writes something else at its place; the line is drawn again below.
    pub fn above(&self, write: impl FnOnce()) {
        self.with(|_| {
            put(CLEAR);
            write();
        });
    }

    fn with(&self, work: impl FnOnce(&mut Option<String>)) {
        work(&mut self.text.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        self.with(|line| {
            *line = None;
            put(CLEAR);
        });
    }
}

fn draw(text: &Mutex<Option<String>>) {
    let began = Instant::now();
    for turn in TURNS.into_iter().cycle() {
        {
            let text = text.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(text) = text.as_deref() else {
                return;
            };
            let passed = short(began.elapsed().as_secs());
            // What is too long is cut off by the terminal, as long as it does not wrap lines.
            put(&format!("{CLEAR}\x1b[?7l{turn} {passed:>3} {text}\x1b[?7h"));
        }
        thread::sleep(TICK);
    }
}

/// `7s`, `3m`, `2h`.
fn short(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        _ => format!("{}h", seconds / 3600),
    }
}

fn put(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush());
}
