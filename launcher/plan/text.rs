//! Texts of which some are secret.

use core::fmt;

/// The text of a variable or of a file; a secret one is never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Text {
    /// Anyone may see it.
    Plain(String),
    /// Nobody but the process it is for.
    Secret(String),
}

impl Text {
    /// The text itself, for the process it is for.
    #[must_use]
    pub fn reveal(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Secret(text) => text,
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Plain(text) => text,
            Self::Secret(_) => "<secret>",
        })
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}
