//! Readiness as observed facts. Each probe looks again after a short pause until it saw the fact (or that it can never
//! be), and sends it.

pub mod controller;
pub mod engines;
pub mod jupyter;

use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Between two looks while something starts: half of it is added to the start each time that something is waited for.
const PAUSE: Duration = Duration::from_millis(5);

/// Between two looks when all is well.
const CALM_PAUSE: Duration = Duration::from_secs(1);

/// Waits before the next look. Reading the kernel's table of sockets takes milliseconds on a machine with much memory, so
/// the pause is as long as the look that began at `begin` was: what starts has more use for the CPU.
async fn pause(begin: Instant) {
    sleep(begin.elapsed().max(PAUSE)).await;
}
