//! The names of services and units.

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

/// What is started, watched, stopped and started again as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// `ipcontroller`.
    Controller,
    /// All engines; as a process, the srun or mpiexec that stands for all of them.
    EngineGroup,
    /// The Jupyter server.
    Jupyter,
    /// The user's own command.
    Driver,
    /// One engine; as a process, a local engine, or the srun that started one of a step again.
    Engine(u32),
}

impl Unit {
    /// The service that it is, or is a part of.
    #[must_use]
    pub fn service(self) -> Name {
        match self {
            Self::Controller => Name::Controller,
            Self::EngineGroup | Self::Engine(_) => Name::Engines,
            Self::Jupyter => Name::Jupyter,
            Self::Driver => Name::Driver,
        }
    }

    /// Whether another unit is this one, or a part of it.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        self == other || (self == Self::EngineGroup && other.service() == Name::Engines)
    }

    /// The id of the one engine that it is.
    #[must_use]
    pub fn engine(self) -> Option<u32> {
        match self {
            Self::Engine(id) => Some(id),
            _ => None,
        }
    }
}

/// A service as a whole.
impl From<Name> for Unit {
    fn from(name: Name) -> Self {
        match name {
            Name::Controller => Self::Controller,
            Name::Engines => Self::EngineGroup,
            Name::Jupyter => Self::Jupyter,
            Name::Driver => Self::Driver,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(id) => write!(out, "engine {id}"),
            unit => write!(out, "{}", unit.service()),
        }
    }
}
