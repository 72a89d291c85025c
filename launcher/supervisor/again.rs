//! One try of the start. When a port of the wiring was lost to somebody else, everything is taken down and started again with
//! another: what watches the first try must not speak of the second.

use super::children::Given;
use super::machine::Machine;
use super::notice::{Notice, Sender};
use super::{Event, Supervisor};
use crate::failure::{Failure, Outcome};
use crate::here::ports::{self, Hold};
use crate::here::wiring::Wiring;
use crate::here::{files, handing};
use crate::plan::Plan;
use crate::plan::service::{Name, PortNeed, Service};
use crate::plan::settings::Respawn;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Where the watches of one try send: dropped with it, their channel closes, and they end.
#[derive(Debug)]
pub(super) struct Attempt {
    pub sender: Sender,
    /// Which try it is.
    pub number: u32,
    relay: JoinHandle<()>,
}

impl Attempt {
    /// A channel of its own whose notices go on to `to`.
    pub fn new(to: &Sender, number: u32) -> Self {
        let (sender, mut notices) = mpsc::unbounded_channel();
        let to = to.clone();
        let relay = tokio::spawn(async move {
            while let Some(notice) = notices.recv().await {
                let notice = Notice::OfAttempt {
                    attempt: number,
                    notice: Box::new(notice),
                };
                if to.send(notice).is_err() {
                    return;
                }
            }
        });
        Self {
            sender,
            number,
            relay,
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

/// Makes the wiring, where the plan wants one of ours; ports in `avoid` were lost before.
pub(super) fn wire(plan: &Plan, avoid: &BTreeSet<u16>) -> Outcome<Option<Wiring>> {
    let need = plan
        .service(Name::Controller)
        .and_then(|service| service.port.as_ref());
    let Some(PortNeed::Wiring { range }) = need else {
        return Ok(None);
    };
    Wiring::make(&plan.profile, plan.address, *range, plan.keys(), avoid).map(Some)
}

/// The machine of a job of which so many seconds are gone.
pub(super) fn machine(plan: &Plan, elapsed: f64) -> Machine {
    Machine::new(&plan.services, plan.settings.start.whole)
        .begun_before(Duration::try_from_secs_f64(elapsed).unwrap_or_default())
        .stopping_before_the_end(plan.settings.stop_before)
        .ending_when_idle(plan.settings.idle)
        .expecting_a_world(plan.world.clone())
        .repeating(plan.repeats())
        .replacing_engines(plan.settings.respawn == Respawn::Engine)
        .restarting_the_set(plan.settings.respawn == Respawn::Set)
}

impl Supervisor<'_> {
    /// All of the first try is gone: the next begins.
    pub(super) fn start_again(&mut self) {
        self.attempt = Attempt::new(&self.sender, self.attempt.number + 1);
        self.machine = machine(self.plan, self.console.elapsed()).after(&self.machine);
        self.asked.clear();
        self.record.forget_services();
        // The first controller may have written them, and the next one does not clear them.
        for path in [
            self.plan.profile.engines_list(),
            self.plan.profile.own_client_file(),
            self.plan.profile.own_engine_file(),
        ] {
            let _ = files::remove(&path);
        }
        let lost: BTreeSet<u16> = self
            .wiring
            .iter()
            .flat_map(|wiring| wiring.ports.numbers().iter().copied())
            .collect();
        // Given up first: a narrow range may not have room for two wirings.
        self.wiring = None;
        let wired = wire(self.plan, &lost).or_else(|_| wire(self.plan, &BTreeSet::new()));
        let event = match wired {
            Ok(wiring) => {
                self.wiring = wiring;
                Event::Begin
            }
            Err(failure) => Event::CannotBegin(failure),
        };
        let _ = self.sender.send(Notice::Event(event));
    }

    /// Tells what gives a service its ports; Jupyter's is chosen here.
    pub(super) fn ports_of(&mut self, service: &Service) -> Result<Given, Failure> {
        if let Some(PortNeed::One { range, handed, .. }) = &service.port {
            let way = if *handed {
                Hold::Listening
            } else {
                Hold::Bound
            };
            let address = self.plan.jupyter_address;
            let held = ports::reserve("--port-range", address, *range, way)?;
            self.children.reservation = Some(held);
        }
        self.ports_again(service)
    }

    /// What gives a service the ports that it had before: they are held for it as long as the job lives.
    pub(super) fn ports_again(&self, service: &Service) -> Result<Given, Failure> {
        let mut given = Given::default();
        match (&service.port, &self.children.reservation, &self.wiring) {
            (Some(PortNeed::One { argument, .. }), Some(held), _) => {
                given.arguments.push(format!("{argument}{}", held.port));
                if held.hold == Hold::Listening {
                    // Nobody asks whether it was taken: an answer to the token says it.
                    let (stdin, _) = handing::parcel(&[held]).map_err(|error| {
                        Failure::missing("jupyter's socket cannot be handed over").because(error)
                    })?;
                    given.stdin = Some(stdin);
                }
            }
            (Some(PortNeed::Wiring { .. }), _, Some(wiring)) => {
                given
                    .arguments
                    .push(format!("--ports={}", wiring.ports.internal()));
            }
            _ => {}
        }
        Ok(given)
    }
}
