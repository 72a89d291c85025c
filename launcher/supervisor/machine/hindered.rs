//! A service that runs and lacks something that it needs, as far as that is seen: the job is degraded until it has that again. PURE.

use super::{Effect, Machine, Stage, step_line, warning};
use crate::plan::name::Name;

impl Machine {
    /// What a service that starts still lacks: the cause, if it is late. What its probe misses later hinders nothing.
    pub(super) fn lacks(&mut self, service: Name, what: String) {
        if let Some(found) = self.services.get_mut(&service)
            && found.life.stage != Stage::Ready
        {
            found.lack = (!what.is_empty()).then_some(what);
        }
    }

    /// A service that is ready lacks something.
    pub(super) fn hinder(&mut self, service: Name, what: String, out: &mut Vec<Effect>) {
        let Some(found) = self.services.get_mut(&service) else {
            return;
        };
        if found.life.stage == Stage::Ready {
            warning(
                out,
                format!("{service}: {what}; the job is degraded until that is over"),
            );
            out.push(Effect::Mark(format!("{service}: {what}")));
            found.lack = Some(what);
        }
    }

    /// A service that is ready lacks nothing any more.
    pub(super) fn has_all(&mut self, service: Name, detail: &str, out: &mut Vec<Effect>) {
        let Some(found) = self.services.get_mut(&service) else {
            return;
        };
        if found.life.stage == Stage::Ready && found.lack.take().is_some() {
            step_line(out, format!("{service} ready again {detail}").trim_end());
        }
    }

    /// What a service lacks although it is ready.
    #[must_use]
    pub fn hindered(&self, service: Name) -> Option<&str> {
        let found = self.services.get(&service)?;
        let ready = found.life.stage == Stage::Ready;
        found.lack.as_deref().filter(|_| ready)
    }

    /// Whether no service lacks anything.
    pub(super) fn unhindered(&self) -> bool {
        self.services
            .keys()
            .all(|name| self.hindered(*name).is_none())
    }
}
