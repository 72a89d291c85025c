//! The ways to the job's services: which is tried when, and what follows when one leads nowhere.

use super::{Bridge, DeadEnd, Effect, Level, Link, Machine, Stage, Timer, Way};
use crate::failure::{Failure, Kind};
use crate::remote::connect::endpoints::Reach;
use core::time::Duration;

/// Until a job that was reached before is tried again.
const PAUSE: Duration = Duration::from_secs(5);

impl Machine {
    /// Begins the tunnel to a life of the job.
    pub(super) fn build(&mut self, reach: Reach) -> Vec<Effect> {
        self.dead_ends.clear();
        // From the login node itself no loopback address of a compute node is reached: a failure that needs no try.
        let loopback = reach
            .first()
            .is_some_and(|first| first.address.is_loopback());
        let first = match (self.chosen, self.proven) {
            (Some(chosen), _) => chosen,
            (None, Some(proven)) => proven,
            (None, None) if loopback && !self.has_no_scheduler() => Way::Jump,
            (None, None) => Way::Forward,
        };
        self.go(first, reach)
    }

    /// Whether the job is none of a scheduler: then HOST is the very machine that it runs on.
    fn has_no_scheduler(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| !seen.scheduled)
    }

    fn go(&mut self, way: Way, reach: Reach) -> Vec<Effect> {
        self.bridge = Some(Bridge {
            reach: reach.clone(),
            way,
            stage: Stage::Making,
        });
        vec![Effect::Bridge {
            way,
            reach: Box::new(reach),
            may_ask: !self.lost_before,
        }]
    }

    /// What carried the forwards ended by itself.
    pub(super) fn bridge_ended(&mut self, words: &str) -> Vec<Effect> {
        // Without the ssh to HOST all else ends as well; that is told once.
        if !self.is_open() || self.bridge.is_none() {
            return Vec::new();
        }
        self.leads_nowhere(false, words.to_owned().into())
    }

    pub(super) fn bridged(&mut self, result: Result<(), DeadEnd>) -> Vec<Effect> {
        match (&mut self.bridge, result) {
            (Some(bridge), Ok(())) if bridge.stage == Stage::Making => {
                bridge.stage = Stage::Trying;
                vec![Effect::Try(Box::new(bridge.reach.clone()))]
            }
            (Some(bridge), Err(end)) if bridge.stage == Stage::Making => {
                self.leads_nowhere(true, end)
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn tried(&mut self, result: Result<(), DeadEnd>) -> Vec<Effect> {
        let Some(bridge) = &mut self.bridge else {
            return Vec::new();
        };
        if bridge.stage != Stage::Trying {
            return Vec::new();
        }
        if let Err(end) = result {
            return self.leads_nowhere(true, end);
        }
        bridge.stage = Stage::Up;
        let reach = Box::new(bridge.reach.clone());
        self.proven = Some(bridge.way);
        self.link = Link::Open { tries: 0 };
        self.told = None;
        if self.host.is_none() && bridge.way == Way::Forward {
            // Nothing has to be carried, so nothing has to be kept up.
            let again = false;
            return vec![Effect::Announce { reach, again }, Effect::Finish(Ok(()))];
        }
        let mut effects = vec![Effect::Settle(reach.clone())];
        let before = self.announced.replace((*reach).clone());
        if before.is_some() {
            effects.push(Effect::Say(
                Level::Step,
                "connected again, on the same local ports".to_owned(),
            ));
        }
        // A later life has another key and token: the address that was told leads to a login page.
        if before.as_ref() != Some(&reach) {
            let again = before.is_some();
            effects.push(Effect::Announce { reach, again });
        }
        effects
    }

    /// A way that was tried leads nowhere: the next one, or the end.
    fn leads_nowhere(&mut self, made: bool, end: DeadEnd) -> Vec<Effect> {
        let Some(bridge) = &mut self.bridge else {
            return Vec::new();
        };
        let (way, reach) = (bridge.way, bridge.reach.clone());
        let mut effects = Vec::new();
        if made {
            effects.push(Effect::Unbridge(way));
        }
        let from = match way {
            Way::Forward => "from the login node",
            Way::Jump => "through ssh to the node",
            Way::Srun => "through srun",
        };
        let words = end.words;
        self.dead_ends.push(DeadEnd {
            words: format!("{from}: {words}"),
            forbidden: end.forbidden,
        });
        let next =
            (way == Way::Forward && self.chosen.is_none() && self.proven != Some(Way::Forward))
                .then_some(Way::Jump);
        if let Some(next) = next {
            effects.push(Effect::Say(
                Level::Step,
                format!(
                    "{} cannot reach {} ({words}): trying ssh to the node",
                    self.host.as_deref().unwrap_or("this machine"),
                    reach.node
                ),
            ));
            effects.extend(self.go(next, reach));
            return effects;
        }
        if self.announced.is_some() {
            bridge.stage = Stage::Waiting;
            effects.extend(
                self.progress(format!("the job cannot be reached ({words}): trying again")),
            );
            effects.push(Effect::SetTimer(Timer::Bridge, PAUSE));
            return effects;
        }
        effects.push(Effect::Finish(Err(self.no_way(&reach.node))));
        effects
    }

    fn no_way(&self, node: &str) -> Failure {
        let words: Vec<&str> = self
            .dead_ends
            .iter()
            .map(|end| end.words.as_str())
            .collect();
        let mut failure = Failure::new(
            Kind::Ssh,
            format!("there is no way to reach job {} on {node}", self.job),
        )
        .because(words.join("; "));
        if self.dead_ends.iter().any(|end| end.forbidden) {
            failure =
                failure.hint("an ssh server on the way forbids forwarding (AllowTcpForwarding)");
        }
        let srun = if self.chosen == Some(Way::Srun) {
            "--via srun needs an ipjob of this version on the cluster: give its path with --remote-ipjob PATH"
        } else {
            "`--via srun` sends the traffic through Slurm itself; it needs ipjob on the cluster"
        };
        failure = failure.hint(srun);
        failure
    }

    pub(super) fn bridge_again(&mut self) -> Vec<Effect> {
        match self.bridge.take() {
            Some(bridge) if bridge.stage == Stage::Waiting && self.is_open() => {
                self.build(bridge.reach)
            }
            other => {
                self.bridge = other;
                Vec::new()
            }
        }
    }
}
