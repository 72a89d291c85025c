//! A command line that another process becomes: handed to it with environment, working directory and output, over a socket whose name
//! is no file's (`unix(7)`, abstract), so that nothing of it stays. Each end looks whose process the other one is.

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// How long either end waits for the other.
const LIMIT: Duration = Duration::from_secs(15);

/// Output and errors.
const STREAMS: [RawFd; 2] = [1, 2];

/// The bytes of command line and environment at the most: the kernel itself takes 6 MB of them.
const MOST: u32 = 8 << 20;

/// What is told when it was taken; else the reason why not.
const TAKEN: u8 = 0;

/// The bytes of a reason that are read.
const LONGEST_REASON: u64 = 1000;

/// The namespaces that both ends must be in, because the command line names files and processes. That they are in one of networks is
/// seen from the connection.
const VIEWS: [&str; 2] = ["mnt", "pid"];

/// Listens under this name.
#[cfg(target_os = "linux")]
pub fn listen(name: &str) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&address(name)?)
}

#[cfg(target_os = "linux")]
fn connect(name: &str) -> io::Result<UnixStream> {
    UnixStream::connect_addr(&address(name)?)
}

#[cfg(target_os = "linux")]
fn address(name: &str) -> io::Result<std::os::unix::net::SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    std::os::unix::net::SocketAddr::from_abstract_name(name)
}

/// Whether the process at the other end is one of ours.
#[cfg(target_os = "linux")]
#[must_use]
pub fn is_ours(stream: &impl AsFd) -> bool {
    let peer = rustix::net::sockopt::socket_peercred(stream);
    peer.is_ok_and(|peer| peer.uid == rustix::process::getuid())
}

/// What is received stays ours: no child inherits it.
#[cfg(target_os = "linux")]
const KEPT: RecvFlags = RecvFlags::CMSG_CLOEXEC;

#[cfg(not(target_os = "linux"))]
const KEPT: RecvFlags = RecvFlags::empty();

/// There are such names on Linux only.
#[cfg(not(target_os = "linux"))]
pub fn listen(_: &str) -> io::Result<UnixListener> {
    Err(ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn connect(_: &str) -> io::Result<UnixStream> {
    Err(ErrorKind::Unsupported.into())
}

/// Nobody is.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn is_ours(_: &impl AsFd) -> bool {
    false
}

/// Hands a command line over, with our environment, working directory and output, and waits until it was taken.
pub fn give(stream: &mut UnixStream, arguments: &[OsString]) -> io::Result<()> {
    stream.set_write_timeout(Some(LIMIT))?;
    stream.set_read_timeout(Some(LIMIT))?;
    let rights = [ControlMessage::ScmRights(&STREAMS)];
    sendmsg::<()>(
        stream.as_raw_fd(),
        &[IoSlice::new(b"\n")],
        &rights,
        MsgFlags::empty(),
        None,
    )?;
    let environment: Vec<OsString> = std::env::vars_os()
        .map(|(name, value)| [name, value].join(OsStr::new("=")))
        .collect();
    let directory = [std::env::current_dir()?.into_os_string()];
    for words in [&views()[..], &directory, arguments, &environment] {
        write(stream, words)?;
    }
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    if answer == [TAKEN] {
        return Ok(());
    }
    let mut why = answer.to_vec();
    stream.take(LONGEST_REASON).read_to_end(&mut why)?;
    Err(io::Error::other(String::from_utf8_lossy(&why).into_owned()))
}

/// Takes a command line from who listens under this name, to be run by this program. Its standard input leads there, and of its environment
/// what is named so is ours.
pub fn take(name: &str, is_own: impl Fn(&OsStr) -> bool) -> io::Result<Command> {
    let mut stream = connect(name)?;
    if !is_ours(&stream) {
        return Err(io::Error::other("another user listens there"));
    }
    stream.set_read_timeout(Some(LIMIT))?;
    let taken = read_command(&mut stream, is_own);
    match &taken {
        Ok(_) => stream.write_all(&[TAKEN])?,
        Err(error) => stream.write_all(error.to_string().as_bytes())?,
    }
    let mut command = taken?;
    stream.set_read_timeout(None)?;
    command.stdin(OwnedFd::from(stream));
    Ok(command)
}

fn read_command(stream: &mut UnixStream, is_own: impl Fn(&OsStr) -> bool) -> io::Result<Command> {
    let [output, errors] = streams(stream)?;
    let views = read(stream)?;
    let directory: PathBuf = read(stream)?.into_iter().collect();
    let arguments = read(stream)?;
    let environment = read(stream)?;
    if views != self::views() {
        return Err(io::Error::other("it sees other files or processes"));
    }
    let mut command = Command::new(std::env::current_exe()?);
    let theirs = environment.iter().filter_map(|entry| {
        let at = entry.as_bytes().iter().position(|byte| *byte == b'=')?;
        let (name, value) = entry.as_bytes().split_at(at);
        Some((OsStr::from_bytes(name), OsStr::from_bytes(&value[1..])))
    });
    command
        .args(arguments)
        .env_clear()
        .envs(theirs.filter(|(name, _)| !is_own(name)))
        .envs(std::env::vars_os().filter(|(name, _)| is_own(name)))
        .current_dir(directory)
        .stdout(output)
        .stderr(errors);
    Ok(command)
}

fn views() -> Vec<OsString> {
    let view = |name: &&str| fs::read_link(format!("/proc/self/ns/{name}"));
    VIEWS
        .iter()
        .map(|name| view(name).unwrap_or_default().into_os_string())
        .collect()
}

/// The two streams that come with the first byte.
fn streams(stream: &UnixStream) -> io::Result<[OwnedFd; 2]> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(STREAMS.len()))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut byte)],
        &mut control,
        KEPT,
    )?;
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let all: Vec<OwnedFd> = rights.flatten().collect();
    all.try_into()
        .map_err(|_| io::Error::from(ErrorKind::InvalidData))
}

/// Writes words as the number of their bytes and each with a zero behind it.
fn write(stream: &mut impl Write, words: &[OsString]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for word in words {
        bytes.extend_from_slice(word.as_bytes());
        bytes.push(0);
    }
    let length = u32::try_from(bytes.len()).ok().filter(|it| *it <= MOST);
    let length = length.ok_or(ErrorKind::ArgumentListTooLong)?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(&bytes)
}

fn read(stream: &mut impl Read) -> io::Result<Vec<OsString>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MOST {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::new();
    stream.take(length.into()).read_to_end(&mut bytes)?;
    if bytes.len() != length as usize {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let mut words = bytes.split(|byte| *byte == 0);
    // Behind the last zero is nothing.
    words.next_back();
    Ok(words
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_arrive_as_they_are() {
        for words in [
            vec![],
            vec![""],
            vec!["", "a b", "--x=\n", "", ""],
            vec!["\u{e9}"],
        ] {
            let mut words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
            words.push(OsString::from_vec(vec![0xff]));
            let mut bytes = Vec::new();
            write(&mut bytes, &words).expect("written");
            assert_eq!(read(&mut bytes.as_slice()).expect("whole"), words);
            bytes.pop();
            read(&mut bytes.as_slice()).expect_err("cut off");
        }
    }
}
