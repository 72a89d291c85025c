//! A profile directory for one engine on a node that does not share the job's: ipengine wants a directory that exists, and takes
//! the connection itself from `IPP_CONNECTION_INFO`, so the directory holds no secret.

use crate::failure::{Failure, Outcome};
use crate::here::os::secure_path;
use crate::here::os::state;
use crate::here::profile::lock;
use crate::plan::incarnation::INCARNATION_VARIABLE;
use crate::plan::services::{CONFIG_FILE, CONNECTION_INFO, PRELOAD};
use std::env;
use std::fs;
use std::io;
use std::path::Path;
use tempfile::TempDir;

/// The argument that names it.
const ARGUMENT: &str = "--profile-dir=";

/// What engines import their modules by.
const PRELOAD_FILE: &str = "preload.py";

/// The directory; it goes when this is dropped.
#[derive(Debug)]
pub struct PrivateProfile {
    dir: TempDir,
}

impl PrivateProfile {
    /// A directory for the engine with these arguments, where the one that they name is not the job's: on a node that shares it,
    /// its lock names our incarnation.
    pub fn where_not_shared(args: &[String], node: &str) -> Outcome<Option<Self>> {
        let Some(profile) = args.iter().find_map(|arg| arg.strip_prefix(ARGUMENT)) else {
            return Ok(None);
        };
        let (Ok(incarnation), profile) = (env::var(INCARNATION_VARIABLE), Path::new(profile))
        else {
            return Ok(None);
        };
        if is_shared(profile, &incarnation) {
            return Ok(None);
        }
        if env::var_os(CONNECTION_INFO).is_none() {
            return Err(Failure::missing(format!(
                "the profile directory {} of this job is not on {node}",
                profile.display()
            ))
            .hint("put it where all nodes of the job see it, with --ipython-dir or IPYTHONDIR")
            .hint("with ipyparallel 8.0 and later, engines do not need it"));
        }
        let mut made = Err(io::Error::other(
            "others could replace what is in TMPDIR, in /tmp and in /dev/shm",
        ));
        for place in state::temporary() {
            // 0700 from the first moment.
            made = made.or_else(|_| {
                tempfile::Builder::new()
                    .prefix("ipjob-engine-")
                    .tempdir_in(place)
            });
        }
        let made = made.and_then(|dir| {
            fs::write(dir.path().join(PRELOAD_FILE), PRELOAD)?;
            Ok(Some(Self { dir }))
        });
        made.map_err(|error| {
            Failure::missing(format!(
                "the profile directory {} is not on {node}, and no private one can be made there",
                profile.display()
            ))
            .because(error)
            .hint("set TMPDIR to a directory of yours on the node")
        })
    }

    /// The arguments with this directory, and what it holds, in the place of the job's: ipengine takes only one.
    #[must_use]
    pub fn arguments(&self, args: &[String]) -> Vec<String> {
        let own = format!("{ARGUMENT}{}", self.path().display());
        let preload = format!("{CONFIG_FILE}{}", self.path().join(PRELOAD_FILE).display());
        let instead = |arg: &String| {
            let is_ours =
                arg.starts_with(CONFIG_FILE) && arg.ends_with(&format!("/{PRELOAD_FILE}"));
            match arg.strip_prefix(ARGUMENT) {
                Some(_) => own.clone(),
                None if is_ours => preload.clone(),
                None => arg.clone(),
            }
        };
        args.iter().map(instead).collect()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Whether this node sees the profile directory of that incarnation. Where our lock is gone (the job ends), a directory with
/// connection files is taken for it, unless another user could have made it: engines would do what their controller says.
fn is_shared(profile: &Path, incarnation: &str) -> bool {
    secure_path::own(profile).is_ok()
        && match lock::holder(&profile.join("ipjob.lock")) {
            Some(holder) => holder.id == incarnation,
            None => fs::metadata(profile.join("security")).is_ok(),
        }
}
