//! Fields of a record or a pointer, each only as what it should be. PURE.

use super::Request;
use crate::here::os::text::printable;
use crate::plan::profile::ProfileName;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// The longest path that a system takes.
const LONGEST_PATH: usize = 4096;

/// Fields of a JSON value, and which of them were no good.
pub struct Fields<'a> {
    value: &'a Value,
    /// The names of those that were no good.
    pub faults: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The fields of this value.
    pub fn of(value: &'a Value) -> Self {
        Self {
            value,
            faults: Vec::new(),
        }
    }

    /// A field by its JSON pointer, as `read` takes it; none where it is missing, null or no good.
    pub fn get<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let found = self.value.pointer(name).filter(|value| !value.is_null())?;
        let read = read(found);
        if read.is_none() {
            self.faults.push(name);
        }
        read
    }
}

/// Text, fit for a terminal.
pub fn text(value: &Value) -> Option<String> {
    value.as_str().map(printable)
}

/// A list of such texts.
pub fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(text).collect()
}

/// Texts, each by its name; what is null is left out.
pub fn named(value: &Value) -> Option<BTreeMap<String, String>> {
    let all = value.as_object()?.iter();
    all.filter(|(_, value)| !value.is_null())
        .map(|(name, value)| Some((printable(name), text(value)?)))
        .collect()
}

/// How often something happened, by its name.
pub fn counts(value: &Value) -> Option<BTreeMap<String, u32>> {
    let count = |(name, value): (&String, &Value)| Some((printable(name), number(value)?));
    value.as_object()?.iter().map(count).collect()
}

/// A state of a record.
pub fn state(value: &Value) -> Option<String> {
    const STATES: [&str; 5] = ["starting", "ready", "degraded", "stopping", "ended"];
    value
        .as_str()
        .filter(|word| STATES.contains(word))
        .map(str::to_owned)
}

/// A whole number of this type.
pub fn number<T: TryFrom<u64>>(value: &Value) -> Option<T> {
    T::try_from(value.as_u64()?).ok()
}

/// A moment.
pub fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// A request and what has become of it.
pub fn request(value: &Value) -> Option<Request> {
    let plain = |char: char| char.is_ascii_alphanumeric() || char == '-';
    let state = value.get("state")?.as_str()?;
    let known = ["running", "done", "failed"].contains(&state);
    Some(Request {
        id: word(value.get("id")?, 64, plain)?,
        state: Some(state.to_owned()).filter(|_| known)?,
        text: value.get("text").and_then(text).unwrap_or_default(),
    })
}

/// A job's course: seconds since its start, and what happened.
pub fn timeline(value: &Value) -> Option<Vec<(f64, String)>> {
    let moment = |value: &Value| {
        let at = value.get("at")?.as_f64().filter(|at| *at >= 0.0)?;
        Some((at, text(value.get("event")?)?))
    };
    value.as_array()?.iter().map(moment).collect()
}

/// A word of these characters that is not too long.
fn word(value: &Value, longest: usize, fits: impl Fn(char) -> bool) -> Option<String> {
    let word = value.as_str()?;
    let good = !word.is_empty() && word.len() <= longest && word.chars().all(fits);
    good.then(|| word.to_owned())
}

/// The number of a Slurm job.
pub fn job_id(value: &Value) -> Option<String> {
    word(value, 20, |char| char.is_ascii_digit())
}

/// `batch`, or the id of a step.
pub fn signal_to(value: &Value) -> Option<String> {
    if value == "batch" {
        return Some("batch".to_owned());
    }
    let step = word(value, 40, |char| char.is_ascii_digit() || char == '.')?;
    let (job, number) = step.split_once('.')?;
    (!job.is_empty() && !number.is_empty() && !number.contains('.')).then_some(step)
}

/// A token: letters and digits.
pub fn token(value: &Value) -> Option<String> {
    word(value, 512, |char| char.is_ascii_alphanumeric())
}

/// The id of an incarnation.
pub fn life(value: &Value) -> Option<String> {
    word(value, 512, |char| {
        char.is_ascii_alphanumeric() || "._-".contains(char)
    })
}

/// A profile's name.
pub fn name(value: &Value) -> Option<ProfileName> {
    ProfileName::recorded(value.as_str()?)
}

/// An absolute path without `..`.
pub fn path(value: &Value) -> Option<String> {
    let path = word(value, LONGEST_PATH, |char| !char.is_control())?;
    let climbs = path.split('/').any(|part| part == "..");
    (path.starts_with('/') && !climbs).then_some(path)
}

/// The path of a URL, of characters that a URL may have.
pub fn page(value: &Value) -> Option<String> {
    let url = word(value, LONGEST_PATH, |char| {
        char.is_ascii_alphanumeric() || "-._~:/?#[]@!$&()*+,;=%".contains(char)
    })?;
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))?;
    let path = rest.find('/').and_then(|at| rest.get(at..))?;
    let path = path.split(['?', '#']).next()?;
    Some(path.to_owned())
}
