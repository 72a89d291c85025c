//! The ports of controller and Jupyter: held before either starts, and given to each as often as it is started.
//!
//! docs/design/sockets.md explains the design.

use super::Supervisor;
use super::children::Given;
use crate::failure::{Failure, Outcome};
use crate::here::profile::handing;
use crate::here::profile::ports::{self, Hold};
use crate::here::profile::wiring::Wiring;
use crate::plan::Plan;
use crate::plan::name::Name;
use crate::plan::service::{PortNeed, Service};

/// Makes the wiring, where the plan wants one of ours.
pub(super) fn wire(plan: &Plan) -> Outcome<Option<Wiring>> {
    let need = plan
        .service(Name::Controller)
        .and_then(|service| service.port.as_ref());
    let Some(PortNeed::Wiring { range, handed }) = need else {
        return Ok(None);
    };
    let way = way(*handed);
    let (profile, address) = (&plan.profile, plan.address);
    Wiring::make(profile, address, &plan.location, *range, way, plan.keys()).map(Some)
}

/// How a port is held for a program that takes descriptors, or not.
fn way(handed: bool) -> Hold {
    if handed { Hold::Listening } else { Hold::Bound }
}

impl Supervisor<'_> {
    /// Tells what gives a service its ports; Jupyter's is chosen here.
    pub(super) fn ports_of(&mut self, service: &Service) -> Result<Given, Failure> {
        if let Some(PortNeed::One { range, handed, .. }) = &service.port {
            let address = self.plan.jupyter_address;
            let option = if range.is_one() {
                "--jupyter-port"
            } else {
                "--port-range"
            };
            let held = ports::reserve(option, address, *range, way(*handed))?;
            self.children.reservation = Some(held);
        }
        self.ports_again(service)
    }

    /// What gives a service the ports that it had before: they are held for it as long as the job lives.
    pub(super) fn ports_again(&mut self, service: &Service) -> Result<Given, Failure> {
        let mut given = Given::default();
        let tells = service.talks();
        let wiring = self.kept.wiring();
        let parcel = match (&service.port, &self.children.reservation, wiring) {
            (Some(PortNeed::One { argument, .. }), Some(held), _) => {
                given.arguments.push(format!("{argument}{}", held.port));
                // Nobody asks whether it was taken: an answer to the token says it.
                (held.hold == Hold::Listening).then(|| handing::parcel([held]))
            }
            (Some(PortNeed::Wiring { handed, .. }), _, Some(wiring)) => {
                given
                    .arguments
                    .push(format!("--ports={}", wiring.ports.internal()));
                handed.then(|| wiring.hand_over())
            }
            _ => None,
        };
        // Without sockets it still has something to tell.
        let parcel = parcel.or_else(|| tells.then(|| handing::parcel([])));
        let parcel = parcel.transpose().map_err(|error| {
            Failure::missing(format!(
                "the sockets of {} cannot be handed over",
                service.name
            ))
            .because(error)
        })?;
        if let Some((stdin, told)) = parcel {
            given.stdin = Some(stdin);
            self.children.told = tells.then_some(told);
        }
        Ok(given)
    }
}
