//! The address that peers reach us at. Names are resolved by the `getent` program: a static binary's own look-up would miss
//! the site's name service.

use super::identity;
use crate::failure::{Failure, Outcome};
use crate::here::os::run_program::{self, Question};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long a name may take to be resolved that clients are to resolve at every connection.
const AT_ONCE: Duration = Duration::from_millis(300);

/// How long the name of a peer may: a directory that cannot be reached answers late or never.
const LIMIT: Duration = Duration::from_secs(5);

/// Reads an address that the user chose: an IPv4 address, or the name of an interface that has one.
pub fn chosen(text: &str, option: &str) -> Outcome<Ipv4Addr> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        if address.is_unspecified() {
            return Err(
                Failure::usage(format!("{option} {text} would listen on every network"))
                    .hint("name the one address, or the one interface, that is needed"),
            );
        }
        return Ok(address);
    }
    let interfaces = interfaces();
    interfaces
        .iter()
        .find(|(name, _)| name == text)
        .map(|(_, address)| *address)
        .ok_or_else(|| {
            let known: Vec<String> = interfaces
                .iter()
                .map(|(name, address)| format!("{name} ({address})"))
                .collect();
            Failure::usage(format!(
                "{option} {text:?} is neither an IPv4 address nor an interface here"
            ))
            .hint(format!("interfaces here: {}", known.join(", ")))
        })
}

/// The interfaces of this host that have an IPv4 address.
fn interfaces() -> Vec<(String, Ipv4Addr)> {
    nix::ifaddrs::getifaddrs()
        .into_iter()
        .flatten()
        .filter_map(|interface| {
            let address = interface.address?.as_sockaddr_in()?.ip();
            Some((interface.interface_name, address))
        })
        .collect()
}

/// Our own address on the way to the first of these peers that can be resolved. No packet is sent: connecting a datagram
/// socket only asks the kernel for the route.
pub fn towards(peers: &[String]) -> Outcome<Ipv4Addr> {
    for peer in peers {
        let route = resolve(peer).and_then(|address| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
            socket.connect((address, 9)).ok()?;
            match socket.local_addr().ok()?.ip() {
                IpAddr::V4(own) if !own.is_loopback() => Some(own),
                _ => None,
            }
        });
        if let Some(own) = route {
            return Ok(own);
        }
    }
    let others: Vec<(String, Ipv4Addr)> = interfaces()
        .into_iter()
        .filter(|(_, address)| !address.is_loopback())
        .collect();
    if let [(_, only)] = others.as_slice() {
        return Ok(*only);
    }
    let known: Vec<String> = others
        .iter()
        .map(|(name, address)| format!("{name} ({address})"))
        .collect();
    Err(Failure::missing(format!(
        "the address at which {} reach this node cannot be found",
        peers.join(", ")
    ))
    .hint(format!(
        "name it with --address IP|INTERFACE; interfaces here: {}",
        known.join(", ")
    )))
}

/// The name by which clients tell whether a controller on loopback is on their own host: ours, if it can be resolved at once. Every
/// client resolves it, and what takes long, or warns, would be for its users to bear.
pub struct Location {
    address: Ipv4Addr,
    host: String,
    resolved: Option<Question>,
}

impl Location {
    /// Begins to find that of a controller on this address. Only on loopback do clients look at it.
    #[must_use]
    pub fn of(address: Ipv4Addr) -> Self {
        let host = identity::host();
        let ask = || Question::ask(Path::new("getent"), &["ahostsv4", &host]).ok();
        let resolved = address.is_loopback().then(ask).flatten();
        Self {
            address,
            host,
            resolved,
        }
    }

    /// What the connection files are to say.
    pub async fn found(self) -> String {
        if let Some(mut question) = self.resolved
            && question
                .end(AT_ONCE)
                .await
                .is_ok_and(|status| status.success())
        {
            return self.host;
        }
        self.address.to_string()
    }
}

/// The first IPv4 address of a host, as the site resolves it.
fn resolve(host: &str) -> Option<Ipv4Addr> {
    let answer = run_program::ask(Command::new("getent").args(["ahostsv4", host]), LIMIT);
    answer.output.split_ascii_whitespace().next()?.parse().ok()
}
