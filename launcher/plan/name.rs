//! The names of services and of their processes.

use core::fmt;

/// The services, in the order of start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// `ipcontroller`: the hub, its schedulers and its heartmonitor.
    Controller,
    /// N processes of `ipengine`.
    Engines,
    /// The Jupyter server.
    Jupyter,
    /// The user's own command in cluster-only mode.
    Driver,
}

impl Name {
    /// All names, in the order of start.
    pub const ALL: [Self; 4] = [Self::Controller, Self::Engines, Self::Jupyter, Self::Driver];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Engines => "engines",
            Self::Jupyter => "jupyter",
            Self::Driver => "driver",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.word())
    }
}

/// One process of a service: its place among the service's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId {
    /// The service.
    pub service: Name,
    /// From 0; for local engines it is the engine's id as well.
    pub index: u32,
}

/// From here on an index is that of an engine which has a step of its own: its id comes on top.
const OWN_STEPS: u32 = 1 << 24;

impl ProcessId {
    /// The srun that started one engine of the step again.
    #[must_use]
    pub fn own_step(engine: u32) -> Self {
        Self {
            service: Name::Engines,
            index: OWN_STEPS.saturating_add(engine),
        }
    }

    /// The engine that this srun started again; `None` for any other process.
    #[must_use]
    pub fn engine_of_own_step(self) -> Option<u32> {
        self.index
            .checked_sub(OWN_STEPS)
            .filter(|_| self.service == Name::Engines)
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.service {
            Name::Engines => {
                let engine = self.engine_of_own_step().unwrap_or(self.index);
                write!(out, "engine {engine}")
            }
            service => write!(out, "{service}"),
        }
    }
}
