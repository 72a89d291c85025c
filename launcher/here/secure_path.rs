//! Whether others can change what a path leads to: sshd's rule for `authorized_keys` (`StrictModes`), for every place that ipjob
//! believes or hands to programs.
//!
//! Each directory on the way belongs to the user or to root, and nobody else can write in it; in one that is sticky others can, but
//! what is ours there stays. A link counts where only we or root can have put it. What was found in the first directory can then be
//! exchanged by nobody else, so what is found through it neither, and so on: a path that was looked at once can be used by its name,
//! also by a program that is started later.

mod fault;

pub use fault::{Fault, Open};

use fault::Way;
use nix::libc::ELOOP;
use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// As many links are followed as by the kernel.
const MOST_LINKS: u32 = 40;

/// What the last directory of a path has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// What is ours in it must stay ours: it may be sticky.
    Holds,
    /// Every name in it must be ours or root's to give.
    Whole,
}

/// Whether what is ours in this directory stays ours, under its name.
pub fn check(dir: &Path) -> Result<(), Fault> {
    walk(dir, Last::Holds, false)
}

/// Whether nobody else can put anything into this directory.
pub fn check_whole(dir: &Path) -> Result<(), Fault> {
    walk(dir, Last::Whole, false)
}

/// As [`check_whole`]; what is missing of it is made, 0700 whatever the umask is.
pub fn make_whole(dir: &Path) -> Result<(), Fault> {
    walk(dir, Last::Whole, true)
}

fn walk(dir: &Path, last: Last, make: bool) -> Result<(), Fault> {
    let us = Us::now();
    let dir = std::path::absolute(dir)?;
    let mut rest = reversed(&dir);
    let mut at = PathBuf::from("/");
    let mut found = fs::metadata(&at)?;
    us.check(&at, &found)?;
    let mut links = 0;
    while let Some(part) = rest.pop() {
        if part == Path::new("..") {
            // No link is in `at`, so that this is the directory above, which was looked at.
            at.pop();
            found = fs::metadata(&at)?;
            continue;
        }
        let next = at.join(&part);
        let entry = match fs::symlink_metadata(&next) {
            Err(error) if make && error.kind() == io::ErrorKind::NotFound => {
                match DirBuilder::new().mode(0o700).create(&next) {
                    // Somebody else was quicker: whose it is, is looked at as ever.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    other => other?,
                }
                fs::symlink_metadata(&next)?
            }
            entry => entry?,
        };
        if entry.is_symlink() {
            links += 1;
            if links > MOST_LINKS {
                return Err(io::Error::from_raw_os_error(ELOOP).into());
            }
            if !us.trusts(entry.uid()) && us.way_into(&at, &found).is_some() {
                return Err(open(&next, &entry, Way::Link));
            }
            let target = fs::read_link(&next)?;
            if !next.exists() {
                return Err(Fault::Dangling(next, target));
            }
            if target.is_absolute() {
                at = PathBuf::from("/");
                found = fs::metadata(&at)?;
            }
            rest.extend(reversed(&target));
            continue;
        }
        if !entry.is_dir() {
            let told = format!("{} is not a directory", next.display());
            return Err(io::Error::other(told).into());
        }
        // An automounter mounts what is entered, not what is only looked at: before that the directory is its own.
        found = fs::metadata(next.join("."))?;
        us.check(&next, &found)?;
        at = next;
    }
    match us.way_into(&at, &found) {
        Some(_) if last == Last::Whole => Err(open(&at, &found, Way::Sticky)),
        _ => Ok(()),
    }
}

/// The parts of a path, the first one last.
fn reversed(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().rev();
    parts
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| PathBuf::from(part.as_os_str()))
        .collect()
}

fn open(at: &Path, found: &Metadata, way: Way) -> Fault {
    Fault::Open(Open {
        at: at.to_owned(),
        uid: found.uid(),
        gid: found.gid(),
        mode: found.mode() & 0o7777,
        way,
    })
}

/// Refuses what is another user's, or has one of these permissions, which let others in.
pub fn refuse_others(at: &Path, found: &Metadata, permissions: u32) -> Result<(), Fault> {
    let way = if found.uid() != nix::unistd::geteuid().as_raw() {
        Way::Owner
    } else if found.mode() & permissions & 0o007 != 0 {
        Way::Everybody
    } else if found.mode() & permissions != 0 {
        Way::Group
    } else {
        return Ok(());
    };
    Err(open(at, found, way))
}

/// Whose directories count.
struct Us {
    uid: u32,
    gid: u32,
    /// The number that this user namespace shows for all users that it does not have: root of the host is one of them.
    unmapped: Option<u32>,
}

impl Us {
    fn now() -> Self {
        let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
        Self {
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            unmapped: fs::read_to_string("/proc/self/uid_map")
                .ok()
                .filter(|map| !maps_all(map))
                .and_then(|_| number("/proc/sys/kernel/overflowuid")),
        }
    }

    fn trusts(&self, uid: u32) -> bool {
        [0, self.uid].contains(&uid) || self.unmapped == Some(uid)
    }

    /// Whether what is ours in this directory stays.
    fn check(&self, at: &Path, found: &Metadata) -> Result<(), Fault> {
        if !self.trusts(found.uid()) {
            return Err(open(at, found, Way::Owner));
        }
        match self.way_into(at, found) {
            Some(way) if found.mode() & 0o1000 == 0 => Err(open(at, found, way)),
            _ => Ok(()),
        }
    }

    /// How others can write in it.
    fn way_into(&self, at: &Path, found: &Metadata) -> Option<Way> {
        if found.mode() & 0o002 != 0 {
            Some(Way::Everybody)
        } else if found.mode() & 0o020 != 0 && !self.is_own_group(at, found) {
            Some(Way::Group)
        } else {
            None
        }
    }

    /// Whether the group is the user's alone, by the custom that gives each user a group of the same number, and nobody else is
    /// let in by an access list, whose mask these bits of the mode then are.
    fn is_own_group(&self, at: &Path, found: &Metadata) -> bool {
        let own = found.gid() == self.gid && self.gid == self.uid;
        own && rustix::fs::getxattr(at, c"system.posix_acl_access", &mut [0_u8; 0]).is_err()
    }
}

/// Whether a user namespace has every user of the machine, as the first one has.
fn maps_all(map: &str) -> bool {
    map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests;
