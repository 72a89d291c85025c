//! A session of our own: what ends the terminal, the notebook cell or the script that started us does not end us, and nothing of theirs
//! is held by us.

use crate::failure::{Failure, Outcome};
use nix::errno::Errno;
use nix::unistd::{close, dup2_stderr, dup2_stdin, dup2_stdout, setsid};
use std::fs::{self, File};
use std::io::{self, stdin};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

/// Begins a session, and closes all descriptors but output and errors. What stdin led to is returned.
pub fn begin() -> Outcome<UnixStream> {
    let line = let_go()?;
    leave().map_err(|error| Failure::missing("no session can be started here").because(error))?;
    Ok(line)
}

/// Closes all descriptors but output and errors. What stdin led to is returned.
pub fn let_go() -> Outcome<UnixStream> {
    let done = || -> io::Result<UnixStream> {
        let line = stdin().as_fd().try_clone_to_owned()?;
        dup2_stdin(File::open("/dev/null")?)?;
        for other in open()? {
            if other > 2 && other != line.as_raw_fd() {
                // What listed them is among them, and closed already.
                let _ = close(other);
            }
        }
        Ok(line.into())
    };
    done().map_err(|error| Failure::missing("descriptors cannot be closed here").because(error))
}

/// Begins a session: no terminal is ours any more.
pub fn leave() -> io::Result<()> {
    match setsid() {
        // A task that slurmstepd has started leads a group already, in a session without a terminal, and is alone in it.
        Ok(_) | Err(Errno::EPERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Where the system lists the descriptors of whoever looks.
const DESCRIPTORS: &str = if cfg!(target_os = "linux") {
    "/proc/self/fd"
} else {
    "/dev/fd"
};

/// All descriptors that are open. Another program may have left one to us: the lock of `flock`, the pipe that a script reads.
fn open() -> io::Result<Vec<RawFd>> {
    let entries = fs::read_dir(DESCRIPTORS)?;
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    Ok(entries.flatten().filter_map(number).collect())
}

/// Sends output and errors into a file from now on.
pub fn speak_into(file: &File) -> io::Result<()> {
    dup2_stdout(file)?;
    dup2_stderr(file)?;
    Ok(())
}
