//! Engines whose coming back is asked for, or called off. PURE.

use super::super::engines::Engines;
use super::super::{Effect, Machine};
use super::{Replaced, State};

impl Engines {
    /// Gives up an engine that was to be started again; false if it was not.
    pub(in super::super) fn call_off(&mut self, id: u32) -> bool {
        let waits = |replaced: &&mut Replaced| {
            matches!(replaced.state, State::Resting | State::Due) && !replaced.again
        };
        let found = self.replaced.get_mut(&id).filter(waits);
        found.is_some_and(|replaced| {
            replaced.state = State::GivenUp;
            true
        })
    }

    /// Whether an engine is on its way back, or is being ended for that.
    pub(in super::super) fn any_on_its_way(&self) -> bool {
        self.any_comes_back()
            || (self.replaced.values())
                .any(|replaced| replaced.again || replaced.state == State::Arriving)
    }
}

impl Machine {
    /// Somebody asked for these engines: each starts as soon as the hub has dropped its id. Those that live are ended first.
    pub(in super::super) fn start_each(&mut self, ids: &[u32], out: &mut Vec<Effect>) {
        for id in ids {
            let process = self.own_process(*id);
            let lost = self.engines.lost.contains(id);
            let replaced = self.engines.replaced.entry(*id).or_default();
            replaced.ends = 0;
            if !lost && replaced.state != State::Arriving {
                replaced.state = State::Well;
                replaced.again = true;
                out.push(Effect::KillOne(process));
            } else if lost && replaced.state != State::Due {
                replaced.start += 1;
                replaced.state = State::Due;
            }
        }
        self.replace_engines(out);
    }
}
