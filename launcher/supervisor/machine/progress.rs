//! A service or engine that is started again and is not ready in time: on a machine that is only slow it is left to go on. PURE.

use super::{Effect, Machine, Stage, warning};
use crate::plan::name::Unit;
use core::time::Duration;

/// Between two looks whether such a start still makes progress.
const AGAIN: Duration = Duration::from_secs(10);

/// So many times its limit a start may take as long as it makes progress. Engines that wait for a controller decide by themselves how long.
const MOST: u32 = 10;

impl Machine {
    /// It was looked whether a start that is late makes progress: then it has more time, and is a failure otherwise.
    pub(super) fn progress(
        &mut self,
        unit: Unit,
        generation: u32,
        seen: Option<String>,
        out: &mut Vec<Effect>,
    ) {
        if !self.is_at(unit, Stage::Starting, generation) {
            return;
        }
        let limit = self.limit_of_start(unit.service());
        let Some(life) = self.life_mut(unit) else {
            return;
        };
        let more = &mut life.more;
        let gone = limit + *more;
        let (Some(seen), true) = (seen, gone < limit * MOST) else {
            return match unit {
                Unit::Engine(id) => self.engine_too_late(id, gone, out),
                _ => self.too_late(unit.service(), gone, out),
            };
        };
        let first = more.is_zero();
        *more += AGAIN;
        if first {
            let (seconds, most) = (limit.as_secs_f64(), (limit * MOST).as_secs_f64());
            warning(
                out,
                format!(
                    "{unit} is not ready after {seconds} s, but is making progress: {seen}; it has up to {most} s"
                ),
            );
        }
        self.limit_stage(unit, AGAIN, out);
    }
}
