//! The directory for the sockets of Jupyter's kernels, which is Jupyter's runtime directory. On a TCP port of the loopback address every user
//! of the node can connect to a kernel and hear each cell's code and output; a socket that is a file in a directory of ours, nobody can reach.
//!
//! `jupyter_client` names such a socket `RUNTIME_DIR/kernel-UUID-ipc-N`, and no name of a socket may have more than 107 bytes, so that the
//! directory cannot lie in the profile. It lies where temporary files go, made for this one life under a random name. That name is short for
//! kernels of xeus, which take names of 25 bytes at the most (`jupyter/closed.py` does the rest). `XDG_RUNTIME_DIR` is no
//! place for it: it goes with the user's last login session, and a job may outlive that.
//!
//! An advisory lock on it tells that its ipjob lives, which also keeps systemd-tmpfiles off. The next ipjob on this node removes what a
//! killed one left. Where TMPDIR lies on a file server whose locks other nodes do not see (localflock, nolock), the lock is free for them:
//! so the directory carries the host and its boot id, and is left alone by all others.
//!
//! docs/design/jupyter.md explains the design.

use crate::failure::{Failure, Outcome};
use crate::here::os::files::NO_LINK;
use crate::here::os::{files, process, state};
use crate::here::site::identity;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How its name begins; letters and digits of chance follow.
const PREFIX: &str = "ipjob";

/// How many of them: 30 bits.
const RANDOM: usize = 6;

/// Those that are used, as many as five bits can tell apart.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The file in it that tells where its ipjob runs: the host's name and its boot id, a line each.
const HOST_FILE: &str = ".ipjob-host";

/// What a host file may have at the most, in bytes.
const LONGEST_HOST: u64 = 1024;

/// What Jupyter and its kernels put behind it at the most.
const LONGEST_SOCKET: &str = "/kernel-01234567-89ab-cdef-0123-456789abcdef-ipc-99";

/// The longest name of a socket in bytes: `sun_path` has 108, and the last is a zero.
const SOCKET_NAME: usize = 107;

/// How old one of another ipjob must be to be taken for left behind: that ipjob locks it only after it has made it.
const SETTLED: Duration = Duration::from_secs(60);

/// The path of a directory to be made, where one can be; `None` where no place is private, writable and short enough.
pub fn choose() -> Outcome<Option<PathBuf>> {
    let name = name(identity::random()?);
    let place = state::temporary()
        .filter_map(|place| fs::canonicalize(place).ok())
        .find(|place| fits(place, &name) && takes_sockets(place));
    Ok(place.map(|place| place.join(name)))
}

fn name(random: [u8; RANDOM]) -> String {
    let letters = random.map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    letters.iter().fold(PREFIX.to_owned(), |mut name, letter| {
        name.push(*letter);
        name
    })
}

fn fits(place: &Path, name: &str) -> bool {
    let length = place.as_os_str().len() + 1 + name.len() + LONGEST_SOCKET.len();
    // Paths go to Jupyter as text.
    length <= SOCKET_NAME && place.to_str().is_some()
}

/// Tried: some file systems take no sockets, and a full one takes nothing.
fn takes_sockets(place: &Path) -> bool {
    // 0700 from the first moment, and removed when dropped.
    tempfile::Builder::new()
        .prefix(files::TEMPORARY_PREFIX)
        .tempdir_in(place)
        .is_ok_and(|dir| UnixListener::bind(dir.path().join("s")).is_ok())
}

/// Makes the directory, 0700, and removes what killed ipjobs of ours left beside it. It is known to be in use while the result lives.
pub fn make(path: &Path) -> Outcome<File> {
    if let Some(place) = path.parent() {
        remove_abandoned(place);
    }
    let made = DirBuilder::new()
        .mode(0o700)
        .create(path)
        .and_then(|()| files::private_file(&path.join(HOST_FILE), here().as_bytes()))
        .and_then(|()| open(path));
    let directory = made.map_err(|error| {
        Failure::missing(format!(
            "no directory for the sockets of Jupyter's kernels can be made: {}",
            path.display()
        ))
        .because(error)
        .hint("set TMPDIR to a directory of this node that can be written")
    })?;
    // Without a working lock it is never taken for abandoned.
    let _ = directory.try_lock();
    Ok(directory)
}

fn here() -> String {
    format!("{}\n{}\n", identity::host(), process::boot_id())
}

/// Whether an ipjob that put this into its directory can be known by the lock: it ran here since the last boot, so that its lock is seen,
/// or before, so that it is dead.
fn is_of_here(told: &str, here: &str) -> bool {
    let (Some((host, boot)), Some((own_host, own_boot))) = (
        told.trim_end().split_once('\n'),
        here.trim_end().split_once('\n'),
    ) else {
        return false;
    };
    boot == own_boot || host == own_host
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(NO_LINK)
        .open(path)
}

/// Removes the directory that a link in a profile leads to, unless an ipjob uses it.
pub fn remove_behind(link: &Path) {
    if let Ok(target) = fs::read_link(link) {
        remove_unused(&target, Duration::ZERO);
    }
}

fn remove_abandoned(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        remove_unused(&entry.path(), SETTLED);
    }
}

/// Removes such a directory of ours that has stood that long, if no ipjob uses it.
fn remove_unused(path: &Path, settled: Duration) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_named = name.strip_prefix(PREFIX).is_some_and(|random| {
        random.len() == RANDOM && random.bytes().all(|letter| LETTERS.contains(&letter))
    });
    if !is_named {
        return;
    }
    let own = nix::unistd::geteuid().as_raw();
    let is_ours = fs::symlink_metadata(path).is_ok_and(|found| {
        let age = found.modified().map(|time| time.elapsed());
        let is_settled = settled.is_zero() || matches!(age, Ok(Ok(age)) if age >= settled);
        found.is_dir() && found.uid() == own && found.mode() & 0o777 == 0o700 && is_settled
    });
    let is_seen = || {
        files::read_private(&path.join(HOST_FILE), LONGEST_HOST)
            .is_some_and(|told| is_of_here(&told, &here()))
    };
    if is_ours && is_seen() && open(path).is_ok_and(|directory| directory.try_lock().is_ok()) {
        let _ = files::remove_tree(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_longest_socket_fits_where_a_directory_is_chosen() {
        let name = name([0, 31, 32, 99, 200, 255]);
        assert_eq!(name, "ipjoba7adi7");
        for (length, fits_there) in [(43, true), (44, true), (45, false)] {
            let place = format!("/{}", "x".repeat(length - 1));
            assert_eq!(fits(Path::new(&place), &name), fits_there, "{length}");
            let socket = format!("{place}/{name}{LONGEST_SOCKET}");
            assert_eq!(socket.len() <= SOCKET_NAME, fits_there);
        }
        let chosen = choose().expect("random numbers").expect("/tmp fits");
        let socket = format!("{}{LONGEST_SOCKET}", chosen.display());
        let _lock = make(&chosen).expect("made");
        drop(UnixListener::bind(socket).expect("bound"));
        files::remove_tree(&chosen).expect("removed");
    }

    #[test]
    fn what_a_killed_ipjob_left_goes_and_what_is_used_or_foreign_stays() {
        let place = tempfile::tempdir().expect("a directory");
        let named = |name: &str| place.path().join(name);
        let used = named("ipjobaaaaaa");
        let lock = make(&used).expect("made");
        let left = named("ipjobaaaaab");
        drop(make(&left).expect("made"));
        fs::write(left.join("kernel-1.json"), "{}").expect("written");
        let foreign = named("ipjob-notes");
        fs::create_dir(&foreign).expect("made");
        let link = named("ipjobaaaaac");
        symlink(&foreign, &link).expect("linked");
        remove_abandoned(place.path());
        assert!(left.exists(), "it may be of an ipjob that begins");
        for path in [&used, &left, &foreign, &link] {
            remove_unused(path, Duration::ZERO);
        }
        assert!(used.exists() && foreign.exists() && !left.exists());
        drop(lock);
        // A free lock says nothing of an ipjob on another node, nor of one that has not yet said where it runs.
        let host = used.join(HOST_FILE);
        for told in ["elsewhere\nanother boot\n", ""] {
            fs::write(&host, told).expect("written");
            remove_unused(&used, Duration::ZERO);
            assert!(used.exists(), "{told:?}");
        }
        fs::remove_file(&host).expect("removed");
        remove_unused(&used, Duration::ZERO);
        assert!(used.exists(), "it says nothing");
        let told = format!("{}\nan earlier boot\n", identity::host());
        files::private_file(&host, told.as_bytes()).expect("written");
        let pointer = named("jupyter");
        symlink(&used, &pointer).expect("linked");
        remove_behind(&pointer);
        assert!(!used.exists());
    }

    #[test]
    fn a_lock_tells_only_of_this_boot_or_of_an_earlier_one_of_this_host() {
        for (told, is_known) in [
            ("n1\nb1\n", true),
            ("container\nb1\n", true),
            ("n1\nb0\n", true),
            ("n2\nb2\n", false),
            ("n1\n", false),
        ] {
            assert_eq!(is_of_here(told, "n1\nb1\n"), is_known, "{told:?}");
        }
        // A kernel without a boot id tells nothing.
        assert!(!is_of_here("n2\n\n", "n1\n\n"));
    }
}
