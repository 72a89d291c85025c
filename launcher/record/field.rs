//! A field of the record, as whoever reads it may find it. PURE.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ops::{Deref, DerefMut};

/// A field that a reader may find missing, null or no good, which all is nothing: earlier versions did not write it, later ones may write more
/// words, and whoever wrote it may mean harm. None of that takes the other fields along. `NULL` is set where ipjob itself writes null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<T, const NULL: bool = false>(Option<T>);

/// A field that is null at times.
pub type OrNull<T> = Field<T, true>;

impl<T, const NULL: bool> Default for Field<T, NULL> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T, const NULL: bool> From<T> for Field<T, NULL> {
    fn from(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T, const NULL: bool> From<Option<T>> for Field<T, NULL> {
    fn from(value: Option<T>) -> Self {
        Self(value)
    }
}

impl<T, const NULL: bool> Deref for Field<T, NULL> {
    type Target = Option<T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T, const NULL: bool> DerefMut for Field<T, NULL> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<T: Serialize, const NULL: bool> Serialize for Field<T, NULL> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Only from a value that is whole already: after a fault nothing else of a stream could be read.
impl<'de, T: Deserialize<'de>, const NULL: bool> Deserialize<'de> for Field<T, NULL> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(T::deserialize(deserializer).ok()))
    }
}

/// Reads a part or a list; one that is no good is as if it were missing.
#[expect(clippy::unnecessary_wraps, reason = "serde calls it")]
pub fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(T::deserialize(deserializer).unwrap_or_default())
}

#[cfg(test)]
impl<T: schemars::JsonSchema, const NULL: bool> schemars::JsonSchema for Field<T, NULL> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        if NULL {
            Option::<T>::json_schema(generator)
        } else {
            T::json_schema(generator)
        }
    }
}
