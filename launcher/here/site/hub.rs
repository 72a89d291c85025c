//! Whether we run in the server of a hub's user. Its variables alone do not tell: a job that is submitted in its terminal inherits them.

use crate::here::os::{process, sockets};
use std::collections::HashSet;

/// Processes above us that are looked at.
const MOST: usize = 100;

/// Whether one of the processes above us is the server that the hub sends its user to.
#[must_use]
pub fn serves_us(environment: &[(String, String)]) -> bool {
    let url = environment
        .iter()
        .find(|(name, _)| name == "JUPYTERHUB_SERVICE_URL");
    let Some(port) = url.and_then(|(_, url)| port_of(url)) else {
        return false;
    };
    let sockets: HashSet<u64> = sockets::listeners()
        .iter()
        .filter(|listener| listener.port == port)
        .map(|listener| listener.inode)
        .collect();
    let parent = |pid: &u32| process::stat(*pid).map(|stat| stat.parent);
    let above = std::iter::successors(parent(&std::process::id()), parent);
    !sockets.is_empty()
        && above
            .take(MOST)
            .any(|pid| !sockets.is_disjoint(&sockets::held_by(pid)))
}

/// The port of `http://0.0.0.0:37123/user/alice/`.
fn port_of(url: &str) -> Option<u16> {
    let (_, rest) = url.split_once("://")?;
    let (_, port) = rest.split('/').next()?.rsplit_once(':')?;
    port.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::port_of;

    #[test]
    fn the_port_of_a_server_is_read() {
        for (url, port) in [
            ("http://0.0.0.0:37123/user/alice/", Some(37123)),
            ("https://[::1]:80/", Some(80)),
            ("http://127.0.0.1/", None),
            ("", None),
        ] {
            assert_eq!(port_of(url), port, "{url}");
        }
    }
}
