//! One ipjob per profile: a lock that the kernel drops when its holder dies, whatever killed it; and a later life of the same
//! job, which takes over from one that cannot be asked.
//!
//! docs/design/requeue.md explains the design.

use crate::failure::{About, Failure, Outcome};
use crate::here::os::files::{self, TEMPORARY_PREFIX};
use crate::here::os::process;
use crate::here::profile::record_liveness::Pulse;
use crate::plan::incarnation::Incarnation;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// How long one may have the lock that only looks at it.
const LOOK: Duration = Duration::from_millis(100);

/// The held lock of a profile; dropped, it is free.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    own: String,
    /// Who held it before us and did not say that it ended in order.
    pub dead: Option<Incarnation>,
    /// Whether that one held it still: an earlier life of our job.
    pub taken_over: bool,
}

impl Lock {
    /// Takes the lock, or refuses with the name of who holds it.
    pub fn take(path: &Path, own: &Incarnation) -> Outcome<Self> {
        let fail = |error: io::Error| {
            Failure::missing(format!("the lock {} cannot be written", path.display()))
                .because(error)
                .hint("check that the profile directory is yours, writable and not full")
        };
        let mut looked_at = false;
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(files::NO_LINK)
                .open(path)
                .map_err(fail)?;
            let locked = file.try_lock();
            let before = read(&file);
            match claim(&file, path, own, &locked, before.as_ref()) {
                Ok(Claim::Free) => {}
                Ok(Claim::Stale) => continue,
                Ok(Claim::Succession) => return take_over(path, own, before).map_err(fail),
                Err(_) if !std::mem::replace(&mut looked_at, true) => {
                    // One that only looks has the lock for a moment. Nothing runs yet that could be waited on.
                    thread::sleep(LOOK);
                    continue;
                }
                Err(failure) => return Err(failure),
            }
            let mut lock = Self {
                file,
                path: path.to_owned(),
                own: own.id.clone(),
                dead: before,
                taken_over: false,
            };
            lock.write(own).map_err(fail)?;
            return Ok(lock);
        }
    }

    fn write(&mut self, own: &Incarnation) -> io::Result<()> {
        let text = serde_json::to_vec(own)?;
        // Written over, then cut: on a full disk the name of a dead holder must not be lost to an empty file.
        self.file.rewind()?;
        self.file.write_all(&text)?;
        self.file.set_len(text.len() as u64)
    }

    /// Says that this life ended in order: nothing of it is left to look for.
    pub fn ended(&self) {
        // Without working locks a later life may have written into the very same file.
        if holder(&self.path).is_some_and(|holder| holder.id == self.own) {
            let _ = self.file.set_len(0);
        }
    }
}

/// What a lock file is to an ipjob that wants its profile.
enum Claim {
    /// Nobody has it.
    Free,
    /// An earlier life of its job has it.
    Succession,
    /// A later life has put its own file in the place of this one.
    Stale,
}

/// Whether the profile of this lock can be had, by what came of the try to lock the file and who stands in it; else who has it.
fn claim(
    file: &File,
    path: &Path,
    own: &Incarnation,
    locked: &Result<(), TryLockError>,
    before: Option<&Incarnation>,
) -> Outcome<Claim> {
    let earlier = before.filter(|other| own.succeeds(other));
    match locked {
        Ok(()) if !is_at(file, path) => return Ok(Claim::Stale),
        Ok(()) => {
            // Some file systems are mounted with locks that other hosts do not see (localflock, local_lock).
            let elsewhere = before.filter(|other| {
                earlier.is_none() && other.host != own.host && other.boot != own.boot
            });
            if let Some(other) = elsewhere
                && let Some(pulse) = Pulse::of(path, other)
            {
                return Err(beats(path, other, pulse));
            }
        }
        Err(TryLockError::WouldBlock) => {
            return match earlier {
                Some(_) => Ok(Claim::Succession),
                None => Err(held(path, before, own)),
            };
        }
        // Some parallel file systems are mounted without locks: what stands in the file is all there is.
        Err(TryLockError::Error(_)) => {
            if earlier.is_some() {
                return Ok(Claim::Succession);
            }
            if let Some(other) = before.filter(|other| may_live(other, own)) {
                return Err(held(path, Some(other), own));
            }
        }
    }
    Ok(Claim::Free)
}

/// Whether a profile can be had, as far as a look at its lock tells; nothing is made or changed.
pub fn look(path: &Path, own: &Incarnation) -> Outcome<()> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(files::NO_LINK)
        .open(path);
    // What cannot be opened is told by whoever takes it.
    let Ok(file) = opened else {
        return Ok(());
    };
    // Shared, so that two who look do not take each other for the holder.
    let locked = file.try_lock_shared();
    claim(&file, path, own, &locked, read(&file).as_ref()).map(drop)
}

/// Who stands in the lock file of that name now: every life of ipjob asks it before it touches anything. `None` while it is
/// being written, and after the holder ended in order.
#[must_use]
pub fn holder(path: &Path) -> Option<Incarnation> {
    read(&File::open(path).ok()?)
}

/// What stands in a lock file is garbage at worst, which counts as nothing.
fn read(file: &File) -> Option<Incarnation> {
    let mut text = String::new();
    let _ = file.take(64 * 1024).read_to_string(&mut text);
    serde_json::from_str(&text).ok()
}

/// Whether a file still has that name.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Puts a lock file of our own in the place of one that an earlier life of our job holds: Slurm starts a job anew only after it
/// gave the earlier life up, which may sit on a node that nobody reaches, and whose lock a file server may keep for ever.
fn take_over(path: &Path, own: &Incarnation, before: Option<Incarnation>) -> io::Result<Lock> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .tempfile_in(directory)?;
    // Where locks do not work there is nothing to hold; what stands in the file is what counts then.
    let _ = temporary.as_file().try_lock();
    let mut lock = Lock {
        file: temporary.as_file().try_clone()?,
        path: path.to_owned(),
        own: own.id.clone(),
        dead: before,
        taken_over: true,
    };
    lock.write(own)?;
    files::persist(temporary, path)?;
    // Two later lives at once: the file says which one came last, and the earlier of them must not go on.
    match holder(path) {
        Some(now) if now.id != own.id && now.succeeds(own) => Err(io::Error::other(format!(
            "a newer incarnation, {}, took it at the same moment",
            now.id
        ))),
        _ => Ok(lock),
    }
}

/// Whether the holder that a lock file names may still live: on another host that cannot be seen from here.
fn may_live(other: &Incarnation, own: &Incarnation) -> bool {
    if other.host != own.host {
        return true;
    }
    other.boot == own.boot
        && process::stat(other.pid).is_some_and(|stat| stat.start == other.pid_start)
}

fn beats(path: &Path, other: &Incarnation, pulse: Pulse) -> Failure {
    Failure::missing(format!(
        "another ipjob seems to run in {}: pid {} on {} ({}) wrote its record {} s ago",
        path.parent().unwrap_or(path).display(),
        other.pid,
        other.host,
        other.id,
        pulse.age_s
    ))
    .hint(format!(
        "end that one first ({}), or choose another profile with --profile; if it died, try again in {} s",
        stop(path),
        pulse.rest_s
    ))
    .about(About::InUse)
}

/// What ends the ipjob of this lock's profile.
fn stop(path: &Path) -> String {
    let directory = path.parent().and_then(Path::file_name);
    let directory = directory.unwrap_or_default().to_string_lossy();
    let profile = directory.strip_prefix("profile_").unwrap_or(&directory);
    format!("`ipjob stop {profile}`")
}

fn held(path: &Path, holder: Option<&Incarnation>, own: &Incarnation) -> Failure {
    let profile = path.parent().unwrap_or(path).display();
    match holder {
        Some(other) if other.succeeds(own) => Failure::missing(format!(
            "a newer incarnation of this job has taken over {profile}: {} (pid {} on {})",
            other.id, other.pid, other.host
        ))
        .hint("Slurm requeued this job and gave this node up: nothing needs to be done here"),
        Some(other) => Failure::missing(format!(
            "another ipjob runs in {profile}: pid {} on {} ({})",
            other.pid, other.host, other.id
        ))
        .hint(format!(
            "end that one first ({}, or `kill {}` on {}), or choose another profile with --profile",
            stop(path),
            other.pid,
            other.host
        ))
        .about(About::InUse),
        None => Failure::missing(format!("another ipjob is just starting in {profile}"))
            .hint("choose another profile with --profile")
            .about(About::InUse),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::{SignedDuration, Timestamp};
    use serde_json::json;

    #[test]
    fn a_free_lock_is_not_believed_while_its_holder_elsewhere_writes_its_record() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("ipjob.lock");
        let other = Incarnation {
            boot: "another boot".to_owned(),
            ..life(0)
        };
        let mut own = Incarnation {
            id: "lab.8.0.abcd".to_owned(),
            host: "here".to_owned(),
            ..life(0)
        };
        let record = |state: &str, age_s: i64| {
            let updated = Timestamp::now() - SignedDuration::from_secs(age_s);
            let text = json!({"incarnation": other, "state": state, "updated": updated.to_string(), "refresh_s": 60});
            fs::write(dir.path().join("ipjob.json"), text.to_string()).expect("writable");
            fs::write(&path, json!(other).to_string()).expect("writable");
        };
        record("ready", 100);
        let refused = Lock::take(&path, &own).expect_err("its record is young");
        assert!(refused.message.contains("pid 1 on node0"), "{refused}");
        assert!(refused.hints[0].contains("try again in"), "{refused:?}");
        for (state, age_s) in [("ended", 1), ("ready", 200)] {
            record(state, age_s);
            assert!(Lock::take(&path, &own).is_ok(), "{state} {age_s} s ago");
        }
        // A record of another life says nothing of this one.
        record("ready", 1);
        fs::write(&path, json!(life(3)).to_string()).expect("writable");
        assert!(Lock::take(&path, &own).is_ok());
        // Slurm has ended that life.
        record("ready", 1);
        own.id = "lab.7.1.abcd".to_owned();
        assert!(Lock::take(&path, &own).is_ok(), "a later life");
        // The kernel's own lock is right for every container of one machine.
        record("ready", 1);
        own.id = "lab.8.0.abcd".to_owned();
        own.boot.clone_from(&other.boot);
        assert!(Lock::take(&path, &own).is_ok(), "the same kernel");
    }

    fn life(restart: u32) -> Incarnation {
        Incarnation {
            id: format!("lab.7.{restart}.abcd"),
            host: format!("node{restart}"),
            boot: "boot".to_owned(),
            pid: 1,
            pid_start: 1,
        }
    }

    #[test]
    fn a_later_life_takes_a_held_lock_and_no_other_does() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("ipjob.lock");
        let first = Lock::take(&path, &life(0)).expect("free");
        let again = Lock::take(&path, &life(0)).expect_err("held");
        assert!(again.message.contains("another ipjob runs"), "{again}");
        let second = Lock::take(&path, &life(1)).expect("a later life");
        assert!(second.taken_over);
        assert_eq!(
            second.dead.as_ref().map(|dead| &*dead.id),
            Some("lab.7.0.abcd")
        );
        // The end of the earlier life changes nothing for the later one.
        first.ended();
        drop(first);
        assert_eq!(holder(&path), Some(life(1)));
        let late = Lock::take(&path, &life(0)).expect_err("an earlier life");
        assert!(late.message.contains("a newer incarnation"), "{late}");
        second.ended();
        drop(second);
        assert!(
            Lock::take(&path, &life(0)).is_ok(),
            "a number that Slurm uses again"
        );
    }
}
