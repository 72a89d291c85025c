//! Listening sockets are handed to a program on its standard input, where they lie ready when it starts (`handed.py` takes them): no
//! other child can inherit one, and nothing has to be done between fork and exec.

use super::ports::Reservation;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// A standard input that brings these sockets, and our end of it, where each that is taken is told as `PORT PID DESCRIPTOR`
/// and what else the program tells.
pub fn parcel<'a>(
    sockets: impl IntoIterator<Item = &'a Reservation>,
) -> io::Result<(OwnedFd, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let descriptors: Vec<RawFd> = sockets
        .into_iter()
        .map(|socket| socket.as_fd().as_raw_fd())
        .collect();
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let rights = if descriptors.is_empty() {
        &[]
    } else {
        &rights[..]
    };
    // Rights travel with at least one byte.
    let text = [IoSlice::new(b"\n")];
    sendmsg::<()>(ours.as_raw_fd(), &text, rights, MsgFlags::empty(), None)?;
    Ok((theirs.into(), ours))
}
