//! The client's side of a session: its key and the job's host key, in a directory of their own. They are there while a session is: who comes
//! first makes the key, and who goes last removes all.

use super::entry::{KEY, KNOWN_HOSTS};
use crate::failure::{Failure, Outcome};
use crate::here::os::run_program::ask;
use crate::here::os::{files, secure_path};
use core::fmt;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// How long ssh-keygen may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The longest public key that is read, in bytes.
const LONGEST: u64 = 4096;

/// How often it is tried to enter a directory that others are just entering or leaving, and the pause between.
const TRIES: u32 = 500;
const PAUSE: Duration = Duration::from_millis(10);

/// The directory, held.
#[derive(Debug)]
pub struct Keys {
    directory: PathBuf,
    /// Shared while a session runs, exclusive while keys are made or removed.
    lock: File,
    public: String,
}

impl Keys {
    /// Enters the directory; makes what is missing.
    pub fn hold(directory: &Path) -> Outcome<Self> {
        let unusable = |error: &dyn fmt::Display| {
            Failure::missing(format!("{} cannot be used for keys", directory.display()))
                .because(error)
                .hint("XDG_STATE_HOME names another place: a directory of yours")
        };
        for _ in 0..TRIES {
            let made = secure_path::make_whole(directory)
                .and_then(|()| files::private_directory(directory));
            let lock = match (made, File::open(directory)) {
                (Ok(()), Ok(lock)) => lock,
                // Somebody has just left.
                (_, Err(error)) if error.kind() == ErrorKind::NotFound => continue,
                (Err(fault), _) => return Err(unusable(&fault)),
                (_, Err(error)) => return Err(unusable(&error)),
            };
            lock.lock_shared().map_err(|error| unusable(&error))?;
            let mut public = there(directory);
            if public.is_none() && lock.try_lock().is_ok() && is_same(&lock, directory) {
                public = Some(make(directory)?);
                lock.lock_shared().map_err(|error| unusable(&error))?;
            }
            match public.filter(|_| is_same(&lock, directory)) {
                Some(public) => {
                    return Ok(Self {
                        directory: directory.to_owned(),
                        lock,
                        public,
                    });
                }
                None => thread::sleep(PAUSE),
            }
        }
        Err(unusable(&"another ipjob has it"))
    }

    /// The public key: its kind and its number.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    /// Notes the host key of the job, which came by a way that can be trusted.
    pub fn trust(directory: &Path, alias: &str, host_key: &str) -> Outcome<()> {
        let path = directory.join(KNOWN_HOSTS);
        let line = format!("{alias} {host_key}\n");
        files::replace(&path, line.as_bytes()).map_err(|error| {
            Failure::missing(format!("{} cannot be written", path.display())).because(error)
        })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // Else others are in it still.
        if self.lock.try_lock().is_ok() && is_same(&self.lock, &self.directory) {
            let _ = files::remove_tree(&self.directory);
            // Others' are in it still, or none.
            let _ = self.directory.parent().map(fs::remove_dir);
        }
    }
}

/// Whether what was opened is what lies there still.
fn is_same(opened: &File, path: &Path) -> bool {
    let (Ok(opened), Ok(there)) = (opened.metadata(), fs::metadata(path)) else {
        return false;
    };
    (opened.dev(), opened.ino()) == (there.dev(), there.ino())
}

/// The public key of the pair that is there.
fn there(directory: &Path) -> Option<String> {
    // ssh-keygen writes the private one first.
    words(&files::read_private(&public(directory), LONGEST)?)
}

fn public(directory: &Path) -> PathBuf {
    directory.join(format!("{KEY}.pub"))
}

/// Makes a pair; its public key.
fn make(directory: &Path) -> Outcome<String> {
    let private = directory.join(KEY);
    // What was killed while it made one.
    let _ = (files::remove(&private), files::remove(&public(directory)));
    // Of a kind that every OpenSSH takes, also where only approved algorithms are allowed (FIPS). Paramiko takes the end
    // of a key without a comment for padding, and cannot read many such.
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ecdsa", "-N", "", "-C", "ipjob", "-f"]);
    let answer = ask(keygen.arg(&private), LIMIT);
    there(directory).ok_or_else(|| {
        Failure::missing("ssh-keygen made no key")
            .because(answer.reason())
            .hint("install OpenSSH's client, or put the directory of ssh-keygen into PATH")
    })
}

/// The first two words of a public key, if these are such.
#[must_use]
pub fn words(text: &str) -> Option<String> {
    let mut words = text.split_ascii_whitespace();
    let (kind, number) = (words.next()?, words.next()?);
    let plain = |extra: &'static str| {
        move |char: char| char.is_ascii_alphanumeric() || extra.contains(char)
    };
    let is_one = kind.chars().all(plain("-@.")) && number.chars().all(plain("+/="));
    is_one.then(|| format!("{kind} {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_there_while_somebody_holds_them() {
        let place = tempfile::tempdir().expect("a directory");
        let directory = place.path().join("ssh/ipjob-7");
        let first = Keys::hold(&directory).expect("made");
        let mode = |name: &str| {
            let data = fs::metadata(directory.join(name)).expect("there");
            data.mode() & 0o777
        };
        assert_eq!((mode(""), mode(KEY)), (0o700, 0o600));
        let public = fs::read_to_string(public(&directory)).expect("there");
        assert_eq!(public, format!("{} ipjob\n", first.public()));
        let second = Keys::hold(&directory).expect("taken");
        assert_eq!(first.public(), second.public());
        Keys::trust(&directory, "ipjob-7", "ssh-x AAAA").expect("written");
        drop(first);
        assert_eq!(
            fs::read_to_string(directory.join(KNOWN_HOSTS)).expect("there"),
            "ipjob-7 ssh-x AAAA\n"
        );
        let before = second.public().to_owned();
        drop(second);
        assert!(!place.path().join("ssh").exists());
        let next = Keys::hold(&directory).expect("made");
        assert_ne!(next.public(), before);
    }

    #[test]
    fn what_is_no_key_is_none() {
        assert_eq!(words("ecdsa A+/= x y\n").as_deref(), Some("ecdsa A+/="));
        for text in ["", "one", "a\"b c", "a b\u{1b}", "a command=\"x\""] {
            assert_eq!(words(text), None, "{text}");
        }
    }
}
