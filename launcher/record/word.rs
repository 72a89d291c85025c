//! What the record's fields hold, each read only as what it should be: text is fit for a terminal, a path or a name is a plain one. PURE.

use super::printable::printable;
use crate::failure::{Failure, Outcome};
use core::fmt;
use core::net::IpAddr;
use core::ops::Deref;
use jiff::Timestamp;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::Path;

/// The longest path that a system takes.
const LONGEST_PATH: usize = 4096;

/// A type of text: `$read` makes of what stands in a file what is believed of it, if anything, and `$rule` holds of what ipjob writes.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $read:expr, $rule:tt) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub struct $name(String);

        impl $name {
            /// One that ipjob itself has made.
            #[must_use]
            pub fn ours(text: impl Into<String>) -> Self {
                Self(text.into())
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let read: fn(String) -> Option<String> = $read;
                let text = String::deserialize(deserializer)?;
                read(text).map(Self).ok_or_else(no_good)
            }
        }

        #[cfg(test)]
        rule!($name, $rule);
    };
}

/// What ipjob writes, for the schema.
#[cfg(test)]
macro_rules! rule {
    ($name:ident, {$key:literal: $value:literal}) => {
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", $key: $value})
            }
        }
    };
}

fn no_good<E: Error>() -> E {
    E::custom("no good")
}

/// A word of these characters that is not too long.
fn word(text: String, longest: usize, fits: impl Fn(char) -> bool) -> Option<String> {
    let good = !text.is_empty() && text.len() <= longest && text.chars().all(fits);
    good.then_some(text)
}

text!(
    /// Text, fit for a terminal where it was read.
    Text,
    |text| Some(printable(&text)),
    {"minLength": 1}
);

text!(
    /// The number of a Slurm job.
    JobNumber,
    |text| word(text, 20, |char| char.is_ascii_digit()),
    {"pattern": "^[0-9]{1,20}$"}
);

text!(
    /// What `scancel` must name for its signal to reach ipjob: `batch`, or the id of a step.
    SignalTo,
    |text| {
        let is_step = text.split_once('.').is_some_and(|(job, step)| {
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits(job) && digits(step)
        });
        (text == BATCH || is_step && text.len() <= 40).then_some(text)
    },
    {"pattern": "^(batch|[0-9]+\\.[0-9]+)$"}
);

/// The job's batch script.
const BATCH: &str = "batch";

impl SignalTo {
    /// The job's batch script.
    #[must_use]
    pub fn batch() -> Self {
        Self::ours(BATCH)
    }

    /// The step, where it is not the batch script.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        Some(&*self.0).filter(|text| *text != BATCH)
    }
}

text!(
    /// Jupyter's token.
    Token,
    |text| word(text, 512, |char| char.is_ascii_alphanumeric()),
    {"pattern": "^[0-9A-Za-z]{8,128}$"}
);

text!(
    /// The id of an incarnation.
    LifeId,
    |text| word(text, 512, |char| char.is_ascii_alphanumeric() || "._-".contains(char)),
    {"pattern": "^.+\\..+\\.[0-9]+\\.[0-9a-f]{16}$"}
);

text!(
    /// The id of a request, as `ipjob restart` chose it.
    RequestId,
    |text| word(text, 64, |char| char.is_ascii_alphanumeric() || char == '-'),
    {"pattern": "^[0-9A-Za-z-]{1,64}$"}
);

text!(
    /// An absolute path without `..`.
    AbsPath,
    |text| {
        let path = word(text, LONGEST_PATH, |char| !char.is_control())?;
        let climbs = path.split('/').any(|part| part == "..");
        (path.starts_with('/') && !climbs).then_some(path)
    },
    {"pattern": "^/"}
);

impl AbsPath {
    /// A path of this job's own; the record is text, so a path that is none cannot stand in it.
    pub fn of(path: &Path) -> Outcome<Self> {
        match path.to_str() {
            Some(text) => Ok(Self::ours(text)),
            None => Err(Failure::usage(format!(
                "{} is not UTF-8, so the record cannot hold it",
                path.display()
            ))
            .hint("name another directory with --ipython-dir or IPYTHONDIR")),
        }
    }
}

text!(
    /// Jupyter's page, of characters that a URL may have.
    PageUrl,
    |text| {
        let url = word(text, LONGEST_PATH, |char| {
            char.is_ascii_alphanumeric() || "-._~:/?#[]@!$&()*+,;=%".contains(char)
        })?;
        path_of(&url).is_some().then_some(url)
    },
    {"pattern": "^http://[^/]+:[0-9]+/.*\\?token=[0-9a-f]{64}$"}
);

impl PageUrl {
    /// The path in it: `/lab`, with the `base_url` before it.
    #[must_use]
    pub fn path(&self) -> &str {
        path_of(&self.0).unwrap_or("/")
    }
}

fn path_of(url: &str) -> Option<&str> {
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))?;
    let path = rest.find('/').and_then(|at| rest.get(at..))?;
    path.split(['?', '#']).next()
}

/// A type that is written as text and read back from it.
macro_rules! parsed {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $rule:tt) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub $inner);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0.to_string())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map(Self).map_err(|_| no_good())
            }
        }

        #[cfg(test)]
        rule!($name, $rule);
    };
}

parsed!(
    /// An address.
    Address,
    IpAddr,
    {"pattern": "^[0-9]{1,3}(\\.[0-9]{1,3}){3}$"}
);

parsed!(
    /// A moment, as exact as the record tells it: `2026-11-22T14:27:15Z`.
    Time,
    Timestamp,
    {"pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"}
);

impl Time {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let seconds = Timestamp::now().as_second();
        Self(Timestamp::from_second(seconds).unwrap_or_default())
    }
}

/// Seconds since ipjob's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize)]
pub struct Seconds(f64);

impl Seconds {
    /// As exact as the record tells them.
    #[must_use]
    pub fn new(seconds: f64) -> Self {
        Self((seconds * 1000.0).round() / 1000.0)
    }

    /// As a number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        (seconds >= 0.0)
            .then_some(Self(seconds))
            .ok_or_else(no_good)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Seconds {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Seconds".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "number", "minimum": 0})
    }
}
