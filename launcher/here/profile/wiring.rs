//! The wiring that ipjob makes before anything starts: ports that nobody else gets, and the connection files that tell of them.
//!
//! docs/design/start.md explains the design.

use super::directory::unusable;
use super::handing;
use super::ports::{self, Hold, Reservation};
use crate::failure::Outcome;
use crate::here::os::files;
use crate::plan::connection::Keys;
use crate::plan::profile::Profile;
use crate::plan::settings::PortRange;
use crate::plan::wiring::{PORTS, Ports};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// A wiring whose ports are held as long as it lives: a controller that is started again needs the same ones.
#[derive(Debug)]
pub struct Wiring {
    /// Its ports.
    pub ports: Ports,
    held: Vec<Reservation>,
}

impl Wiring {
    /// Takes the ports on the controller's address (in `range`, where there is one), held in this way, and
    /// writes both connection files, each as a whole and 0600. The directory of them is private already.
    pub fn make(
        profile: &Profile,
        address: Ipv4Addr,
        location: &str,
        range: Option<PortRange>,
        way: Hold,
        keys: Keys,
    ) -> Outcome<Self> {
        let held = ports::reserve_all(&Ports::addresses(address), range, way)?;
        let mut numbers = [0; PORTS];
        for (number, reservation) in numbers.iter_mut().zip(&held) {
            *number = reservation.port;
        }
        let ports = Ports::new(address, location, numbers);
        // The clients' last: it is what people wait for.
        for (path, text) in [
            (profile.own_engine_file(), ports.engine_file(keys)),
            (profile.own_client_file(), ports.client_file(keys)),
        ] {
            files::replace(&path, text.as_bytes()).map_err(|error| unusable(&path, error))?;
        }
        Ok(Self { ports, held })
    }

    /// A standard input that brings all of its sockets, and our end of it.
    pub fn hand_over(&self) -> io::Result<(OwnedFd, UnixStream)> {
        handing::parcel(&self.held)
    }
}
