//! The ports of the laptop: the same numbers as in the job where they are free, else others; kept as long as connect lives.

use super::endpoints::Endpoint;
use crate::failure::{Failure, Outcome};
use crate::here::profile::ports::{self, Hold, Reservation};
use crate::plan::settings::PortRange;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn6, bind, setsockopt, socket, sockopt,
};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The first port that a person may use.
const FIRST_FREE: u16 = 1024;

/// One port, and the socket that keeps it for us.
#[derive(Debug)]
struct Taken {
    port: u16,
    kept: Option<Reservation>,
    /// The same port of `[::1]`, where nothing listens: who types `localhost` is asked there first.
    _beside: Option<OwnedFd>,
}

/// The local ports, by what they are for: a later life of the job gets the same ones, whatever its own are.
#[derive(Debug, Default)]
pub struct LocalPorts {
    /// The only ports that may be taken.
    range: Option<PortRange>,
    /// In the order of [`Reach::endpoints`](super::reach::Reach::endpoints).
    taken: Vec<Taken>,
    of: BTreeMap<Endpoint, u16>,
}

impl LocalPorts {
    /// No port yet; `range` are the only ones that may be taken.
    #[must_use]
    pub fn new(range: Option<PortRange>) -> Self {
        Self {
            range,
            ..Self::default()
        }
    }

    /// Gives each endpoint its port, in order: the ones that were taken before, and new ones for what is left.
    pub fn give(&mut self, endpoints: &[Endpoint]) -> Outcome<()> {
        self.of.clear();
        for (place, endpoint) in endpoints.iter().enumerate() {
            if place >= self.taken.len() {
                let kept = self.take(endpoint.port)?;
                self.taken.push(Taken {
                    port: kept.port,
                    _beside: bind_beside(kept.port).ok(),
                    kept: Some(kept),
                });
            }
            if let Some(taken) = self.taken.get(place) {
                self.of.insert(endpoint.clone(), taken.port);
            }
        }
        Ok(())
    }

    fn take(&self, wanted: u16) -> Outcome<Reservation> {
        if let Some(range) = self.range {
            return ports::reserve("--local-ports", LOCAL, range, Hold::Bound);
        }
        // Who listens there would be sent the token by a browser that is told `localhost`.
        let taken_there = bind_beside(wanted).is_err_and(|error| error == Errno::EADDRINUSE);
        if wanted >= FIRST_FREE
            && !taken_there
            && let Ok(reservation) = ports::reserve_one(LOCAL, wanted, Hold::Bound)
        {
            return Ok(reservation);
        }
        ports::reserve_one(LOCAL, 0, Hold::Bound).map_err(|error| {
            Failure::missing("no local port is free")
                .because(error.desc())
                .hint("the system has none left: end programs that hold many connections, or give a range with --local-ports")
        })
    }

    /// The local port of an endpoint.
    #[must_use]
    pub fn of(&self, endpoint: &Endpoint) -> Option<u16> {
        self.of.get(endpoint).copied()
    }

    /// Endpoints with their local ports.
    pub fn all(&self) -> impl Iterator<Item = (&Endpoint, u16)> {
        self.of.iter().map(|(endpoint, port)| (endpoint, *port))
    }

    /// Lets go of the sockets that keep the ports, where ssh could not listen beside them.
    pub fn hand_over(&mut self) {
        if cfg!(target_os = "linux") {
            return;
        }
        for taken in &mut self.taken {
            taken.kept = None;
        }
    }
}

/// Takes a port of `[::1]`, without listening there and so that nobody else can.
fn bind_beside(port: u16) -> Result<OwnedFd, Errno> {
    let fd = socket(
        AddressFamily::Inet6,
        SockType::Stream,
        SockFlag::empty(),
        None,
    )?;
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    let address = SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0);
    bind(fd.as_raw_fd(), &SockaddrIn6::from(address))?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(port: u16) -> Endpoint {
        Endpoint {
            address: "10.0.0.11".parse().expect("an address"),
            port,
        }
    }

    fn free_port() -> u16 {
        ports::reserve_one(LOCAL, 0, Hold::Bound)
            .expect("a free port")
            .port
    }

    #[test]
    fn a_free_port_is_the_same_and_a_busy_one_another() {
        let (free, busy) = (
            free_port(),
            std::net::TcpListener::bind((LOCAL, 0)).expect("a port"),
        );
        let taken = busy.local_addr().expect("bound").port();
        let mut local = LocalPorts::new(None);
        local
            .give(&[endpoint(free), endpoint(taken), endpoint(80)])
            .expect("ports");
        assert_eq!(local.of(&endpoint(free)), Some(free));
        assert_ne!(local.of(&endpoint(taken)), Some(taken));
        assert_ne!(local.of(&endpoint(80)), Some(80));
        let before: Vec<u16> = [free, taken, 80]
            .map(|port| local.of(&endpoint(port)).expect("given"))
            .to_vec();
        // Another life, with other ports: the local ones stay.
        local
            .give(&[endpoint(1), endpoint(2), endpoint(3), endpoint(4)])
            .expect("ports");
        let after: Vec<u16> = [1, 2, 3]
            .map(|port| local.of(&endpoint(port)).expect("given"))
            .to_vec();
        assert_eq!(before, after);
        assert!(local.of(&endpoint(4)).is_some());
    }

    #[test]
    fn nobody_else_can_listen_on_the_other_loopback_address() {
        let other = |port| std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, port));
        if other(0).is_err() {
            // No IPv6 here, for nobody.
            return;
        }
        let mut local = LocalPorts::new(None);
        local.give(&[endpoint(free_port())]).expect("a port");
        let (_, port) = local.all().next().expect("given");
        assert!(other(port).is_err(), "{port}");
        assert!(std::net::TcpStream::connect((Ipv6Addr::LOCALHOST, port)).is_err());
    }

    #[test]
    fn a_range_that_is_used_up_is_told() {
        let busy = std::net::TcpListener::bind((LOCAL, 0)).expect("a port");
        let port = busy.local_addr().expect("bound").port();
        let mut local = LocalPorts::new(Some(PortRange {
            first: port,
            last: port,
        }));
        let failure = local.give(&[endpoint(9000)]).expect_err("it is busy");
        assert!(failure.message.contains("--local-ports"), "{failure}");
    }
}
