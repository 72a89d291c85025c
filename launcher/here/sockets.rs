//! Listening TCP sockets and whose they are, as /proc shows them.
//!
//! That something answers on a port does not say who: before a token or a key is sent anywhere, the listener must be under
//! our uid and held by our own child.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;

/// A socket in LISTEN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its TCP port.
    pub port: u16,
    /// The user who made it.
    pub uid: u32,
    /// The socket's inode, as it stands behind `socket:` in /proc/PID/fd.
    pub inode: u64,
}

/// All sockets in LISTEN of this network namespace.
#[must_use]
pub fn listeners() -> Vec<Listener> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|text| text.lines().filter_map(listener).collect::<Vec<_>>())
        .collect()
}

/// Reads a line of /proc/net/tcp; `None` if it is no socket in LISTEN (state 0A).
fn listener(line: &str) -> Option<Listener> {
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    (fields.nth(1)? == "0A").then_some(())?;
    Some(Listener {
        port: u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?,
        uid: fields.nth(3)?.parse().ok()?,
        inode: fields.nth(1)?.parse().ok()?,
    })
}

/// The inodes of the sockets that a process holds; none where its descriptors are not ours to read.
#[must_use]
pub fn held_by(pid: u32) -> HashSet<u64> {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or_else(
        |_| HashSet::new(),
        |entries| {
            entries
                .filter_map(|entry| {
                    let target = fs::read_link(entry.ok()?.path()).ok()?;
                    target
                        .to_str()?
                        .strip_prefix("socket:[")?
                        .strip_suffix(']')?
                        .parse()
                        .ok()
                })
                .collect()
        },
    )
}

/// Who listens on which port.
#[derive(Debug)]
pub struct Listening {
    /// Ports in LISTEN, with the processes of the asked ones that hold the socket.
    ours: HashMap<u16, BTreeSet<u32>>,
    /// Ports in LISTEN by anybody.
    all: HashSet<u16>,
}

impl Listening {
    /// Looks at the listeners of `processes` (and of all others, without their names).
    #[must_use]
    pub fn of(processes: impl IntoIterator<Item = u32>) -> Self {
        let listeners = listeners();
        let uid = nix::unistd::geteuid().as_raw();
        let mut ours: HashMap<u16, BTreeSet<u32>> = HashMap::new();
        for pid in processes {
            let held = held_by(pid);
            for listener in &listeners {
                if listener.uid == uid && held.contains(&listener.inode) {
                    ours.entry(listener.port).or_default().insert(pid);
                }
            }
        }
        Self {
            ours,
            all: listeners.iter().map(|listener| listener.port).collect(),
        }
    }

    /// The processes among the asked that listen on a port.
    pub fn holders(&self, port: u16) -> impl Iterator<Item = u32> + '_ {
        self.ours.get(&port).into_iter().flatten().copied()
    }

    /// Whether one of the asked processes listens on the port.
    #[must_use]
    pub fn ours(&self, port: u16) -> bool {
        self.ours.contains_key(&port)
    }

    /// Whether only somebody else listens on the port.
    #[must_use]
    pub fn foreign(&self, port: u16) -> bool {
        !self.ours(port) && self.all.contains(&port)
    }

    /// How many ports the asked processes listen on.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ours.len()
    }
}

/// Who listens on a port, for messages: `pid 4242 (nc)`, or `another user's process`.
#[must_use]
pub fn holder(port: u16) -> Option<String> {
    let inodes: HashSet<u64> = listeners()
        .into_iter()
        .filter(|listener| listener.port == port)
        .map(|listener| listener.inode)
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let known = super::process::all()
        .into_iter()
        .find(|pid| held_by(*pid).iter().any(|inode| inodes.contains(inode)));
    Some(known.map_or_else(
        || "a process of another user".to_owned(),
        |pid| format!("pid {pid} ({})", super::process::name(pid)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_listener_of_this_process_is_found_and_owned() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("bound").port();
        let listening = Listening::of([std::process::id()]);
        assert!(listening.ours(port) && !listening.foreign(port));
        assert!(Listening::of([]).foreign(port));
        assert!(holder(port).is_some_and(|text| text.contains(&std::process::id().to_string())));
    }

    #[test]
    fn lines_that_are_no_listeners_are_passed_over() {
        assert_eq!(
            listener("  sl  local_address rem_address   st tx_queue rx_queue"),
            None
        );
        assert_eq!(
            listener(
                "1: 0100007F:81D9 0100007F:BE96 06 00000000:00000000 03:00001762 00000000     0        0 0 3"
            ),
            None
        );
        assert_eq!(
            listener(
                "0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 640 1"
            ),
            Some(Listener {
                port: 2024,
                uid: 1000,
                inode: 640
            })
        );
    }
}
