//! Whether the orphans of our children become ours. Only Linux has it; elsewhere only the laptop's commands are of use.

use nix::errno::Errno;

/// From now on they do.
#[cfg(target_os = "linux")]
pub fn become_one() -> Result<(), Errno> {
    nix::sys::prctl::set_child_subreaper(true)
}

/// Whether they do.
#[cfg(target_os = "linux")]
#[must_use]
pub fn is_one() -> bool {
    nix::sys::prctl::get_child_subreaper() == Ok(true)
}

/// They cannot.
#[cfg(not(target_os = "linux"))]
pub fn become_one() -> Result<(), Errno> {
    Err(Errno::ENOSYS)
}

/// They do not.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn is_one() -> bool {
    false
}
