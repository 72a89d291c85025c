//! Whether others can change what a path leads to, for every place that ipjob believes or hands to programs: like sshd's `StrictModes`,
//! which looks at one file below the home directory, but for any path, so that sticky directories and links count too.
//!
//! Each directory on the way belongs to the user or to root, and nobody else can write in it; in one that is sticky others can, but
//! what is ours there stays. A link counts where only we or root can have put it. What was found in the first directory can then be
//! replaced by nobody else, so what is found through it neither, and so on: a path that was looked at once can be used by its name,
//! also by a program that is started later.
//!
//! Who may write above the user's home directory, the system's administrators have decided for all that the user has: for what lies
//! inside the home directory that is not judged, unless every user can write there.
//!
//! docs/design/paths.md explains the design.

mod fault;
mod private_group;

pub use fault::{Fault, Open, Unclosed};

use fault::Way;
use nix::libc::ELOOP;
use std::env;
use std::ffi::OsStr;
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

/// Whether a directory is ours alone, with all above it, and leads nowhere else.
pub fn own(dir: &Path) -> Result<(), Fault> {
    check_whole(dir)?;
    refuse_others(dir, &fs::metadata(dir)?, 0o022)
}

/// What lets every user put files into this directory, sticky or not. One that cannot be looked at is told of by who uses it.
#[must_use]
pub fn open_to_all(dir: &Path) -> Option<Fault> {
    let found = fs::metadata(dir).ok()?;
    let way = match found.mode() & 0o1002 {
        0o1002 => Way::Sticky,
        0o0002 => Way::Everybody,
        _ => return None,
    };
    Some(Fault::Open(open(dir, &found, way)))
}

/// As [`check_whole`]; what is missing of it is made, 0700 whatever the umask is.
pub fn make_whole(dir: &Path) -> Result<(), Fault> {
    walk(dir, Last::Whole, true)
}

fn walk(dir: &Path, last: Last, make: bool) -> Result<(), Fault> {
    walk_from(dir, last, make, env::var_os("HOME").as_deref())
}

/// The same for a user of this home directory.
fn walk_from(dir: &Path, last: Last, make: bool, named: Option<&OsStr>) -> Result<(), Fault> {
    let us = Us::now();
    let mut home = None;
    let mut doubt = None;
    let end = follow(dir, make, |at, found, link| {
        if let Some(open) = us.fault(at, found, link) {
            let home = home.get_or_insert_with(|| Home::of(&us, named));
            if !home.is_below(&us, at, found) {
                return Err(Fault::Open(open));
            }
            doubt.get_or_insert(open);
        } else if home.as_ref().is_some_and(|home| home.is_at(at)) {
            doubt = None;
        }
        Ok(doubt.is_none())
    });
    if let Some(open) = doubt {
        return Err(Fault::Open(open));
    }
    let (at, found) = end?;
    match us.way_into(&at, &found) {
        Some(_) if last == Last::Whole => Err(Fault::Open(open(&at, &found, Way::Sticky))),
        _ => Ok(()),
    }
}

/// Goes a way as the kernel does and returns where it ends. `see` is shown each directory where the way comes through, and, before it
/// is followed, each link with the directory that it lies in. It says whether something may be made in that directory.
fn follow(
    dir: &Path,
    make: bool,
    mut see: impl FnMut(&Path, &Metadata, Option<(&Path, &Metadata)>) -> Result<bool, Fault>,
) -> Result<(PathBuf, Metadata), Fault> {
    let dir = std::path::absolute(dir)?;
    let mut rest = reversed(&dir);
    let mut at = PathBuf::from("/");
    let mut found = fs::metadata(&at)?;
    let mut may_make = see(&at, &found, None)?;
    let mut links = 0;
    while let Some(part) = rest.pop() {
        if part == Path::new("..") {
            // No link is in `at`, so that this is the directory above.
            at.pop();
            found = fs::metadata(&at)?;
            may_make = see(&at, &found, None)?;
            continue;
        }
        let next = at.join(&part);
        let entry = match fs::symlink_metadata(&next) {
            Err(error) if make && may_make && error.kind() == io::ErrorKind::NotFound => {
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
            see(&at, &found, Some((&next, &entry)))?;
            let target = fs::read_link(&next)?;
            if !next.exists() {
                return Err(Fault::Dangling(next, target));
            }
            if target.is_absolute() {
                at = PathBuf::from("/");
                found = fs::metadata(&at)?;
                may_make = see(&at, &found, None)?;
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
        may_make = see(&next, &found, None)?;
        at = next;
    }
    Ok((at, found))
}

/// The user's home directory, and the directories on the way to it.
#[derive(Default)]
struct Home {
    at: PathBuf,
    above: Vec<PathBuf>,
}

impl Home {
    /// That of this name, if it is the user's own and nobody else can write in it; else none, which is above nothing.
    fn of(us: &Us, named: Option<&OsStr>) -> Self {
        let mut above = Vec::new();
        let ends = named
            .filter(|home| Path::new(home).is_absolute())
            .map(|home| {
                follow(Path::new(&home), false, |at, _, _| {
                    above.push(at.to_owned());
                    Ok(false)
                })
            });
        match ends {
            Some(Ok((at, found)))
                if found.uid() == us.uid && us.way_into(&at, &found).is_none() =>
            {
                Self { at, above }
            }
            _ => Self::default(),
        }
    }

    fn is_at(&self, at: &Path) -> bool {
        self.at == at
    }

    /// Whether it lies below this directory, and whoever can write there is one whom the administrators chose. In a sticky one, which
    /// has no fault, a link of somebody else's is nobody's choice.
    fn is_below(&self, us: &Us, at: &Path, found: &Metadata) -> bool {
        let is_chosen = found.mode() & 0o002 == 0 && us.fault(at, found, None).is_some();
        is_chosen && self.above.iter().any(|above| above == at)
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

fn open(at: &Path, found: &Metadata, way: Way) -> Open {
    Open {
        at: at.to_owned(),
        uid: found.uid(),
        gid: found.gid(),
        mode: found.mode() & 0o7777,
        way,
    }
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
    Err(Fault::Open(open(at, found, way)))
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

    /// Why what is ours in this directory may not stay, or a link that lies in it may be somebody else's.
    fn fault(&self, at: &Path, found: &Metadata, link: Option<(&Path, &Metadata)>) -> Option<Open> {
        let way = self.way_into(at, found);
        if let Some((link, entry)) = link {
            let is_ours = self.trusts(entry.uid()) || way.is_none();
            return (!is_ours).then(|| open(link, entry, Way::Link));
        }
        if !self.trusts(found.uid()) {
            return Some(open(at, found, Way::Owner));
        }
        way.filter(|_| found.mode() & 0o1000 == 0)
            .map(|way| open(at, found, way))
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

    /// Whether the group is root's or the user's alone, and nobody else is let in by an access list, whose mask these bits of the
    /// mode then are. The group that the process has at the moment (newgrp) is asked first because that costs nothing.
    fn is_own_group(&self, at: &Path, found: &Metadata) -> bool {
        let gid = found.gid();
        let has_list =
            || rustix::fs::getxattr(at, c"system.posix_acl_access", &mut [0_u8; 0]).is_ok();
        let is_own = || {
            gid == 0
                || (gid == self.gid && gid == self.uid)
                || private_group::of(self.uid) == Some(gid)
        };
        !has_list() && is_own()
    }
}

/// Whether a user namespace has every user of the machine, as the first one has.
fn maps_all(map: &str) -> bool {
    map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A group that nobody is in.
    const FOREIGN: u32 = 4242;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
    }

    #[test]
    fn each_directory_on_the_way_counts_and_a_sticky_one_is_a_way_but_no_place() {
        let place = tempfile::tempdir().expect("a directory");
        let above = place.path().join("above");
        let dir = above.join("dir");
        make_whole(&dir).expect("all is ours");
        assert_eq!(fs::metadata(&above).expect("made").mode() & 0o777, 0o700);
        for (mode, way, place) in [
            (0o755, true, true),
            (0o1777, true, false),
            (0o777, false, false),
            (0o757, false, false),
        ] {
            chmod(&above, mode);
            assert_eq!(check_whole(&dir).is_ok(), way, "{mode:o}");
            assert_eq!(check(&above).is_ok(), way, "{mode:o}");
            assert_eq!(check_whole(&above).is_ok(), place, "{mode:o}");
        }
        let told = check(&dir).expect_err("others can write above it");
        let hint = told.hint().expect("it is ours to close");
        assert!(hint.contains(&format!("chmod go-w {}`", above.display())));
        assert!(told.to_string().contains("(mode 0757"), "{told}");
    }

    #[test]
    fn links_are_followed_as_the_kernel_does_and_lead_through_what_is_looked_at() {
        let place = tempfile::tempdir().expect("a directory");
        let path = |name: &str| place.path().join(name);
        make_whole(&path("open/dir")).expect("ours");
        make_whole(&path("own")).expect("ours");
        symlink("../open/dir", path("own/link")).expect("a link");
        symlink(path("own/link"), path("chain")).expect("a link");
        symlink("chain/../..", path("up")).expect("a link");
        symlink("round", path("round")).expect("a link");
        symlink("/nowhere/at/all", path("lost")).expect("a link");
        for name in ["own/link", "chain", "up", "own/./../chain"] {
            check_whole(&path(name)).expect(name);
        }
        chmod(&path("open"), 0o777);
        for name in ["own/link", "chain"] {
            let refused = check(&path(name)).expect_err(name);
            assert!(refused.is_open(), "{refused}");
        }
        check_whole(&path("up")).expect_err("through what is open");
        check_whole(&path("own")).expect("beside it");
        assert!(!check(&path("round")).expect_err("endless").is_open());
        let lost = check(&path("lost")).expect_err("to nowhere").to_string();
        assert!(lost.contains("a link to /nowhere/at/all"), "{lost}");
    }

    #[test]
    fn a_user_namespace_of_one_user_is_known() {
        assert!(maps_all("         0          0 4294967295\n"));
        assert!(!maps_all("      1000       1000          1\n"));
        assert!(!maps_all("0 1000 1\n1 100000 65536\n"));
    }

    #[test]
    fn what_is_above_the_home_directory_is_judged_for_nothing_in_it() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir().expect("a directory");
        let path = |name: &str| place.path().join(name);
        make_whole(&path("group/ada/.ipython")).expect("ours");
        make_whole(&path("group/other")).expect("ours");
        chmod(&path("group"), 0o2770);
        symlink(path("group/ada"), path("home")).expect("a link");
        symlink("../other", path("group/ada/out")).expect("a link");
        std::os::unix::fs::chown(path("group"), None, Some(FOREIGN)).expect("we are root");
        let walk = |dir: &str, home: Option<&str>| {
            let home = home.map(|home| path(home).into_os_string());
            walk_from(&path(dir), Last::Whole, false, home.as_deref())
        };
        for home in ["group/ada", "home"] {
            walk("group/ada/.ipython", Some(home)).expect(home);
            walk("group/ada", Some(home)).expect(home);
            for dir in ["group", "group/other", "group/ada/out"] {
                walk(dir, Some(home)).expect_err(dir);
            }
        }
        let home = path("home").into_os_string();
        walk_from(&path("group/ada/new"), Last::Whole, true, Some(&home)).expect("made");
        let beside = walk_from(&path("group/new"), Last::Whole, true, Some(&home));
        let told = beside.expect_err("beside the home").to_string();
        assert!(told.contains("group 4242 can write in"), "{told}");
        assert!(path("group/ada/new").exists() && !path("group/new").exists());
        walk("group/ada", None).expect_err("no home");
        walk("group/ada", Some("group/other")).expect_err("beside the home");
        // Whoever can write everywhere was not chosen.
        chmod(&path("group"), 0o777);
        walk("group/ada", Some("home")).expect_err("everybody");
        chmod(&path("group"), 0o2770);
        chmod(&path("group/ada"), 0o777);
        walk("group/ada/.ipython", Some("home")).expect_err("the home itself");
    }

    #[test]
    fn the_group_of_root_is_let_in_and_another_is_not() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir().expect("a directory");
        chmod(place.path(), 0o770);
        let us = Us::now();
        for (group, is_own) in [(0, true), (FOREIGN, false)] {
            std::os::unix::fs::chown(place.path(), None, Some(group)).expect("we are root");
            assert_eq!(check_whole(place.path()).is_ok(), is_own, "{group}");
        }
        let found = fs::metadata(place.path()).expect("ours");
        let user = Us {
            uid: FOREIGN,
            gid: FOREIGN,
            ..us
        };
        assert!(user.is_own_group(place.path(), &found), "its own number");
    }
}
