//! Which process started the ranks of this host: the name of a start whose starter tells no other.

use super::identity;
use super::process;

/// Wrappers between the starter and ipjob that are looked through.
const MOST_WRAPPERS: u32 = 16;

/// The nearest ancestor that is no rank itself, by a name that no other process ever has: host, boot, id and start. Wrapper
/// scripts carry the rank's variables as we do, the starter does not.
#[must_use]
pub fn starter() -> String {
    let parent = |pid| process::stat(pid).map_or(0, |stat| stat.parent);
    let is_rank = |pid| {
        ["PMI_RANK", "OMPI_COMM_WORLD_RANK"]
            .iter()
            .any(|name| process::variable(pid, name).is_some())
    };
    let mut pid = parent(std::process::id());
    for _ in 0..MOST_WRAPPERS {
        if pid <= 1 || !is_rank(pid) {
            break;
        }
        pid = parent(pid);
    }
    let start = process::stat(pid).map_or(0, |stat| stat.start);
    format!("{}.{}.{pid}.{start}", identity::host(), process::boot_id())
}
