//! What others see of the machine. PURE.

use super::{Machine, Phase, Stage, State};
use crate::plan::name::Name;

impl Machine {
    /// The state as the record tells it.
    #[must_use]
    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Starting => State::Starting,
            Phase::Up if self.engines.complete() && self.all_ready() && self.unhindered() => {
                State::Ready
            }
            Phase::Up => State::Degraded,
            Phase::Stopping { .. } | Phase::LastSweep { .. } => State::Stopping,
            Phase::Finished => State::Ended,
        }
    }

    /// The first reason, once there is one.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match &self.phase {
            Phase::Stopping { end, .. } | Phase::LastSweep { end } => Some(&end.reason),
            _ => None,
        }
    }

    /// What is still waited for, as the live line shows it: `engines 3/4`, `jupyter`.
    #[must_use]
    pub fn pending(&self) -> Vec<String> {
        if !self.starting() {
            return Vec::new();
        }
        self.rules
            .iter()
            .filter(|rule| self.stage(rule.name) == Stage::Starting)
            .map(|rule| match rule.name {
                Name::Engines => format!(
                    "engines {}/{}",
                    self.engines.counted(),
                    self.engines.expected()
                ),
                name => name.to_string(),
            })
            .collect()
    }

    /// How many engines count as there.
    #[must_use]
    pub fn engines_there(&self) -> u32 {
        u32::try_from(self.engines.counted()).unwrap_or(u32::MAX)
    }

    /// Engines in the hub's list that others started.
    #[must_use]
    pub fn guests(&self) -> u32 {
        u32::try_from(self.engines.guests()).unwrap_or(u32::MAX)
    }

    /// Ids of engines that do not count: never registered, dropped or lost.
    #[must_use]
    pub fn missing_engines(&self) -> Vec<u32> {
        self.engines.ids(|engine| !engine.counts())
    }
}
