//! Readiness as observed facts. Each probe looks again after a short pause until it saw the fact (or that it can never
//! be), and sends it.
//!
//! docs/design/start.md explains the design.

pub mod connection_files;
pub mod controller;
pub mod descriptors;
pub mod engines;
pub mod handed;
pub mod jupyter;
pub mod logs;
pub mod processes;
pub mod ranks;
pub mod respawn;
pub mod srun_log;

use super::event::Event;
use super::notice::{Notice, Sender};
use crate::here::os::own_time::{OwnTime, ROUND, next_round};
use crate::plan::name::Name;
use std::time::Duration;
use tokio::time::sleep;

/// Between two looks while something starts: half of it is added to the start each time that something is waited for. Half
/// as long saves 7 ms of a whole start and doubles what the looks cost, on a network's file system too.
const PAUSE: Duration = Duration::from_millis(10);

/// Between two looks when all is well. A wake-up costs more than the look: it finds cold caches.
const CALM_PAUSE: Duration = Duration::from_millis(1800);

/// As many times as long as a look takes, the pause after it is at the least, where what is looked at grows with the engines: so
/// the looks of a start take a fixed part of its time, however large the start is.
const LOOKS_PART: u32 = 20;

/// No pause of a start is longer: on a machine that is busy enough, looks take long by themselves.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Waits before the next look at something that grows with the engines.
async fn pause_by_size(begin: OwnTime) {
    sleep((begin.elapsed() * LOOKS_PART).clamp(PAUSE, LONGEST_PAUSE)).await;
}

/// Waits before the next look. Reading the kernel's table of sockets takes milliseconds on a machine with much memory, so
/// the pause is as long as the look that began at `begin` was: what starts has more use for the CPU.
async fn pause(begin: OwnTime) {
    sleep(begin.elapsed().max(PAUSE)).await;
}

/// Waits for the next calm look.
pub(super) async fn calm_pause() {
    sleep(next_round(CALM_PAUSE)).await;
}

/// How long it is to the next look at what must be replaced within 2 s when it dies.
fn next_attentive_look() -> Duration {
    next_round(ROUND)
}

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
