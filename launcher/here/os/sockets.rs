//! Listening TCP sockets and whose they are, as /proc shows them.
//!
//! That something answers on a port does not say who: before a token or a key is sent anywhere, the listener must be under
//! our uid and held by our own child.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// A socket in LISTEN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address it is bound to; `None` for IPv6.
    pub address: Option<Ipv4Addr>,
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
    let (address, port) = local.rsplit_once(':')?;
    Some(Listener {
        address: ipv4(address),
        port: u16::from_str_radix(port, 16).ok()?,
        uid: fields.nth(3)?.parse().ok()?,
        inode: fields.nth(1)?.parse().ok()?,
    })
}

/// What /proc/net/tcp calls the states of a connection that this end has closed, and that lingers so that nothing late of it is taken for a
/// newer one's: `FIN_WAIT1`, `FIN_WAIT2`, `TIME_WAIT`, `LAST_ACK`, `CLOSING`. A client that does not close its end keeps it for a minute as well.
const OVER: [&str; 5] = ["04", "05", "06", "09", "0B"];

/// The ports of connections that are over.
#[must_use]
pub fn lingering() -> HashSet<u16> {
    let text = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let ports = text.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (_, port) = fields.nth(1)?.rsplit_once(':')?;
        OVER.contains(&fields.nth(1)?).then_some(())?;
        u16::from_str_radix(port, 16).ok()
    });
    ports.collect()
}

/// Reads an IPv4 address of /proc/net/tcp: its bytes as a number in the machine's own order.
fn ipv4(digits: &str) -> Option<Ipv4Addr> {
    let number = (digits.len() == 8).then(|| u32::from_str_radix(digits, 16).ok())??;
    Some(Ipv4Addr::from(number.to_ne_bytes()))
}

/// The inodes of the sockets that a process holds; none where its descriptors are not ours to read.
#[must_use]
pub fn held_by(pid: u32) -> HashSet<u64> {
    descriptors(pid).map(|(_, inode)| inode).collect()
}

/// The sockets among a process's descriptors: the link in /proc, and the inode.
fn descriptors(pid: u32) -> impl Iterator<Item = (PathBuf, u64)> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"));
    entries.into_iter().flatten().filter_map(|entry| {
        let path = entry.ok()?.path();
        let inode = socket_at(&path)?;
        Some((path, inode))
    })
}

fn socket_at(descriptor: &Path) -> Option<u64> {
    let target = fs::read_link(descriptor).ok()?;
    let inode = target.to_str()?.strip_prefix("socket:[")?;
    inode.strip_suffix(']')?.parse().ok()
}

/// A listening socket in the hands of a process.
#[derive(Clone, Debug)]
pub struct Held {
    descriptor: PathBuf,
    inode: u64,
}

impl Held {
    /// The socket behind a descriptor of a process.
    #[must_use]
    pub fn at(pid: u32, descriptor: u32) -> Option<Self> {
        let descriptor = PathBuf::from(format!("/proc/{pid}/fd/{descriptor}"));
        let inode = socket_at(&descriptor)?;
        Some(Self { descriptor, inode })
    }

    /// Whether it is still there: one look at one link, where the kernel's table of all sockets would cost milliseconds.
    #[must_use]
    pub fn is_held(&self) -> bool {
        socket_at(&self.descriptor) == Some(self.inode)
    }
}

/// Who listens on which port.
#[derive(Debug)]
pub struct Listening {
    /// Ports in LISTEN, with the processes of the asked ones that hold the socket.
    ours: HashMap<u16, BTreeSet<u32>>,
    /// The addresses and ports that the asked processes listen on.
    answering: HashSet<(Ipv4Addr, u16)>,
    /// Everything in LISTEN by anybody.
    all: Vec<Listener>,
}

impl Listening {
    /// Looks at the listeners of `processes` (and of all others, without their names).
    #[must_use]
    pub fn of(processes: impl IntoIterator<Item = u32>) -> Self {
        let listeners = listeners();
        let uid = nix::unistd::geteuid().as_raw();
        let mut ours: HashMap<u16, BTreeSet<u32>> = HashMap::new();
        let mut answering = HashSet::new();
        for pid in processes {
            let held = held_by(pid);
            for listener in &listeners {
                if listener.uid == uid && held.contains(&listener.inode) {
                    ours.entry(listener.port).or_default().insert(pid);
                    answering.extend(listener.address.map(|address| (address, listener.port)));
                }
            }
        }
        Self {
            ours,
            answering,
            all: listeners,
        }
    }

    /// The processes among the asked that listen on a port.
    pub fn holders(&self, port: u16) -> impl Iterator<Item = u32> + '_ {
        self.ours.get(&port).into_iter().flatten().copied()
    }

    /// The socket with which one of the asked processes listens on a port.
    #[must_use]
    pub fn held(&self, pid: u32, port: u16) -> Option<Held> {
        let on_port = |inode: u64| {
            let of_port = |listener: &Listener| listener.port == port && listener.inode == inode;
            self.all.iter().any(of_port)
        };
        descriptors(pid)
            .find(|(_, inode)| on_port(*inode))
            .map(|(descriptor, inode)| Held { descriptor, inode })
    }

    /// Whether one of the asked processes listens on the port.
    #[must_use]
    pub fn ours(&self, port: u16) -> bool {
        self.ours.contains_key(&port)
    }

    /// Whether one of the asked processes is who answers at this address: it listens on that very one, or on all. The same
    /// number on another interface may be anybody's.
    #[must_use]
    pub fn answers(&self, address: Ipv4Addr, port: u16) -> bool {
        self.answering
            .iter()
            .any(|(bound, number)| *number == port && (*bound == address || bound.is_unspecified()))
    }

    /// Whether one of the asked processes listens on the port at all addresses.
    #[must_use]
    pub fn everywhere(&self, port: u16) -> bool {
        let mut all = self.answering.iter();
        all.any(|(bound, number)| *number == port && bound.is_unspecified())
    }

    /// Whether only somebody else listens on the port, in a way that keeps us from this address: on that very address, or
    /// on all. The same number on another interface is no hindrance.
    #[must_use]
    pub fn foreign(&self, address: Ipv4Addr, port: u16) -> bool {
        let in_the_way = |listener: &Listener| {
            listener.port == port
                && listener
                    .address
                    .is_some_and(|other| other == address || other.is_unspecified())
        };
        !self.ours(port) && self.all.iter().any(in_the_way)
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
    let inodes = listening_on(port);
    if inodes.is_empty() {
        return None;
    }
    Some(holder_of(&inodes).map_or_else(
        || "a process of another user".to_owned(),
        |pid| format!("pid {pid} ({})", super::process::name(pid)),
    ))
}

/// The process that listens on a port, where it may be looked at; of a process and its forks the first.
#[must_use]
pub fn listens_on(port: u16) -> Option<u32> {
    holder_of(&listening_on(port))
}

/// The inodes of the sockets that listen on a port.
fn listening_on(port: u16) -> HashSet<u64> {
    listeners()
        .into_iter()
        .filter(|listener| listener.port == port)
        .map(|listener| listener.inode)
        .collect()
}

fn holder_of(inodes: &HashSet<u64>) -> Option<u32> {
    super::process::all()
        .into_iter()
        .filter(|pid| held_by(*pid).iter().any(|inode| inodes.contains(inode)))
        .min()
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
        assert!(listening.ours(port) && !listening.foreign(Ipv4Addr::LOCALHOST, port));
        assert!(Listening::of([]).foreign(Ipv4Addr::LOCALHOST, port));
        assert!(holder(port).is_some_and(|text| text.contains(&std::process::id().to_string())));
    }

    #[test]
    fn a_port_is_in_the_way_on_the_same_address_or_on_all() {
        let other = Ipv4Addr::new(127, 0, 0, 9);
        for (bound, in_the_way) in [(other, false), (Ipv4Addr::UNSPECIFIED, true)] {
            let socket = TcpListener::bind((bound, 0)).expect("a free port");
            let port = socket.local_addr().expect("bound").port();
            let own = Listening::of([std::process::id()]);
            assert_eq!(own.answers(Ipv4Addr::LOCALHOST, port), in_the_way);
            assert!(own.answers(bound, port));
            let others = Listening::of([]);
            assert_eq!(
                others.foreign(Ipv4Addr::LOCALHOST, port),
                in_the_way,
                "{bound}"
            );
            assert!(others.foreign(bound, port));
        }
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
                address: Some(Ipv4Addr::UNSPECIFIED),
                port: 2024,
                uid: 1000,
                inode: 640
            })
        );
    }
}

#[cfg(test)]
mod fuzz {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_line_of_the_kernels_is_read(address in any::<[u8; 4]>(), port in any::<u16>(), uid in any::<u32>(), inode in any::<u64>(), listens: bool) {
            let number = u32::from_ne_bytes(address);
            let state = if listens { "0A" } else { "01" };
            let line = format!("  12: {number:08X}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 {uid:5} 0 {inode} 1 0000 100 0 0 10 0");
            let wanted = Listener { address: Some(Ipv4Addr::from(address)), port, uid, inode };
            prop_assert_eq!(listener(&line), listens.then_some(wanted));
        }

        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,80}|[0-9A-F: ]{0,120}") {
            let _ = listener(&text);
        }
    }
}
