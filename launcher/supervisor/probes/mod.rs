//! Readiness as observed facts. Each probe looks again after a short pause until it saw the fact (or that it can never
//! be), and sends it.

pub mod controller;
pub mod engines;
pub mod jupyter;
pub mod reports;

use super::event::Event;
use super::notice::{Notice, Sender};
use crate::plan::service::Name;
use std::time::Duration;

/// Between two looks while something starts: short against a Python's start, cheap against its CPU.
const PAUSE: Duration = Duration::from_millis(20);

/// Between two looks when all is well.
const CALM_PAUSE: Duration = Duration::from_secs(1);

/// Tells what a service that starts still lacks, whenever it is another thing than at the last look.
struct Lack {
    service: Name,
    told: String,
}

impl Lack {
    fn of(service: Name) -> Self {
        Self {
            service,
            told: String::new(),
        }
    }

    fn tell(&mut self, what: String, sender: &Sender) {
        if what != self.told {
            self.told.clone_from(&what);
            let service = self.service;
            let _ = sender.send(Notice::Event(Event::Lacks { service, what }));
        }
    }
}
