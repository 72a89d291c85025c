//! Which process started the ranks of this host: the name of a start whose starter tells no other.

use super::identity;
use crate::here::os::{process, sockets};
use crate::plan::environment;

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

/// The environment without what an earlier start left in a shell, and the names of that. A start that lives is there to be asked:
/// `PMI_FD` is an open socket to it, and what a `PMIX_SERVER_URI` names listens on this host.
#[must_use]
pub fn living(environment: &[(String, String)]) -> (Vec<(String, String)>, Vec<String>) {
    let pmi = environment.iter().find(|(name, _)| name == "PMI_FD");
    let socket_is_gone = pmi.is_some_and(|(_, number)| !is_open_socket(number));
    let ports: Vec<u16> = environment
        .iter()
        .filter(|(name, _)| name.starts_with("PMIX_SERVER_URI"))
        .filter_map(|(_, uri)| port_of(uri))
        .collect();
    let server_is_gone = !ports.is_empty()
        && !sockets::listeners()
            .iter()
            .any(|listener| ports.contains(&listener.port));
    let is_left = |name: &str| {
        let of_pmi = ["PMI_", "HYDI_"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        environment::is_of_mpi(name)
            && if of_pmi {
                socket_is_gone
            } else {
                server_is_gone
            }
    };
    let (left, living): (Vec<_>, Vec<_>) = environment
        .iter()
        .cloned()
        .partition(|(name, _)| is_left(name));
    (living, left.into_iter().map(|(name, _)| name).collect())
}

/// Whether this is the number of a descriptor of ours that is a socket.
#[must_use]
pub fn is_open_socket(descriptor: &str) -> bool {
    std::fs::read_link(format!("/proc/self/fd/{descriptor}"))
        .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
}

/// The port of `1128136704.0;tcp4://127.0.0.1:59975`.
fn port_of(uri: &str) -> Option<u16> {
    let (_, address) = uri.split_once("tcp")?;
    address.rsplit_once(':')?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{living, port_of};
    use crate::plan::sample::variables;
    use std::os::fd::AsRawFd;

    #[test]
    fn only_an_open_socket_is_a_pmi_starters_word() {
        let (socket, _other) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let open = socket.as_raw_fd().to_string();
        let live = variables(&[("PMI_FD", &open), ("PMI_RANK", "1"), ("HOME", "/h")]);
        assert_eq!(living(&live), (live.clone(), Vec::new()));
        for number in ["99999", "../0", ""] {
            let left = variables(&[("PMI_FD", number), ("PMI_RANK", "1"), ("HOME", "/h")]);
            let (living, left) = living(&left);
            assert_eq!(living, variables(&[("HOME", "/h")]), "{number}");
            assert_eq!(left, ["PMI_FD", "PMI_RANK"]);
        }
    }

    #[test]
    fn a_pmix_server_that_listens_is_a_starter_and_no_other() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let uri = format!("12.0;tcp4://{}", server.local_addr().expect("bound"));
        let environment = variables(&[
            ("PMIX_SERVER_URI2", &uri),
            ("PMIX_RANK", "0"),
            ("OMPI_COMM_WORLD_RANK", "0"),
            ("OMPI_MCA_btl", "tcp,self"),
            ("PMI_RANK", "0"),
        ]);
        assert_eq!(living(&environment).1, [""; 0]);
        drop(server);
        let left = ["PMIX_SERVER_URI2", "PMIX_RANK", "OMPI_COMM_WORLD_RANK"];
        assert_eq!(living(&environment).1, left);
    }

    #[test]
    fn the_port_of_a_server_is_read() {
        for (uri, port) in [
            ("1128136704.0;tcp4://127.0.0.1:59975", Some(59975)),
            ("prterun-a-7@0.0;tcp6://[::1]:80", Some(80)),
            ("1.0;usock;/tmp/x", None),
            ("", None),
        ] {
            assert_eq!(port_of(uri), port, "{uri}");
        }
    }
}
