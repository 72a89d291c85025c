//! Readiness as observed facts. Each probe looks again after a short pause until it saw the fact (or that it can never
//! be), and sends it.

pub mod controller;
pub mod engines;
pub mod jupyter;
pub mod ranks;
pub mod reports;

use std::time::Duration;

/// Between two looks while something starts: short against a Python's start, cheap against its CPU.
const PAUSE: Duration = Duration::from_millis(20);

/// Between two looks when all is well.
const CALM_PAUSE: Duration = Duration::from_secs(1);
