//! A service or engine that is started again and is not ready in time: on a machine that is only slow it is left to go on. PURE.

use super::{Effect, Machine, Timer, warning};
use crate::plan::name::Name;
use core::time::Duration;

/// Between two looks whether such a start still makes progress.
const AGAIN: Duration = Duration::from_secs(10);

/// So many times its limit a start may take as long as it makes progress. Engines that wait for a controller decide by themselves how long.
const MOST: u32 = 10;

impl Machine {
    /// It was looked whether a start that is late makes progress: then it has more time, and is a failure otherwise.
    pub(super) fn progress(&mut self, timer: Timer, seen: Option<String>, out: &mut Vec<Effect>) {
        let (who, limit, more) = match timer {
            Timer::Service { service, start } if self.is_starting(service, start) => {
                let limit = self.limit_of_start(service);
                let life = self.lives.get_mut(&service);
                (service.to_string(), limit, life.map(|life| &mut life.more))
            }
            Timer::Arrive { engine, start } => {
                let limit = self.limit_of_start(Name::Engines);
                let who = self.own_process(engine).to_string();
                (who, limit, self.more_for_engine(engine, start))
            }
            _ => return,
        };
        let Some(more) = more else { return };
        let gone = limit + *more;
        let (Some(seen), true) = (seen, gone < limit * MOST) else {
            return match timer {
                Timer::Arrive { engine, .. } => self.engine_too_late(engine, gone, out),
                Timer::Service { service, .. } => self.too_late(service, gone, out),
                _ => {}
            };
        };
        let first = more.is_zero();
        *more += AGAIN;
        if first {
            let (seconds, most) = (limit.as_secs_f64(), (limit * MOST).as_secs_f64());
            warning(
                out,
                format!(
                    "{who} is not ready after {seconds} s, but is making progress: {seen}; it has up to {most} s"
                ),
            );
        }
        out.push(Effect::SetTimer(timer, AGAIN));
    }
}
