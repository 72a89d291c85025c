//! Lines on stdout: data, for people, programs and logs.

use anstream::AutoStream;
use std::io::Write;

/// Writes a line in one piece, so that srun does not mix it with another task's. Colours are dropped where stdout is no terminal; a
/// reader that went away and a full disk are no errors.
pub fn line(text: &str) {
    let _ = AutoStream::auto(std::io::stdout()).write_all(format!("{text}\n").as_bytes());
}
