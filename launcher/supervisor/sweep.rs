//! Ending what services leave behind: nannies and kernels in sessions of their own, orphans of any kind.

use super::event::Event;
use super::notice::{Notice, Sender};
use crate::here::leftovers::{self, Leftover};
use crate::plan::service::Name;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long what was asked may take before it is killed. Nannies end by themselves 10 ms after their engine.
const GRACE: Duration = Duration::from_millis(700);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Ends what carries the incarnation and the service's name (or, without a service, everything that is ours) and then sends
/// `Swept`. The machine's own time limit bounds it.
pub fn start(incarnation: String, service: Option<Name>, hard: bool, sender: Sender) {
    tokio::spawn(async move {
        let begin = Instant::now();
        let mut asked = BTreeSet::new();
        loop {
            let left = left(&incarnation, service);
            if left.is_empty() {
                break;
            }
            for leftover in left {
                if hard || begin.elapsed() > GRACE {
                    leftover.signal(Signal::SIGKILL);
                } else if asked.insert(leftover) {
                    leftover.signal(Signal::SIGTERM);
                }
            }
            if sender.is_closed() {
                return;
            }
            sleep(PAUSE).await;
        }
        let _ = sender.send(Notice::Event(Event::Swept(service)));
    });
}

fn left(incarnation: &str, service: Option<Name>) -> BTreeSet<Leftover> {
    let carrying = leftovers::carrying(incarnation).into_iter();
    match service {
        Some(name) => carrying
            .filter(|(_, label)| label.as_deref() == Some(name.word()))
            .map(|(leftover, _)| leftover)
            .collect(),
        None => carrying
            .map(|(leftover, _)| leftover)
            .chain(leftovers::descendants())
            .collect(),
    }
}
