//! The profile directory's place: made where it is missing, and nobody else's to write in. Who can write there can put files, links
//! or a whole profile of their own in the place of ours, with a key that they know.

use crate::failure::{Failure, Outcome};
use crate::here::os::files;
use crate::here::os::secure_path::{self, Fault};
use crate::plan::profile::Profile;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Makes the profile directory where it is missing, and marks it as ours to clear.
pub fn make(profile: &Profile) -> Outcome<()> {
    ipython_dir(&profile.ipython_dir)?;
    let dir = &profile.dir;
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {
            let text = b"ipjob made this directory and may clear it\n";
            return files::private_file(&profile.marker(), text).map_err(|error| {
                // Without its mark the next ipjob would take it for somebody else's.
                let _ = fs::remove_dir(dir);
                unusable(dir, error)
            });
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(unusable(dir, error)),
    }
    own(dir).map_err(|fault| unusable(dir, fault))
}

/// Makes the IPython directory where it is missing, and refuses one in which others can put something: a profile in the place of
/// ours, or the `profile_default` that every kernel runs the startup files of.
pub fn ipython_dir(dir: &Path) -> Outcome<()> {
    secure_path::make_whole(dir).map_err(|fault| {
        let message = if fault.is_open() {
            format!(
                "the IPython directory {} is not safe from others",
                dir.display()
            )
        } else {
            format!("the IPython directory {} cannot be made", dir.display())
        };
        let hint = "choose another with --ipython-dir or IPYTHONDIR";
        let failure = hinted(Failure::missing(message).because(&fault), &fault);
        if fault.is_open() {
            // A home directory in a container is often root's, and open to a group of all.
            failure.hint(format!(
                "{hint}; for a job on this machine alone `export IPYTHONDIR=$(mktemp -d)` makes a private one"
            ))
        } else {
            failure.hint(hint)
        }
    })
}

/// Whether a profile directory is ours alone, with all above it, and leads nowhere else.
pub fn own(dir: &Path) -> Result<(), Fault> {
    secure_path::check_whole(dir)?;
    secure_path::refuse_others(dir, &fs::metadata(dir)?, 0o022)
}

/// A failure with what to do about the fault that caused it.
fn hinted(failure: Failure, fault: &Fault) -> Failure {
    match fault.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// A failure of the profile directory, or of what lies in it.
pub fn unusable(path: &Path, fault: impl Into<Fault>) -> Failure {
    let fault = fault.into();
    let failure = Failure::missing(format!(
        "the profile directory cannot be used: {}",
        path.display()
    ))
    .because(&fault);
    hinted(failure, &fault)
        .hint("choose another profile with --profile, or another place with --ipython-dir")
}
