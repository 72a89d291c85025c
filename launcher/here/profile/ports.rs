//! Ports are held, not guessed.
//!
//! A program that takes descriptors gets a socket on which ipjob listens itself, as long as the job lives: nobody else can ever
//! have the port, and who connects while that program is away waits in the backlog.
//! For one that does not, a reservation is a socket that was bound without `SO_REUSEADDR`, got it afterwards, and does not listen. Plain
//! binds are refused while it lives, and so is such a reservation of a second ipjob; the owner that it is meant for (tornado) sets
//! `SO_REUSEADDR` itself and so may bind and listen beside it, as may anybody else who sets it. Of ipjob's own sockets only one that
//! is to listen does, where no port of its range is free but those on which connections of an earlier server linger.
//!
//! docs/design/sockets.md explains the design.

use crate::failure::{Failure, Outcome};
use crate::here::os::sockets;
use crate::plan::settings::PortRange;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, setsockopt,
    socket, sockopt,
};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Connections that wait until they are accepted; the kernel's own limit (`net.core.somaxconn`) may be lower.
const BACKLOG: i32 = 4096;

/// How a port is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// By listening: its owner gets the descriptor.
    Listening,
    /// By being bound alone: its owner binds beside it.
    Bound,
}

/// A port that is held while this lives.
#[derive(Debug)]
pub struct Reservation {
    /// The port.
    pub port: u16,
    /// How.
    pub hold: Hold,
    socket: OwnedFd,
}

impl AsFd for Reservation {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Holds one free port of the range of this option, beginning at a random one so that jobs on a shared node do not meet.
pub fn reserve(
    option: &str,
    address: Ipv4Addr,
    range: PortRange,
    hold: Hold,
) -> Outcome<Reservation> {
    in_range(address, range, &BTreeSet::new(), hold).map_err(|refused| {
        let message = if range.is_one() {
            format!("{option} {range} cannot be used")
        } else {
            format!("no free port in {option} {range}")
        };
        let example = format!("for example {option} 8000-9999");
        told(Failure::missing(message), refused, range, &example)
    })
}

/// Reserves a port on each of these addresses, all of them different: in the range, or any that are free.
pub fn reserve_all(
    addresses: &[Ipv4Addr],
    range: Option<PortRange>,
    hold: Hold,
) -> Outcome<Vec<Reservation>> {
    let mut avoid = BTreeSet::new();
    let mut taken = Vec::new();
    for address in addresses {
        let reservation = match range {
            Some(range) => in_range(*address, range, &avoid, hold).map_err(|refused| {
                let failure = Failure::missing(format!(
                    "the controller needs {} ports, but only {} are free in --controller-ports {range}",
                    addresses.len(),
                    taken.len()
                ));
                told(failure, refused, range, "or leave it out")
            })?,
            None => any(*address, &avoid, hold)?,
        };
        avoid.insert(reservation.port);
        taken.push(reservation);
    }
    Ok(taken)
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

/// One free port of the range, or one on which connections linger; else the last port that was refused, and why.
fn in_range(
    address: Ipv4Addr,
    range: PortRange,
    avoid: &BTreeSet<u16>,
    hold: Hold,
) -> Result<Reservation, Option<(u16, Errno)>> {
    let size = u32::from(range.last - range.first) + 1;
    let offset =
        u32::from_ne_bytes(crate::here::site::identity::random().unwrap_or_default()) % size;
    let mut refused = None;
    let mut busy = Vec::new();
    for step in 0..size {
        let place = (offset + step) % size;
        let Ok(port) = u16::try_from(u32::from(range.first) + place) else {
            continue;
        };
        if avoid.contains(&port) {
            continue;
        }
        match reserve_one(address, port, hold) {
            Ok(reservation) => return Ok(reservation),
            Err(Errno::EADDRINUSE) => {
                refused = Some((port, Errno::EADDRINUSE));
                busy.push(port);
            }
            Err(Errno::EACCES) if range.last < 1024 => {
                refused = Some((port, Errno::EACCES));
                break;
            }
            Err(other) => refused = refused.or(Some((port, other))),
        }
    }
    // Last, and only to listen: a reservation of another ipjob, which does not listen, is not in the way of who shares the port.
    if hold == Hold::Listening && !busy.is_empty() {
        let lingering = sockets::lingering();
        let mut nobodys = busy.into_iter().filter(|port| lingering.contains(port));
        if let Some(held) =
            nobodys.find_map(|port| reserve_beside_lingering(address, port, hold).ok())
        {
            return Ok(held);
        }
    }
    Err(refused)
}

/// A port of the kernel's choice. Those to be avoided are held meanwhile, so that it chooses another.
fn any(address: Ipv4Addr, avoid: &BTreeSet<u16>, hold: Hold) -> Outcome<Reservation> {
    let mut avoided = Vec::new();
    loop {
        let reservation = reserve_one(address, 0, hold).map_err(|error| {
            let message = match error {
                Errno::EADDRNOTAVAIL => format!("{address} is not an address of this machine"),
                _ => format!("no port is available on {address}"),
            };
            Failure::missing(message)
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
    use nix::fcntl::FdFlag;
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

/// Holds this very port, or with 0 one of the kernel's choice.
pub fn reserve_one(address: Ipv4Addr, port: u16, hold: Hold) -> Result<Reservation, Errno> {
    let socket = open()?;
    name(&socket, address, port)?;
    held(socket, hold)
}

/// Holds a port that what is left of an earlier server's connections keeps for a minute, and is nobody. Where somebody listens there, it
/// is refused; a reservation of another ipjob that does not listen is not noticed.
pub fn reserve_beside_lingering(
    address: Ipv4Addr,
    port: u16,
    hold: Hold,
) -> Result<Reservation, Errno> {
    let socket = open()?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    name(&socket, address, port)?;
    held(socket, hold)
}

/// Makes a reservation of a socket that has its port.
fn held(socket: OwnedFd, hold: Hold) -> Result<Reservation, Errno> {
    match hold {
        Hold::Listening => {
            // Accepting is not to wait where whoever had connected has gone again.
            fcntl(&socket, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            listen(&socket, Backlog::new(BACKLOG).unwrap_or(Backlog::MAXCONN))?;
        }
        Hold::Bound => {}
    }
    // From who listens its connections inherit that the next server may have the port while they linger.
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    let bound: SockaddrIn = getsockname(socket.as_raw_fd())?;
    Ok(Reservation {
        port: bound.port(),
        hold,
        socket,
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
                .hint(if range.is_one() {
                    "choose another port".to_owned()
                } else {
                    format!("choose a wider range than {range}, {example}")
                })
        }
        Some((port, other)) => failure.because(format!("port {port}: {}", other.desc())),
        None => failure.hint("ipjob tried every port in it: choose a wider range"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

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
        let reserve = || reserve("--port-range", LOCAL, range, Hold::Bound);
        let held = reserve().expect("it is free");
        let second = reserve().expect_err("it is reserved");
        assert!(second.message.contains(&format!("--port-range {port}")));
        // std's TcpListener sets SO_REUSEADDR, as tornado and ZeroMQ do.
        let owner = TcpListener::bind((LOCAL, held.port));
        assert!(owner.is_ok(), "{owner:?}");
    }

    #[test]
    fn an_address_that_is_not_of_this_machine_is_named() {
        // Of a network that is kept for documentation.
        let elsewhere = Ipv4Addr::new(192, 0, 2, 1);
        let refused = reserve_all(&[elsewhere], None, Hold::Bound).expect_err("not ours");
        assert_eq!(
            refused.message,
            "192.0.2.1 is not an address of this machine"
        );
    }

    #[test]
    fn all_reserved_ports_are_different_and_in_the_range() {
        let addresses = [LOCAL; 4];
        let any = reserve_all(&addresses, None, Hold::Bound).expect("any");
        let ports: BTreeSet<u16> = any.iter().map(|held| held.port).collect();
        assert_eq!(ports.len(), 4);
        let port = any[0].port;
        let range = PortRange {
            first: port,
            last: port,
        };
        let failure = reserve_all(&addresses, Some(range), Hold::Bound).expect_err("held");
        assert!(failure.message.contains("only 0 are free"), "{failure}");
    }

    #[test]
    fn a_reserved_port_does_not_listen_until_its_owner_does() {
        let held = any(LOCAL, &BTreeSet::new(), Hold::Bound).expect("a port");
        assert!(!is_listening(LOCAL, held.port));
        let owner = TcpListener::bind((LOCAL, held.port)).expect("the owner may");
        assert!(is_listening(LOCAL, held.port));
        drop(owner);
        assert!(!is_listening(LOCAL, held.port));
    }

    #[test]
    fn nobody_binds_beside_a_port_on_which_we_listen_and_who_connects_waits() {
        let held = any(LOCAL, &BTreeSet::new(), Hold::Listening).expect("a port");
        assert!(is_listening(LOCAL, held.port));
        assert!(TcpListener::bind((LOCAL, held.port)).is_err());
        let early = TcpStream::connect((LOCAL, held.port)).expect("it waits");
        let owner = TcpListener::from(held.socket.try_clone().expect("a descriptor"));
        let (_, met) = owner.accept().expect("who waited");
        assert_eq!(met, early.local_addr().expect("bound"));
    }

    #[test]
    fn what_is_left_of_connections_keeps_nobody_from_their_port() {
        let port = free_port();
        let range = PortRange {
            first: port,
            last: port,
        };
        for _ in 0..3 {
            let held =
                reserve("--port-range", LOCAL, range, Hold::Listening).expect("nobody has it");
            serve_one(&TcpListener::from(held.socket));
            assert!(sockets::lingering().contains(&port));
        }
    }

    /// Leaves the rest of a connection: who closes first has it.
    fn serve_one(owner: &TcpListener) {
        let address = owner.local_addr().expect("bound");
        let client = TcpStream::connect(address).expect("it waits");
        drop(owner.accept().expect("who waited"));
        drop(client);
    }

    #[test]
    fn what_is_left_of_connections_lets_nobody_beside_a_reservation() {
        let held = any(LOCAL, &BTreeSet::new(), Hold::Bound).expect("a port");
        serve_one(&TcpListener::bind((LOCAL, held.port)).expect("the owner may"));
        assert!(sockets::lingering().contains(&held.port));
        // Its owner is away.
        let second = reserve_one(LOCAL, held.port, Hold::Bound);
        assert_eq!(second.err(), Some(Errno::EADDRINUSE));
        let range = |first: u16, last: u16| PortRange { first, last };
        let one = range(held.port, held.port);
        reserve("--port-range", LOCAL, one, Hold::Bound).expect_err("it is reserved");
        // Where another port is free, nobody listens beside it either.
        let wider = range(
            held.port.saturating_sub(50).max(1024),
            held.port.saturating_add(50),
        );
        for _ in 0..20 {
            let other = reserve("--port-range", LOCAL, wider, Hold::Listening).expect("another");
            assert_ne!(other.port, held.port);
        }
    }

    #[test]
    fn a_busy_port_is_named_with_its_holder() {
        let busy = TcpListener::bind((LOCAL, 0)).expect("a free port");
        let port = busy.local_addr().expect("bound").port();
        let range = PortRange {
            first: port,
            last: port,
        };
        let failure =
            reserve("--port-range", LOCAL, range, Hold::Listening).expect_err("it is busy");
        assert!(
            failure
                .cause
                .is_some_and(|cause| cause.contains(&std::process::id().to_string()))
        );
    }
}
