//! The profile directory's place: made where it is missing, and nobody else's to write in. Who can write there can put files, links
//! or a whole profile of their own in the place of ours, with a key that they know.

use super::files;
use crate::failure::{Failure, Outcome};
use crate::plan::profile::Profile;
use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

/// Makes the profile directory where it is missing, marks it as ours to clear, and tells what a person should know of its place.
pub fn make(profile: &Profile) -> Outcome<Option<String>> {
    let remark = ipython_dir(&profile.ipython_dir)?;
    let dir = &profile.dir;
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {
            let text = b"ipjob made this directory and may clear it\n";
            return files::private_file(&profile.marker(), text)
                .map(|()| remark)
                .map_err(|error| {
                    // Without its mark the next ipjob would take it for somebody else's.
                    let _ = fs::remove_dir(dir);
                    unusable(dir, &error)
                });
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(unusable(dir, &error)),
    }
    let found = fs::metadata(dir)
        .map_err(|error| unusable(dir, &dangling(dir).unwrap_or_else(|| error.to_string())))?;
    if !found.is_dir() {
        return Err(unusable(dir, &"it is not a directory"));
    }
    files::refuse_others(&found, 0o022).map_err(|error| unusable(dir, &error))?;
    Ok(remark)
}

/// Makes the IPython directory where it is missing, refuses one in which every user can put another profile in our profile's
/// place, and tells of one in which a group can.
fn ipython_dir(dir: &Path) -> Outcome<Option<String>> {
    let fail = |error: io::Error| {
        Failure::missing(format!(
            "the IPython directory {} cannot be made",
            dir.display()
        ))
        .because(dangling(dir).unwrap_or_else(|| error.to_string()))
        .hint("choose another with --ipython-dir or IPYTHONDIR")
    };
    files::private_directories(dir).map_err(fail)?;
    let found = fs::metadata(dir).map_err(fail)?;
    let mode = found.mode() & 0o7777;
    if is_everybodys(&found) {
        return Err(Failure::missing(format!(
            "every user can write in the IPython directory {} (mode {mode:04o}) of uid {}",
            dir.display(),
            found.uid()
        ))
        .hint(closing("o-w", dir))
        .hint("choose another with --ipython-dir or IPYTHONDIR"));
    }
    if mode & 0o1000 != 0 {
        return Ok(None);
    }
    Ok((mode & 0o020 != 0 && !is_private_group(&found)).then(|| {
        format!(
            "group {} can write in the IPython directory {} (mode {mode:04o}) and put another profile in the place of yours: {}",
            found.gid(),
            dir.display(),
            closing("g-w", dir)
        )
    }))
}

/// Whether any user can put something else in the place of what is ours in a directory. In a sticky one (/tmp) only its owner can.
fn is_everybodys(found: &Metadata) -> bool {
    let owner_is_safe = [0, nix::unistd::geteuid().as_raw()].contains(&found.uid());
    let is_sticky = found.mode() & 0o1000 != 0;
    found.mode() & 0o002 != 0 && !(is_sticky && owner_is_safe)
}

/// Whether a profile directory that is found on another node is ours alone, as [`make`] wants it on the first: below a
/// directory of the node's own, such as /tmp, somebody else can make one by the same name.
#[must_use]
pub fn is_ours(dir: &Path) -> bool {
    let place = dir.parent().and_then(|parent| fs::metadata(parent).ok());
    let is_private = fs::metadata(dir).is_ok_and(|found| {
        found.uid() == nix::unistd::geteuid().as_raw() && found.mode() & 0o022 == 0
    });
    is_private && place.is_some_and(|found| !is_everybodys(&found))
}

/// Whether the group is the user's alone, by the custom that gives each user a group of the same number.
fn is_private_group(found: &Metadata) -> bool {
    found.gid() == nix::unistd::geteuid().as_raw() && found.gid() == found.uid()
}

fn closing(change: &str, dir: &Path) -> String {
    format!("`chmod {change} {}` closes it to others", dir.display())
}

/// What a link to nowhere is told as: the error of who follows it ("File exists") misleads.
fn dangling(path: &Path) -> Option<String> {
    let target = fs::read_link(path).ok().filter(|_| !path.exists())?;
    Some(format!(
        "it is a link to {}, which is not there",
        target.display()
    ))
}

/// A failure of the profile directory, or of what lies in it.
pub fn unusable(path: &Path, cause: &dyn std::fmt::Display) -> Failure {
    let failure = Failure::missing(format!(
        "the profile directory cannot be used: {}",
        path.display()
    ))
    .because(cause);
    let text = failure.cause.as_deref().unwrap_or_default();
    if text.contains("others can write") {
        return failure
            .hint(closing("go-w", path))
            .hint("what they may have put there is worth a look; --profile chooses another");
    }
    let hint = if text.contains("os error 28") || text.contains("os error 122") {
        "free some space or raise the quota, or choose another place with --ipython-dir"
    } else {
        "choose another profile with --profile, or another place with --ipython-dir"
    };
    failure.hint(hint)
}
