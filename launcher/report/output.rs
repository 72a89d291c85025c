//! Lines on stdout: data, for people, programs and logs.

use crate::failure::{Failure, Outcome};
use anstream::AutoStream;
use std::io::{self, Write};

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

/// What is said of a stdout that takes nothing.
pub fn cannot_print(error: &io::Error) -> Failure {
    Failure::missing("stdout cannot be written").because(error)
}
