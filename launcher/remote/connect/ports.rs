//! The ports of the laptop: the same numbers as in the job where they are free, else others; kept as long as connect lives.

use super::endpoints::Endpoint;
use crate::failure::{Failure, Outcome};
use crate::here::os::sockets;
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
            // In order, so that another connect of these words gets the same ones.
            let mut ports = range.first..=range.last;
            return match ports.find_map(|port| self.hold(port)) {
                Some(kept) => Ok(kept),
                None => ports::reserve("--local-ports", LOCAL, range, Hold::Bound),
            };
        }
        if let Some(kept) = self.hold(wanted).filter(|_| wanted >= FIRST_FREE) {
            return Ok(kept);
        }
        ports::reserve_one(LOCAL, 0, Hold::Bound).map_err(|error| {
            Failure::missing("no local port is free")
                .because(error.desc())
                .hint("the system has none left: end programs that hold many connections, or give a range with --local-ports")
        })
    }

    /// Holds a port, if it can be had: also one on which only the connections of an earlier connect linger, because people and programs
    /// know the address.
    fn hold(&self, port: u16) -> Option<Reservation> {
        // Who listens there would be sent the token by a browser that is told `localhost`; another connect holds it as well.
        let taken_there = bind_beside(port).is_err_and(|error| error == Errno::EADDRINUSE);
        if taken_there || self.taken.iter().any(|taken| taken.port == port) {
            return None;
        }
        match ports::reserve_one(LOCAL, port, Hold::Bound) {
            Err(Errno::EADDRINUSE) if sockets::lingering().contains(&port) => {
                ports::reserve_beside_lingering(LOCAL, port, Hold::Bound).ok()
            }
            other => other.ok(),
        }
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
    fn a_port_on_which_only_old_connections_linger_is_had_again() {
        use std::io::Read;
        let server = std::net::TcpListener::bind((LOCAL, 0)).expect("a port");
        let port = server.local_addr().expect("bound").port();
        let range = PortRange {
            first: port,
            last: port,
        };
        let mut client = std::net::TcpStream::connect((LOCAL, port)).expect("it listens");
        let (accepted, _) = server.accept().expect("a connection");
        let given = |range| {
            let mut local = LocalPorts::new(range);
            local.give(&[endpoint(port)]).ok()?;
            local.of(&endpoint(port))
        };
        // The server ends its end first, as an ssh that is ended does; the client keeps its own for a while.
        drop(accepted);
        assert_ne!(given(None), Some(port), "somebody listens");
        drop(server);
        assert_eq!(client.read(&mut [0]).expect("the end"), 0);
        assert_eq!(given(None), Some(port));
        drop(client);
        assert_eq!(given(Some(range)), Some(port));
        // One that another connect holds is no free one.
        let mut other = LocalPorts::new(None);
        other.give(&[endpoint(port)]).expect("ports");
        assert_ne!(given(None), Some(port));
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
