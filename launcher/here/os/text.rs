//! Words of other programs, made fit for a terminal: as those of a record are.

pub use crate::record::printable;
