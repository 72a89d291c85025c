//! Lines on stdout: data, for people, programs and logs.

use crate::failure::{Failure, Outcome};
use anstream::AutoStream;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

/// Writes a line in one piece, so that srun does not mix it with another task's. Colours are dropped where stdout is no terminal; a
/// reader that went away and a full disk are no errors.
pub fn line(text: &str) {
    let _ = AutoStream::auto(std::io::stdout()).write_all(format!("{text}\n").as_bytes());
}

/// Writes data that is all that was asked for; a reader that goes away early is not an error, a full disk is.
pub fn data(data: &[u8]) -> Outcome<()> {
    let mut out = io::stdout();
    // Flushed here: at the end of the program nobody hears that the last line could not be written.
    match out.write_all(data).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(cannot_print(&error)),
        _ => Ok(()),
    }
}

/// stdout as a stream of bytes, for what is no text.
pub fn stream() -> impl Write + Send + 'static {
    io::stdout()
}

/// stdout without a buffer of ours.
pub fn pipe() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Whether a person watches stdout.
#[must_use]
pub fn is_watched() -> bool {
    io::stdout().is_terminal()
}

/// Whether nobody else reads what is written to stdout.
#[must_use]
pub fn data_is_private() -> bool {
    is_private(&io::stdout())
}

/// Whether nobody else reads what is written to stderr.
#[must_use]
pub fn words_are_private() -> bool {
    is_private(&io::stderr())
}

/// Whether a stream leads into no file that others may read.
fn is_private(stream: &impl AsFd) -> bool {
    let found = stream
        .as_fd()
        .try_clone_to_owned()
        .and_then(|fd| File::from(fd).metadata());
    found.is_ok_and(|found| !found.is_file() || found.mode() & 0o044 == 0)
}

/// What is said of a stdout that takes nothing.
pub fn cannot_print(error: &io::Error) -> Failure {
    Failure::missing("stdout cannot be written").because(error)
}

/// Whether a person watches stdout.
#[must_use]
pub fn data_is_watched() -> bool {
    io::stdout().is_terminal()
}

/// A screen that is shown anew, on a terminal: what was there goes.
pub fn screen(text: &str) -> Outcome<()> {
    data(&painted(&format!("\u{1b}[H\u{1b}[2J{text}")))
}

/// Text without its colours where stdout is no terminal.
#[must_use]
pub fn painted(text: &str) -> Vec<u8> {
    let mut out = AutoStream::new(Vec::new(), AutoStream::choice(&io::stdout()));
    let _ = out.write_all(text.as_bytes());
    out.into_inner()
}
