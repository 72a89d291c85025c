//! Ports are reserved, not guessed.
//!
//! A reservation is a socket that was bound without `SO_REUSEADDR`, got it afterwards, and does not listen. Plain binds and
//! a second ipjob are refused while it lives; the owner that it is meant for (tornado, ZeroMQ) sets `SO_REUSEADDR` itself
//! and so may bind and listen beside it.

use super::sockets;
use crate::failure::{Failure, Outcome};
use crate::plan::settings::PortRange;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, setsockopt, socket, sockopt,
};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};

/// A port that nobody else gets while this lives.
#[derive(Debug)]
pub struct Reservation {
    /// The port.
    pub port: u16,
    _socket: OwnedFd,
}

/// Reserves one free port of the range, beginning at a random one so that jobs on a shared node do not meet; ports in
/// `avoid` were tried before.
pub fn reserve(address: Ipv4Addr, range: PortRange, avoid: &BTreeSet<u16>) -> Outcome<Reservation> {
    reserve_for("--port-range", address, range, avoid)
}

/// The same for the range of another option.
pub fn reserve_for(
    option: &str,
    address: Ipv4Addr,
    range: PortRange,
    avoid: &BTreeSet<u16>,
) -> Outcome<Reservation> {
    in_range(address, range, avoid).map_err(|refused| {
        let failure = Failure::missing(format!("no free port in {option} {range}"));
        let example = format!("for example {option} 8000-9999");
        told(failure, refused, range, &example)
    })
}

/// Reserves a port on each of these addresses, all of them different: in the range, or any that are free.
pub fn reserve_all(
    addresses: &[Ipv4Addr],
    range: Option<PortRange>,
    avoid: &BTreeSet<u16>,
) -> Outcome<Vec<Reservation>> {
    let mut avoid = avoid.clone();
    let mut held = Vec::new();
    for address in addresses {
        let reservation = match range {
            Some(range) => in_range(*address, range, &avoid).map_err(|refused| {
                let failure = Failure::missing(format!(
                    "the controller takes {} ports, and only {} are free in --controller-ports {range}",
                    addresses.len(),
                    held.len()
                ));
                told(failure, refused, range, "or leave it out")
            })?,
            None => any(*address, &avoid)?,
        };
        avoid.insert(reservation.port);
        held.push(reservation);
    }
    Ok(held)
}

/// Whether something listens on a port, at the price of a few system calls; whose it is, is another question. A second socket
/// that wants to share the port gets it until one of those that have it listens.
#[must_use]
pub fn is_listening(address: Ipv4Addr, port: u16) -> bool {
    let shared = open().and_then(|fd| {
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        name(&fd, address, port)
    });
    shared == Err(Errno::EADDRINUSE)
}

/// One free port of the range; else the last port that was refused, and why.
fn in_range(
    address: Ipv4Addr,
    range: PortRange,
    avoid: &BTreeSet<u16>,
) -> Result<Reservation, Option<(u16, Errno)>> {
    let size = u32::from(range.last - range.first) + 1;
    let offset = u32::from_ne_bytes(super::identity::random().unwrap_or_default()) % size;
    let mut refused = None;
    for step in 0..size {
        let place = (offset + step) % size;
        let Ok(port) = u16::try_from(u32::from(range.first) + place) else {
            continue;
        };
        if avoid.contains(&port) {
            continue;
        }
        match reserve_one(address, port) {
            Ok(reservation) => return Ok(reservation),
            Err(Errno::EADDRINUSE) => refused = Some((port, Errno::EADDRINUSE)),
            Err(Errno::EACCES) if range.last < 1024 => {
                refused = Some((port, Errno::EACCES));
                break;
            }
            Err(other) => refused = refused.or(Some((port, other))),
        }
    }
    Err(refused)
}

/// A port of the kernel's choice. Those to be avoided are held meanwhile, so that it chooses another.
fn any(address: Ipv4Addr, avoid: &BTreeSet<u16>) -> Outcome<Reservation> {
    let mut avoided = Vec::new();
    loop {
        let reservation = reserve_one(address, 0).map_err(|error| {
            Failure::missing(format!("no port can be had on {address}"))
                .because(error.desc())
                .hint("check --address; `sysctl net.ipv4.ip_local_port_range` shows the ports that the kernel chooses from")
        })?;
        if !avoid.contains(&reservation.port) {
            return Ok(reservation);
        }
        avoided.push(reservation);
    }
}

/// A socket that no child inherits.
#[cfg(target_os = "linux")]
fn open() -> Result<OwnedFd, Errno> {
    socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
}

/// The same where a socket has to be made first and is closed to children then.
#[cfg(not(target_os = "linux"))]
fn open() -> Result<OwnedFd, Errno> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    let fd = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::empty(),
        None,
    )?;
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(fd)
}

fn name(fd: &OwnedFd, address: Ipv4Addr, port: u16) -> Result<(), Errno> {
    bind(
        fd.as_raw_fd(),
        &SockaddrIn::from(SocketAddrV4::new(address, port)),
    )
}

/// Reserves this very port, or with 0 one of the kernel's choice.
pub fn reserve_one(address: Ipv4Addr, port: u16) -> Result<Reservation, Errno> {
    let fd = open()?;
    name(&fd, address, port)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    let bound: SockaddrIn = getsockname(fd.as_raw_fd())?;
    Ok(Reservation {
        port: bound.port(),
        _socket: fd,
    })
}

/// A failure to find a port, with what stood in the way.
fn told(
    failure: Failure,
    refused: Option<(u16, Errno)>,
    range: PortRange,
    example: &str,
) -> Failure {
    match refused {
        Some((port, Errno::EACCES)) => failure
            .because(format!("port {port}: {}", Errno::EACCES.desc()))
            .hint(format!(
                "ports below 1024 need root: choose others, {example}"
            )),
        Some((port, Errno::EADDRINUSE)) => {
            let holder =
                sockets::holder(port).unwrap_or_else(|| "a connection or a reservation".to_owned());
            failure
                .because(format!("port {port} is held by {holder}"))
                .hint(format!("choose a wider range than {range}, {example}"))
        }
        Some((port, other)) => failure.because(format!("port {port}: {}", other.desc())),
        None => failure.hint("every port of it was tried: choose a wider range"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

    fn free_port() -> u16 {
        TcpListener::bind((LOCAL, 0))
            .and_then(|socket| socket.local_addr())
            .expect("a free port")
            .port()
    }

    #[test]
    fn a_reserved_port_is_refused_to_others_and_open_to_its_owner() {
        let port = free_port();
        let range = PortRange {
            first: port,
            last: port,
        };
        let held = reserve(LOCAL, range, &BTreeSet::new()).expect("it is free");
        let second = reserve(LOCAL, range, &BTreeSet::new()).expect_err("it is reserved");
        assert!(second.message.contains(&format!("{port}-{port}")));
        // std's TcpListener sets SO_REUSEADDR, as tornado and ZeroMQ do.
        let owner = TcpListener::bind((LOCAL, held.port));
        assert!(owner.is_ok(), "{owner:?}");
    }

    #[test]
    fn all_reserved_ports_are_different_and_in_the_range() {
        let addresses = [LOCAL; 4];
        let any = reserve_all(&addresses, None, &BTreeSet::new()).expect("any");
        let ports: BTreeSet<u16> = any.iter().map(|held| held.port).collect();
        assert_eq!(ports.len(), 4);
        let again = reserve_all(&addresses, None, &ports).expect("others");
        assert!(again.iter().all(|held| !ports.contains(&held.port)));
        let port = any[0].port;
        let range = PortRange {
            first: port,
            last: port,
        };
        let failure = reserve_all(&addresses, Some(range), &BTreeSet::new()).expect_err("held");
        assert!(failure.message.contains("only 0 are free"), "{failure}");
    }

    #[test]
    fn a_reserved_port_does_not_listen_until_its_owner_does() {
        let held = any(LOCAL, &BTreeSet::new()).expect("a port");
        assert!(!is_listening(LOCAL, held.port));
        let owner = TcpListener::bind((LOCAL, held.port)).expect("the owner may");
        assert!(is_listening(LOCAL, held.port));
        drop(owner);
        assert!(!is_listening(LOCAL, held.port));
    }

    #[test]
    fn a_busy_port_is_named_with_its_holder() {
        let busy = TcpListener::bind((LOCAL, 0)).expect("a free port");
        let port = busy.local_addr().expect("bound").port();
        let range = PortRange {
            first: port,
            last: port,
        };
        let failure = reserve(LOCAL, range, &BTreeSet::new()).expect_err("it is busy");
        assert!(
            failure
                .cause
                .is_some_and(|cause| cause.contains(&std::process::id().to_string()))
        );
    }
}
