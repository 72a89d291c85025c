//! A service that runs and lacks something that it needs, as far as that is seen: the job is degraded until it has that again. PURE.

use super::{Effect, Machine, Stage, step_line, warning};
use crate::plan::name::Name;

impl Machine {
    /// What a service lacks: while it starts that is its probe's, for the failure that a late start is.
    pub(super) fn lacks(&mut self, service: Name, what: String, out: &mut Vec<Effect>) {
        let Some(life) = self.lives.get_mut(&service) else {
            return;
        };
        if life.stage == Stage::Ready && !what.is_empty() {
            warning(
                out,
                format!("{service}: {what}; the job is degraded until that is over"),
            );
            out.push(Effect::Mark(format!("{service}: {what}")));
            out.push(Effect::Publish);
        }
        life.lack = (!what.is_empty()).then_some(what);
    }

    /// A service that is ready lacks nothing any more.
    pub(super) fn has_all(&mut self, service: Name, detail: &str, out: &mut Vec<Effect>) {
        let Some(life) = self.lives.get_mut(&service) else {
            return;
        };
        if life.stage == Stage::Ready && life.lack.take().is_some() {
            step_line(out, format!("{service} ready again {detail}").trim_end());
            out.push(Effect::Publish);
        }
    }

    /// What a service lacks although it is ready.
    #[must_use]
    pub fn hindered(&self, service: Name) -> Option<&str> {
        let life = self.lives.get(&service)?;
        let ready = life.stage == Stage::Ready;
        life.lack.as_deref().filter(|_| ready)
    }

    /// Whether no service lacks anything.
    pub(super) fn unhindered(&self) -> bool {
        self.lives.keys().all(|name| self.hindered(*name).is_none())
    }
}
