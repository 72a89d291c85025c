//! Ends that a client asked for (`rc.shutdown()`). PURE. They are no failures, and nothing undoes them but a request.

use super::engines::Engines;
use super::{Effect, End, Machine, Stage, Timer, step_line};
use crate::failure::Failure;
use crate::plan::engines::named;
use crate::plan::name::Name;
use crate::supervisor::event::Asked;
use core::time::Duration;

/// How long after a client's wish an engine's end, or that of its world, is what the client asked for. It takes 0.7 s, but a rank that waits
/// in `MPI_Finalize` for the others may never end: it is told by the hub, after 30 s of silence, if at all.
const HEEDED: Duration = Duration::from_secs(60);

/// How it is told.
const BY_A_CLIENT: &str = "shut down by a client";

impl Engines {
    /// Whether a client asked for the end of these engines. Of a world each ends with the others.
    pub(super) fn were_asked(&self, ids: &[u32]) -> bool {
        let asked = |id: &u32| self.is(*id, |engine| engine.by_client);
        if self.world || self.together() {
            !ids.is_empty() && self.any(|engine| engine.by_client)
        } else {
            !ids.is_empty() && ids.iter().all(asked)
        }
    }
}

impl Machine {
    /// A client has asked an engine or the hub to end.
    pub(super) fn client_asked(&mut self, whom: Asked, out: &mut Vec<Effect>) {
        match whom {
            Asked::Engine(id) => {
                let Some(engine) = self.engines.get_mut(id) else {
                    return; // one that somebody else started
                };
                engine.by_client = true;
                let was_to_come_back = engine.call_off();
                out.push(Effect::SetTimer(Timer::Heeded { engine: id }, HEEDED));
                if was_to_come_back {
                    // Its end was noticed before the hub's word.
                    self.say_shut_down(&[id], out);
                    if self.engines.living() == 0 && !self.engines.any_on_its_way() {
                        self.shut_down(Name::Engines, out);
                    }
                }
            }
            Asked::Hub => {
                self.hub_asked = true;
                let dead = matches!(
                    self.stage(Name::Controller),
                    Stage::Clearing | Stage::Resting
                );
                if self.kept_by().is_none() && !self.waits_for_its_user() {
                    self.begin_stop(End::orderly(BY_A_CLIENT), out);
                } else if dead {
                    // Its end was noticed before its last word.
                    self.shut_down(Name::Controller, out);
                }
            }
        }
    }

    /// An engine has had the time to end as a client asked. One that works on has not heeded it.
    pub(super) fn wish_is_over(&mut self, id: u32) {
        if let Some(engine) = self.engines.get_mut(id).filter(|engine| engine.counts()) {
            engine.by_client = false;
        }
    }

    /// Whether the job is not ready for the driver or the Jupyter that it is for: its end is no success then, whoever asked for it.
    fn waits_for_its_user(&self) -> bool {
        let user = |name: Name| matches!(name, Name::Driver | Name::Jupyter);
        self.starting() && self.rules.iter().any(|rule| user(rule.name))
    }

    /// Engines or controller have ended as a client asked.
    pub(super) fn shut_down(&mut self, name: Name, out: &mut Vec<Effect>) {
        let text = if name == Name::Engines {
            format!("the engines were {BY_A_CLIENT}")
        } else {
            format!("{name} was {BY_A_CLIENT}")
        };
        let end = if self.waits_for_its_user() {
            End::of(Failure::not_ready(text))
        } else {
            End::orderly(text)
        };
        self.gone_for_good(name, end, out);
    }

    /// Single engines have.
    pub(super) fn say_shut_down(&self, ids: &[u32], out: &mut Vec<Effect>) {
        if ids.is_empty() {
            return;
        }
        let (was, them) = if ids.len() == 1 {
            ("was", "it")
        } else {
            ("were", "them")
        };
        let way = if self.engines.startable.at_all() {
            format!("; `ipjob restart` starts {them} again")
        } else {
            String::new()
        };
        let who = named("engine", ids);
        step_line(out, format!("{who} {was} {BY_A_CLIENT}{way}"));
    }
}
