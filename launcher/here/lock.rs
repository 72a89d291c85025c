//! One ipjob per profile: a lock that the kernel drops when its holder dies, whatever killed it.

use crate::failure::{Failure, Outcome};
use crate::here::process;
use crate::plan::incarnation::Incarnation;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The held lock of a profile; dropped, it is free.
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// Who held it before us and did not say that it ended in order.
    pub dead: Option<Incarnation>,
}

impl Lock {
    /// Takes the lock, or refuses with the name of who holds it.
    pub fn take(path: &Path, own: &Incarnation) -> Outcome<Self> {
        let fail = |error: &dyn std::fmt::Display| {
            Failure::missing(format!("the lock {} cannot be written", path.display()))
                .because(error)
                .hint("check that the profile directory is yours, writable and not full")
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| fail(&error))?;
        let locked = file.try_lock();
        let mut text = String::new();
        // What stands in it is only for messages and for finding leftovers: garbage counts as nothing.
        let _ = (&file).take(64 * 1024).read_to_string(&mut text);
        let before: Option<Incarnation> = serde_json::from_str(&text).ok();
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(path, before.as_ref())),
            // Some parallel file systems are mounted without locks: what stands in the file is all there is.
            Err(TryLockError::Error(_)) => {
                if let Some(other) = before.as_ref().filter(|other| may_live(other, own)) {
                    return Err(held(path, Some(other)));
                }
            }
        }
        let text = serde_json::to_vec(own).map_err(|error| fail(&error))?;
        // Written over, then cut: on a full disk the name of a dead holder must not be lost to an empty file.
        file.rewind().map_err(|error| fail(&error))?;
        file.write_all(&text).map_err(|error| fail(&error))?;
        file.set_len(text.len() as u64)
            .map_err(|error| fail(&error))?;
        Ok(Self { file, dead: before })
    }

    /// Says that this life ended in order: nothing of it is left to look for.
    pub fn ended(&self) {
        let _ = self.file.set_len(0);
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

fn held(path: &Path, holder: Option<&Incarnation>) -> Failure {
    let profile = path.parent().unwrap_or(path).display();
    match holder {
        Some(other) => Failure::missing(format!(
            "another ipjob runs in {profile}: pid {} on {} ({})",
            other.pid, other.host, other.id
        ))
        .hint(format!(
            "end that one first (`kill {}` on {}), or choose another profile with --profile",
            other.pid, other.host
        )),
        None => Failure::missing(format!("another ipjob is just starting in {profile}"))
            .hint("choose another profile with --profile"),
    }
}
