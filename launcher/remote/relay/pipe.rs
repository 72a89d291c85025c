//! The two directions of the pipe between both ends of a relay, each with a thread of its own: neither stdin nor a child's stdout can be
//! waited for in the loop.

use super::frame::{self, Frame};
use std::io::{self, Read, Write};
use std::thread;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Frames that wait to be written.
const QUEUE: usize = 64;

/// Writes frames as they come, each at once.
pub fn writer(mut stream: impl Write + Send + 'static) -> Sender<Frame> {
    let (sender, mut frames): (_, Receiver<Frame>) = channel(QUEUE);
    thread::spawn(move || {
        while let Some(frame) = frames.blocking_recv() {
            if stream
                .write_all(&frame.bytes())
                .and_then(|()| stream.flush())
                .is_err()
            {
                return;
            }
        }
    });
    sender
}

/// Reads frames, hands each on, and `None` once the stream ends or what comes is no frame. What may be waiting is limited by the credit of
/// each connection.
pub fn reader(
    mut stream: impl Read + Send + 'static,
    mut wanted: impl FnMut(Option<Frame>) -> bool + Send + 'static,
) {
    thread::spawn(move || {
        while let Ok(Some(frame)) = next(&mut stream)
            && wanted(Some(frame))
        {}
        wanted(None);
    });
}

fn next(stream: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut head = [0; frame::HEAD];
    stream.read_exact(&mut head)?;
    let Some((mut frame, length)) = frame::head(head) else {
        return Ok(None);
    };
    frame.payload.resize(length, 0);
    stream.read_exact(&mut frame.payload)?;
    Ok(Some(frame))
}
