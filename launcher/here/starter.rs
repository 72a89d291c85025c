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

/// Whether the PMI variables are an earlier start's, kept by a shell: they name a descriptor of their starter's, and here
/// that is no open socket.
#[must_use]
pub fn is_left_over(environment: &[(String, String)]) -> bool {
    let descriptor = environment.iter().find(|(name, _)| name == "PMI_FD");
    descriptor.is_some_and(|(_, number)| {
        !std::fs::read_link(format!("/proc/self/fd/{number}"))
            .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    })
}

#[cfg(test)]
mod tests {
    use super::is_left_over;
    use std::os::fd::AsRawFd;

    #[test]
    fn only_an_open_socket_is_a_starters_word() {
        let named = |number: String| vec![("PMI_FD".to_owned(), number)];
        let (socket, _other) = std::os::unix::net::UnixStream::pair().expect("a pair");
        assert!(!is_left_over(&named(socket.as_raw_fd().to_string())));
        for number in ["99999", "../0", ""] {
            assert!(is_left_over(&named(number.to_owned())), "{number}");
        }
        assert!(!is_left_over(&[]));
    }
}
