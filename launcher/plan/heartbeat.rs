//! How often the controller asks its engines for a sign of life.
//!
//! By itself ipyparallel counts an engine one to two periods after its heart starts (heartmonitor.py: the answer to a ping is
//! noticed at the next beat), so its default of 3 s costs every start 3 to 6 s. An eager controller (`controller/eager.py`) beats
//! faster until all engines are there and counts an engine at its first answer; afterwards a slow period does, which costs a
//! third of the CPU. Whatever the period, the hub's patience is the same: the number of missed beats grows as it falls.
//!
//! docs/design/scale.md explains the design.

use super::{Here, service_args};
use serde::Serialize;

/// How the controller's heart beats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// From ping to ping, in milliseconds; engines are told it.
    pub period_ms: u32,
    /// The same until all engines are there, where the controller is eager.
    pub eager_ms: Option<u32>,
}

/// What an eager controller is told.
#[derive(Debug, Serialize)]
pub struct Order {
    /// From ping to ping until all engines are there, in milliseconds; 0 where its heart is to beat as the user says.
    pub beat_ms: u32,
    /// So many engines are all.
    pub engines: u32,
    /// To so many of them ipjob sends the signals that clients send; none where it does so to no engine at all. More are told to the hub later.
    pub signals: Option<u32>,
    /// After so many seconds it is eager no more.
    pub patience_s: u64,
    /// The arguments for an ipyparallel whose heart cannot be made eager.
    #[serde(rename = "else")]
    pub other: Vec<String>,
}

/// The heartbeat of this plan; where the user sets one, it is as they say.
#[must_use]
pub fn of(controller_args: &[String], here: &Here, engines: u32) -> Heartbeat {
    let users = controller_args
        .iter()
        .any(|arg| service_args::name(arg).starts_with("--HeartMonitor."));
    Heartbeat::of(engines, here.eager_python.is_some() && !users)
}

impl Heartbeat {
    /// The heartbeat for so many engines. 4 engines cost 0.05 s of CPU in 20 s at 500 ms; the cost grows with the engines and
    /// falls with the period.
    #[must_use]
    pub fn of(engines: u32, eager: bool) -> Self {
        let period_ms = match (engines, eager) {
            (0..=64, false) => 250,
            (0..=512, _) => 1000,
            _ => 3000,
        };
        Self {
            period_ms,
            // Each ping is a message to every engine.
            eager_ms: eager.then(|| engines.clamp(100, 1000)),
        }
    }

    /// ipcontroller's arguments for it.
    #[must_use]
    pub fn arguments(self) -> Vec<String> {
        vec![
            format!("--HeartMonitor.period={}", self.period_ms),
            format!("--HeartMonitor.max_heartmonitor_misses={}", self.misses()),
        ]
    }

    /// Missed beats after which the hub drops a silent engine: 30 s of silence, ipyparallel's own default (10 x 3 s).
    #[must_use]
    pub fn misses(self) -> u32 {
        30_000 / self.period_ms
    }

    /// Missed beats after which an engine gives the controller up and ends. Where the controller may turn out not to be eager after
    /// all, by the shorter period that it has then.
    #[must_use]
    pub fn engine_misses(self, engines: u32) -> u32 {
        let shortest = self.period_ms.min(Self::of(engines, false).period_ms);
        ENGINE_PATIENCE_MS / (shortest + LOOK_MS)
    }
}

/// How long an engine goes on without a sign of the controller, in milliseconds: as long as with ipyparallel's own defaults
/// (50 missed beats of 3.5 s). A shorter period must not make it less: a controller that is being replaced needs it.
pub const ENGINE_PATIENCE_MS: u32 = 175_000;

/// What an engine adds to the period between two looks for a beat (engine/app.py).
const LOOK_MS: u32 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_are_as_patient_at_any_size() {
        for (engines, eager) in [1, 64, 65, 512, 513, 10_000]
            .into_iter()
            .flat_map(|engines| [(engines, false), (engines, true)])
        {
            let heart = Heartbeat::of(engines, eager);
            let period = heart.period_ms;
            assert_eq!(heart.misses() * period, 30_000, "{engines} engines");
            for period in [period, Heartbeat::of(engines, false).period_ms] {
                let patience = heart.engine_misses(engines) * (period + LOOK_MS);
                assert!(
                    patience + period + LOOK_MS > ENGINE_PATIENCE_MS,
                    "{engines} engines"
                );
            }
        }
    }

    #[test]
    fn an_eager_heart_never_beats_slower_before_than_after() {
        for engines in [1, 100, 500, 1_000, 10_000] {
            let heart = Heartbeat::of(engines, true);
            assert!(heart.eager_ms.is_some_and(|eager| eager <= heart.period_ms));
        }
    }
}
