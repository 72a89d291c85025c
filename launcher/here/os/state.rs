//! Where small files are kept that belong to no profile: those that outlive a job, so that they are found wherever its profile lies, and
//! those that live no longer than a program.

use super::secure_path;
use std::env;
use std::path::PathBuf;

/// `$XDG_STATE_HOME/ipjob`, by default `~/.local/state/ipjob`; `None` where neither variable names a place.
#[must_use]
pub fn directory() -> Option<PathBuf> {
    let named = |name: &str| env::var_os(name).map(PathBuf::from);
    // A relative path is to be ignored (XDG Base Directory Specification).
    named("XDG_STATE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| Some(named("HOME")?.join(".local/state")))
        .filter(|path| path.is_absolute())
        .map(|path| path.join("ipjob"))
}

/// Directories for what lives only as long as a program, in which what is ours stays ours: that of `TMPDIR`, `/tmp`,
/// `/dev/shm`.
pub fn temporary() -> impl Iterator<Item = PathBuf> {
    [
        env::temp_dir(),
        PathBuf::from("/tmp"),
        PathBuf::from("/dev/shm"),
    ]
    .into_iter()
    .filter(|place| secure_path::check(place).is_ok())
}
