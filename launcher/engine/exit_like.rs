//! Ending as another process has ended, so that who waits for us is told of it.

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal, raise};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// Dies of the same signal; else the exit code, as a shell tells it.
pub fn like(status: ExitStatus) -> u8 {
    if let Some(Ok(signal)) = status.signal().map(Signal::try_from) {
        // The core of the other tells something, ours does not.
        let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
        let _ = SigSet::from(signal).thread_unblock();
        // The first SIGSEGV or SIGBUS may only take Rust's own handler away.
        let _ = raise(signal);
        let _ = raise(signal);
    }
    shell_code(status)
}

/// The exit code as a shell tells it: 128 + n for signal n.
pub fn shell_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|number| 128 + number));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(u8::MAX)
}
