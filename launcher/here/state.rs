//! Where small files that outlive a job are kept, so that they are found wherever its profile lies.

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
