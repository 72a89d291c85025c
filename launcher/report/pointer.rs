//! Leaves the pointer, which tells where a job's record lies.
//!
//! docs/design/record.md explains the design.

use crate::here::os::secure_path::{self, Fault};
use crate::here::os::{files, state};
use crate::plan::Plan;
use crate::record::Pointer;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// After so long a file that is being written there is nobody's any more.
const ABANDONED: Duration = Duration::from_secs(60);

/// Writes the pointer of a job, in the place of one that an earlier life of it left; tells where.
pub fn write(plan: &Plan) -> Result<PathBuf, Fault> {
    let directory = state::directory()
        .ok_or_else(|| io::Error::other("neither XDG_STATE_HOME nor HOME names a directory"))?;
    secure_path::make_whole(&directory)?;
    files::private_directory(&directory)?;
    files::remove_temporaries(&directory, ABANDONED);
    let pointer = Pointer::new(plan).map_err(io::Error::other)?;
    let mut text = serde_json::to_vec_pretty(&pointer).map_err(io::Error::other)?;
    text.push(b'\n');
    let path = directory.join(pointer.file_name());
    files::replace(&path, &text)?;
    Ok(path)
}
