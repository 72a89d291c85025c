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
    let size = u32::from(range.last - range.first) + 1;
    let offset = u32::from_ne_bytes(super::identity::random()?) % size;
    let mut refused = None;
    for step in 0..size {
        let place = (offset + step) % size;
        let Ok(port) = u16::try_from(u32::from(range.first) + place) else {
            continue;
        };
        if avoid.contains(&port) {
            continue;
        }
        match try_one(address, port) {
            Ok(socket) => {
                return Ok(Reservation {
                    port,
                    _socket: socket,
                });
            }
            Err(Errno::EADDRINUSE) => refused = Some((port, Errno::EADDRINUSE)),
            Err(Errno::EACCES) if range.last < 1024 => {
                refused = Some((port, Errno::EACCES));
                break;
            }
            Err(other) => refused = refused.or(Some((port, other))),
        }
    }
    Err(no_port(range, refused))
}

/// Reserves exactly this port, or any free one for 0.
pub fn reserve_one(address: Ipv4Addr, port: u16) -> Result<Reservation, Errno> {
    let socket = try_one(address, port)?;
    let bound: SockaddrIn = getsockname(socket.as_raw_fd())?;
    Ok(Reservation {
        port: bound.port(),
        _socket: socket,
    })
}

/// A socket that no child inherits.
#[cfg(target_os = "linux")]
fn own_socket() -> Result<OwnedFd, Errno> {
    socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
}

/// The same where a socket has to be made first and closed to children then.
#[cfg(not(target_os = "linux"))]
fn own_socket() -> Result<OwnedFd, Errno> {
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

fn try_one(address: Ipv4Addr, port: u16) -> Result<OwnedFd, Errno> {
    let fd = own_socket()?;
    bind(
        fd.as_raw_fd(),
        &SockaddrIn::from(SocketAddrV4::new(address, port)),
    )?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    Ok(fd)
}

fn no_port(range: PortRange, refused: Option<(u16, Errno)>) -> Failure {
    let failure = Failure::missing(format!("no free port in --port-range {range}"));
    match refused {
        Some((port, Errno::EACCES)) => failure
            .because(format!("port {port}: {}", Errno::EACCES.desc()))
            .hint("ports below 1024 need root: choose others, for example --port-range 8000-9999"),
        Some((port, Errno::EADDRINUSE)) => {
            let holder =
                sockets::holder(port).unwrap_or_else(|| "a connection or a reservation".to_owned());
            failure
                .because(format!("port {port} is held by {holder}"))
                .hint("choose a wider range, for example --port-range 8000-9999")
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
