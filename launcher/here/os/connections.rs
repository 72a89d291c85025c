//! Who is connected, as the kernel's table of sockets shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;

/// How many connections each user has, by user id, from this host to these ports of an address.
#[must_use]
pub fn by_user(address: Ipv4Addr, ports: &BTreeSet<u16>) -> BTreeMap<u32, u64> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let mut users = BTreeMap::new();
    for (to, port, uid) in table.lines().filter_map(connection) {
        if to == address && ports.contains(&port) {
            *users.entry(uid).or_default() += 1;
        }
    }
    users
}

/// Reads a line of the table: where an established connection (state 01) leads to, and whose this end of it is.
fn connection(line: &str) -> Option<(Ipv4Addr, u16, u32)> {
    let mut fields = line.split_ascii_whitespace();
    let remote = fields.nth(2)?;
    (fields.next()? == "01").then_some(())?;
    let (address, port) = remote.split_once(':')?;
    let number = (address.len() == 8).then(|| u32::from_str_radix(address, 16).ok())??;
    let port = u16::from_str_radix(port, 16).ok()?;
    let uid = fields.nth(3)?.parse().ok()?;
    Some((Ipv4Addr::from(number.to_ne_bytes()), port, uid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn connections_of_this_process_are_counted_as_its_users() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("bound");
        let ports = BTreeSet::from([address.port()]);
        assert!(by_user(Ipv4Addr::LOCALHOST, &ports).is_empty());
        // They wait in the backlog: nobody accepts them.
        let held: Vec<TcpStream> = (0..3)
            .map(|_| TcpStream::connect(address).expect("it listens"))
            .collect();
        let uid = nix::unistd::geteuid().as_raw();
        let seen = by_user(Ipv4Addr::LOCALHOST, &ports);
        assert_eq!(seen, BTreeMap::from([(uid, held.len() as u64)]));
        assert!(by_user(Ipv4Addr::new(127, 0, 0, 9), &ports).is_empty());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,80}|[0-9A-F: ]{0,120}") {
            let _ = connection(&text);
        }
    }
}
