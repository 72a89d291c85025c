//! The course of a job, as the record tells it: what is written there is read back for the chart of a start, so the words for that are here. PURE.

use super::word::{Seconds, Text};
use crate::plan::name::Name;
use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Moment {
    /// When.
    pub at: Seconds,
    /// What.
    pub event: Text,
}

/// All that is started is ready.
pub const READY: &str = "ready";

/// A service was started: `jupyter started`.
#[must_use]
pub fn started(service: Name) -> String {
    format!("{service} started")
}

/// A service is ready: `controller ready on 127.0.0.1 (18 ports)`; `detail` may be empty.
#[must_use]
pub fn ready(service: Name, detail: &str) -> String {
    match detail {
        "" => format!("{service} ready"),
        detail => format!("{service} ready {detail}"),
    }
}

impl Moment {
    /// Whether everything was ready then.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.event == *READY
    }

    /// Whether the service was started then.
    #[must_use]
    pub fn is_start_of(&self, service: Name) -> bool {
        *self.event == *started(service)
    }

    /// Whether the service was ready then.
    #[must_use]
    pub fn is_readiness_of(&self, service: Name) -> bool {
        self.event.starts_with(&ready(service, ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let moment = |event: String| Moment {
            at: Seconds::new(1.0),
            event: Text::ours(event),
        };
        for name in Name::ALL {
            assert!(moment(started(name)).is_start_of(name));
            assert!(moment(ready(name, "")).is_readiness_of(name));
            assert!(moment(ready(name, "at http://x")).is_readiness_of(name));
            assert!(!moment(started(name)).is_readiness_of(name));
        }
        assert!(moment(READY.to_owned()).is_ready());
        assert!(!moment(ready(Name::Engines, "(4/4)")).is_ready());
    }
}
