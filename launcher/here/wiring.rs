//! The wiring that ipjob makes before anything starts: ports that nobody else gets, and the connection files that tell of them.

use super::files;
use super::guarded::unusable;
use super::ports::{self, Hold, Reservation};
use crate::failure::Outcome;
use crate::plan::connection::Keys;
use crate::plan::profile::Profile;
use crate::plan::settings::PortRange;
use crate::plan::wiring::{PORTS, Ports};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// A wiring whose ports are held as long as it lives: a controller that is started again needs the same ones.
#[derive(Debug)]
pub struct Wiring {
    /// Its ports.
    pub ports: Ports,
    _held: Vec<Reservation>,
}

impl Wiring {
    /// Reserves the ports on the controller's address (in `range`, where there is one; those in `avoid` were lost before) and
    /// writes both connection files, each as a whole and 0600. The directory of them is private already.
    pub fn make(
        profile: &Profile,
        address: Ipv4Addr,
        range: Option<PortRange>,
        keys: Keys,
        avoid: &BTreeSet<u16>,
    ) -> Outcome<Self> {
        let held = ports::reserve_all(&Ports::addresses(address), range, avoid, Hold::Bound)?;
        let mut numbers = [0; PORTS];
        for (number, reservation) in numbers.iter_mut().zip(&held) {
            *number = reservation.port;
        }
        let ports = Ports::new(address, numbers);
        // The clients' last: it is what people wait for.
        for (path, text) in [
            (profile.own_engine_file(), ports.engine_file(keys)),
            (profile.own_client_file(), ports.client_file(keys)),
        ] {
            files::replace(&path, text.as_bytes()).map_err(|error| unusable(&path, &error))?;
        }
        Ok(Self { ports, _held: held })
    }
}
