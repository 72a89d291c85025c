//! Where the record is written, and how.

use crate::failure::{Failure, Outcome};
use crate::here::os::files;
use crate::here::os::secure_path::{self, Fault};
use crate::plan::Plan;
use crate::record::{Record, Time};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// After so long a file that is being written beside the second record is nobody's any more.
const ABANDONED: Duration = Duration::from_secs(60);

/// What came of a write: else the first place that failed, and why.
pub type Written = Result<(), (PathBuf, Fault)>;

/// Where the record is written.
#[derive(Debug)]
pub struct Writer {
    paths: Vec<PathBuf>,
}

impl Writer {
    /// Writes to the profile's record and, where asked for, to a second place.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let mut paths = vec![plan.profile.record()];
        paths.extend(plan.settings.record.clone());
        Self { paths }
    }

    /// The first write, which tells whether the places can be written at all.
    pub fn first(&self, record: &mut Record, ours: impl Fn() -> bool) -> Outcome<()> {
        // A killed ipjob may have left a token there, under a name that nobody looks for.
        for directory in self.paths.iter().skip(1).filter_map(|path| path.parent()) {
            files::remove_temporaries(directory, ABANDONED);
        }
        self.write(record, ours).map_err(|(path, fault)| {
            let usual = || "check that its directory exists, is yours and is not full; --record sets the second path".to_owned();
            Failure::missing(format!("the record {} cannot be written", path.display()))
                .hint(fault.hint().unwrap_or_else(usual))
                .because(&fault)
        })
    }

    /// The last write, which must succeed where there is a record that is `ours`: a full disk, a closed directory, or one that others can
    /// change by now, must not keep secrets.
    pub fn last(&self, record: &mut Record, ours: impl Fn() -> bool) -> Written {
        let life = record.incarnation.id.clone();
        let is_it = |text: &str| {
            Record::of_profile(text.as_bytes()).is_some_and(|there| there.incarnation.id == life)
        };
        self.write_by(record, |path, text| match safe(path) {
            Ok(()) => match files::replace_if(path, text, &ours) {
                Err(_) if ours() => Ok(files::overwrite(path, text)?),
                other => Ok(other.map(drop)?),
            },
            Err(fault) if ours() => files::overwrite_own(path, text, is_it).map_err(|_| fault),
            Err(fault) => Err(fault),
        })
    }

    /// Replaces every copy as a whole, as long as the profile is `ours`; a place that fails does not keep the others from being
    /// written.
    pub fn write(&self, record: &mut Record, ours: impl Fn() -> bool) -> Written {
        self.write_by(record, |path, text| {
            safe(path)?;
            Ok(files::replace_if(path, text, &ours).map(drop)?)
        })
    }

    fn write_by(
        &self,
        record: &mut Record,
        put: impl Fn(&Path, &[u8]) -> Result<(), Fault>,
    ) -> Written {
        record.updated = Time::now().into();
        let mut text = serde_json::to_vec_pretty(record)
            .map_err(|error| (PathBuf::from("record"), io::Error::other(error).into()))?;
        text.push(b'\n');
        let mut first_error = Ok(());
        for path in &self.paths {
            if let Err(fault) = put(path, &text) {
                first_error = first_error.and(Err((path.clone(), fault)));
            }
        }
        first_error
    }
}

/// Whether a record's place is ours alone. Who can rename there can put a record of theirs in its place, whose server programs then
/// believe.
fn safe(path: &Path) -> Result<(), Fault> {
    path.parent().map_or(Ok(()), secure_path::check)
}
