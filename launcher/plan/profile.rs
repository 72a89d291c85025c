//! Where files of a job lie: `$IPYTHONDIR/profile_<name>` and what ipjob keeps in it.

use super::service::Name;
use crate::failure::{Failure, Outcome};
use std::path::{Path, PathBuf};

/// How a later life's cluster id begins.
pub const LIFE_PREFIX: &str = "restart";

/// How the name of every life's private directory begins.
pub const RUNTIME: &str = "ipjob-runtime";

/// The name of the key's file in it.
pub const KEY_FILE: &str = "session.key";

/// One profile directory. All paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The name, as in `ipp.Client(profile="job_local")`.
    pub name: String,
    /// The IPython directory, which Jupyter's kernels and the driver get as IPYTHONDIR.
    pub ipython_dir: PathBuf,
    /// The directory itself.
    pub dir: PathBuf,
    /// The restart count of the job: each life has its own names for what its controller writes.
    restart: u32,
}

impl Profile {
    /// The profile `name` below `ipython_dir`.
    #[must_use]
    pub fn new(ipython_dir: &Path, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ipython_dir: ipython_dir.to_owned(),
            dir: ipython_dir.join(format!("profile_{name}")),
            restart: 0,
        }
    }

    /// The same profile in a later life of its job.
    #[must_use]
    pub fn in_life(self, restart: u32) -> Self {
        Self { restart, ..self }
    }

    /// The cluster id that a requeued life's controller and engines use. An earlier life's hub can still live on a node that was
    /// cut off; it rewrites its engine list and removes its connection files by their names (hub.py, app.py), so no two
    /// lives may share them. The first life has the names that everybody knows.
    #[must_use]
    pub fn cluster_id(&self) -> Option<String> {
        (self.restart > 0).then(|| format!("{LIFE_PREFIX}{}", self.restart))
    }

    /// The record.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.dir.join("ipjob.json")
    }

    /// Held locked as long as ipjob lives; tells a second ipjob who holds it.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.dir.join("ipjob.lock")
    }

    /// Its presence says that ipjob made the directory and may remove what it finds there.
    #[must_use]
    pub fn marker(&self) -> PathBuf {
        self.dir.join(".made-by-ipjob")
    }

    /// Where ipyparallel keeps the connection files.
    #[must_use]
    pub fn security(&self) -> PathBuf {
        self.dir.join("security")
    }

    /// The connection file that clients read.
    #[must_use]
    pub fn client_file(&self) -> PathBuf {
        self.security().join("ipcontroller-client.json")
    }

    /// The connection file that engines read.
    #[must_use]
    pub fn engine_file(&self) -> PathBuf {
        self.security().join("ipcontroller-engine.json")
    }

    /// The client file under the name that this life's controller gives it.
    #[must_use]
    pub fn own_client_file(&self) -> PathBuf {
        self.own_file("client")
    }

    /// The engine file under the name that this life's controller gives it.
    #[must_use]
    pub fn own_engine_file(&self) -> PathBuf {
        self.own_file("engine")
    }

    fn own_file(&self, side: &str) -> PathBuf {
        let life = self.cluster_id().map_or_else(String::new, |id| id + "-");
        self.security()
            .join(format!("ipcontroller-{life}{side}.json"))
    }

    /// What is to be copied to the names that everybody knows, once the controller wrote it: nothing in the first life.
    #[must_use]
    pub fn publications(&self) -> Vec<(PathBuf, PathBuf)> {
        [
            (self.own_client_file(), self.client_file()),
            (self.own_engine_file(), self.engine_file()),
        ]
        .into_iter()
        .filter(|(own, public)| own != public)
        .collect()
    }

    /// Where logs go.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The hub's own list of registered engines (hub.py writes it at every registration).
    #[must_use]
    pub fn engines_list(&self) -> PathBuf {
        let life = self.cluster_id().unwrap_or_default();
        self.log_dir().join(format!("engines{life}.json"))
    }

    /// The log of a service's process.
    #[must_use]
    pub fn log(&self, name: Name, index: u32) -> PathBuf {
        self.log_dir().join(log_name(name, index))
    }

    /// A directory for secrets that live only as long as the job: 0700, removed at the end.
    #[must_use]
    pub fn runtime(&self) -> PathBuf {
        let life = self
            .cluster_id()
            .map_or_else(String::new, |id| format!("-{id}"));
        self.dir.join(format!("{RUNTIME}{life}"))
    }

    /// The key that the controller signs messages with, given to it as a file so that no argv shows it.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.runtime().join(KEY_FILE)
    }

    /// The program that runs the controller.
    #[must_use]
    pub fn controller_program(&self) -> PathBuf {
        self.runtime().join("controller.py")
    }

    /// The program that forks the engines.
    #[must_use]
    pub fn fork_program(&self) -> PathBuf {
        self.runtime().join("fork.py")
    }

    /// Which engines it forks.
    #[must_use]
    pub fn fork_order(&self) -> PathBuf {
        self.runtime().join("fork.json")
    }

    /// What these two programs take handed sockets with, by the name under which they import it.
    #[must_use]
    pub fn handed_module(&self) -> PathBuf {
        self.runtime().join("handed.py")
    }

    /// The program that runs Jupyter.
    #[must_use]
    pub fn jupyter_program(&self) -> PathBuf {
        self.runtime().join("jupyter.py")
    }

    /// Jupyter's runtime directory: its *-open.html files are 0644 with the token in them, so the directory is private.
    #[must_use]
    pub fn jupyter_runtime(&self) -> PathBuf {
        self.runtime().join("jupyter")
    }
}

/// The name of a log: the engines have one each.
#[must_use]
pub fn log_name(name: Name, index: u32) -> String {
    match name {
        Name::Engines => format!("ipjob-engine-{index}.log"),
        other => format!("ipjob-{other}.log"),
    }
}

/// Refuses a profile name that is not one plain path component, or that would confuse a terminal or a log.
pub fn check_name(name: &str) -> Outcome<()> {
    let fault = if name.is_empty() {
        "is empty"
    } else if name.contains('/') || name == "." || name == ".." {
        "is a path"
    } else if name.chars().any(char::is_control) {
        "has control characters"
    } else if name.len() > 200 {
        "is longer than 200 bytes"
    } else {
        return Ok(());
    };
    Err(Failure::usage(format!("--profile {name:?} {fault}"))
        .hint("give a plain name such as `job_local`; the directory is set by --ipython-dir"))
}
