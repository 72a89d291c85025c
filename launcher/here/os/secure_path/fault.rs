//! What a path is refused for, and what is to be done about it.

use nix::libc::{EDQUOT, ENOSPC};
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// What a path is refused for.
#[derive(Debug)]
pub enum Fault {
    /// Others can change what it leads to.
    Open(Open),
    /// A link leads to nothing: where it is, and its target.
    Dangling(PathBuf, PathBuf),
    /// The system's own answer.
    System(io::Error),
}

/// Other users can reach the file, and the file system ignores a change of its mode.
#[derive(Debug)]
pub struct Unclosed {
    /// The mode that it has.
    pub mode: u32,
    /// What the file system said to chmod, where it refused.
    pub refusal: Option<io::Error>,
}

impl fmt::Display for Unclosed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "others can read it (mode {:04o}), and ", self.mode)?;
        match &self.refusal {
            Some(error) => write!(out, "its file system refuses chmod: {error}"),
            None => out.write_str("chmod changes nothing on its file system"),
        }
    }
}

impl Error for Unclosed {}

/// What to do about an error of ours, where that is more than to choose another place.
fn next_step(error: &io::Error) -> Option<&'static str> {
    let own = error.get_ref()?;
    own.is::<Unclosed>().then_some(
        "have it mounted with permissions that keep others out (CIFS: file_mode=0600,dir_mode=0700)",
    )
}

/// The part of a path that is open to others.
#[derive(Debug)]
pub struct Open {
    /// Which part.
    pub at: PathBuf,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
    pub(super) way: Way,
}

/// How others get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Owner,
    Group,
    Everybody,
    /// Each can write, and what is ours stays, but not every name in it is ours to give.
    Sticky,
    Link,
}

impl Fault {
    /// What to do about it, where that depends on what it is.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Open(open) => open.hint(),
            Self::System(error) if matches!(error.raw_os_error(), Some(ENOSPC | EDQUOT)) => {
                Some("free some space or raise the quota".to_owned())
            }
            Self::System(error) => next_step(error).map(str::to_owned),
            Self::Dangling(..) => None,
        }
    }

    /// Whether others can change what the path leads to.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }
}

impl Open {
    fn hint(&self) -> Option<String> {
        let own = self.uid == nix::unistd::geteuid().as_raw();
        match self.way {
            Way::Group | Way::Everybody if own => Some(format!(
                "`chmod go-w {}` keeps others out; check what they may have put there",
                self.at.display()
            )),
            Way::Sticky => Some(format!(
                "name a directory of your own in it: `mkdir -m 700 {}`",
                self.at.join("NAME").display()
            )),
            _ => None,
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::System(error) => error,
            other => Self::other(other.to_string()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(open) => write!(out, "{open}"),
            Self::Dangling(link, target) => write!(
                out,
                "{} is a link to {}, which does not exist",
                link.display(),
                target.display()
            ),
            Self::System(error) => write!(out, "{error}"),
        }
    }
}

impl fmt::Display for Open {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, uid, mode) = (self.at.display(), self.uid, self.mode);
        let us = nix::unistd::geteuid();
        match self.way {
            Way::Owner => write!(
                out,
                "{at} (mode {mode:04o}) belongs to uid {uid}, and this is uid {us}: that user can replace what is in it"
            ),
            Way::Group => write!(
                out,
                "group {} can write in {at} (mode {mode:04o}, of uid {uid}) and replace what is in it",
                self.gid
            ),
            Way::Everybody => write!(
                out,
                "every user can write in {at} (mode {mode:04o}, of uid {uid}) and replace what is in it"
            ),
            Way::Sticky => write!(
                out,
                "others can put their files into {at} (mode {mode:04o}, of uid {uid})"
            ),
            Way::Link => write!(
                out,
                "{at} is a link of uid {uid}, in a directory that others can write in"
            ),
        }
    }
}
