//! Where files of a job lie: `$IPYTHONDIR/profile_<name>` and what ipjob keeps in it.

use super::job::reads_as_a_job;
use super::name::Name;
use core::fmt;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use std::path::{Path, PathBuf};

/// How the cluster id of each life begins.
pub const LIFE_PREFIX: &str = "ipjob";

/// How the name of every life's private directory begins.
pub const RUNTIME: &str = "ipjob-runtime";

/// The name of Jupyter's runtime directory in it, or of the link that leads there.
pub const JUPYTER: &str = "jupyter";

/// The name of the key's file in it.
pub const KEY_FILE: &str = "session.key";

/// The name of the file that says that ipjob made the directory.
pub const MADE_BY_IPJOB: &str = ".made-by-ipjob";

/// The IPython directory of the profile that this record is of.
#[must_use]
pub fn ipython_dir(record: &str) -> Option<&str> {
    let (profile, _) = record.rsplit_once('/')?;
    Some(profile.rsplit_once('/')?.0)
}

/// Whether both are the same directory, as they are written.
#[must_use]
pub fn is_same(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

/// One profile directory. All paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The name, as in `ipp.Client(profile="job_local")`.
    pub name: ProfileName,
    /// The IPython directory, which Jupyter's kernels and the driver get as IPYTHONDIR.
    pub ipython_dir: PathBuf,
    /// The directory itself.
    pub dir: PathBuf,
    /// The restart count of the job: each life has its own names for what its controller writes.
    restart: u32,
    /// Jupyter's runtime directory on a disk of this node.
    sockets: Option<PathBuf>,
}

impl Profile {
    /// The profile `name` below `ipython_dir`.
    #[must_use]
    pub fn new(ipython_dir: &Path, name: &ProfileName) -> Self {
        Self {
            name: name.clone(),
            ipython_dir: ipython_dir.to_owned(),
            dir: ipython_dir.join(format!("profile_{name}")),
            restart: 0,
            sockets: None,
        }
    }

    /// The same profile in a later life of its job.
    #[must_use]
    pub fn in_life(self, restart: u32) -> Self {
        Self { restart, ..self }
    }

    /// The same profile with Jupyter's runtime directory on a disk of this node.
    #[must_use]
    pub fn with_sockets(self, sockets: Option<PathBuf>) -> Self {
        Self { sockets, ..self }
    }

    /// The cluster id that this life's controller and engines use: `ipjob0`, `ipjob1` once the job was requeued. A hub rewrites its
    /// engine list and removes its connection files by their names (hub.py, app.py), so none may share them: neither a controller that
    /// somebody else starts in this profile, which has no cluster id unless it is told one, nor an earlier life of the job, whose hub can
    /// still live on a node that was cut off.
    #[must_use]
    pub fn cluster_id(&self) -> String {
        format!("{LIFE_PREFIX}{}", self.restart)
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

    /// Where the user's requests are read.
    #[must_use]
    pub fn request(&self) -> PathBuf {
        request(&self.dir, self.restart)
    }

    /// Its presence says that ipjob made the directory and may remove what it finds there.
    #[must_use]
    pub fn marker(&self) -> PathBuf {
        self.dir.join(MADE_BY_IPJOB)
    }

    /// Where ipyparallel keeps the connection files.
    #[must_use]
    pub fn security(&self) -> PathBuf {
        self.dir.join("security")
    }

    /// The connection file that clients read: the name that everybody knows. Others write there too.
    #[must_use]
    pub fn client_file(&self) -> PathBuf {
        self.security().join("ipcontroller-client.json")
    }

    /// The connection file that engines of the user's read.
    #[must_use]
    pub fn engine_file(&self) -> PathBuf {
        self.security().join("ipcontroller-engine.json")
    }

    /// The file by which ipyparallel's own tools know the cluster that has no id.
    #[must_use]
    pub fn cluster_file(&self) -> PathBuf {
        self.security().join("cluster-.json")
    }

    /// The client file under the name that this life's controller gives it.
    #[must_use]
    pub fn own_client_file(&self) -> PathBuf {
        self.own_file("client")
    }

    /// The engine file under the name that this life's controller gives it: our engines read it.
    #[must_use]
    pub fn own_engine_file(&self) -> PathBuf {
        self.own_file("engine")
    }

    fn own_file(&self, side: &str) -> PathBuf {
        let name = format!("ipcontroller-{}-{side}.json", self.cluster_id());
        self.security().join(name)
    }

    /// What engines run when they start.
    #[must_use]
    pub fn startup(&self) -> PathBuf {
        self.dir.join("startup")
    }

    /// Where logs go.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The hub's own list of registered engines (hub.py writes it at every registration).
    #[must_use]
    pub fn engines_list(&self) -> PathBuf {
        let name = format!("engines{}.json", self.cluster_id());
        self.log_dir().join(name)
    }

    /// The log of a service's process.
    #[must_use]
    pub fn log(&self, name: Name, index: u32) -> PathBuf {
        self.log_dir().join(log_name(name, index))
    }

    /// The log of ipjob's own lines, where it is detached.
    #[must_use]
    pub fn own_log(&self) -> PathBuf {
        self.log_dir().join("ipjob-detached.log")
    }

    /// A directory for secrets that live only as long as the job: 0700, removed at the end.
    #[must_use]
    pub fn runtime(&self) -> PathBuf {
        runtime(&self.dir, self.restart)
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

    /// What programs of ours import by this name: it lies beside them.
    #[must_use]
    pub fn module(&self, name: &str) -> PathBuf {
        self.runtime().join(format!("{name}.py"))
    }

    /// The program that runs Jupyter.
    #[must_use]
    pub fn jupyter_program(&self) -> PathBuf {
        self.runtime().join("jupyter.py")
    }

    /// Jupyter's runtime directory: its *-open.html files are 0644 with the token in them, and in it are the sockets of its kernels, so the
    /// directory is private. On a disk of this node it has a random name, to which [`Self::jupyter_link`] leads.
    #[must_use]
    pub fn jupyter_runtime(&self) -> PathBuf {
        self.sockets.clone().unwrap_or_else(|| self.jupyter_link())
    }

    /// Where Jupyter's runtime directory is found from the profile.
    #[must_use]
    pub fn jupyter_link(&self) -> PathBuf {
        self.runtime().join(JUPYTER)
    }

    /// Whether the names of sockets in Jupyter's runtime directory are certain to be short enough.
    #[must_use]
    pub const fn takes_sockets(&self) -> bool {
        self.sockets.is_some()
    }
}

fn runtime(dir: &Path, restart: u32) -> PathBuf {
    dir.join(match restart {
        0 => RUNTIME.to_owned(),
        restart => format!("{RUNTIME}-{restart}"),
    })
}

/// Where the user's requests are read, in a profile directory by the job's life of that restart count.
#[must_use]
pub fn request(dir: &Path, restart: u32) -> PathBuf {
    runtime(dir, restart).join(super::request::FILE)
}

/// Where the keys of sessions are (`ipjob ssh`), in a profile directory by the job's life of that restart count.
#[must_use]
pub fn ssh(dir: &Path, restart: u32) -> PathBuf {
    runtime(dir, restart).join("ssh")
}

/// The name of a log: the engines have one each.
#[must_use]
pub fn log_name(name: Name, index: u32) -> String {
    match name {
        Name::Engines => format!("ipjob-engine-{index}.log"),
        other => format!("ipjob-{other}.log"),
    }
}

/// The longest name of a profile, in bytes.
const LONGEST_NAME: usize = 200;

/// The name of a profile. It is a part of a path and of a shell's word, and is told apart from a job id: `stop 7` is for job 7.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ProfileName(String);

impl ProfileName {
    /// A name as a person gives it; else what is wrong with it, to be read after the name.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let plain = |char: char| char.is_ascii_alphanumeric() || "._@+-".contains(char);
        let fault = if text.is_empty() {
            "is empty"
        } else if text.len() > LONGEST_NAME {
            "is longer than 200 bytes"
        } else if !text.chars().all(plain) {
            "has characters other than letters, digits and ._@+-"
        } else if text.starts_with(['.', '-']) || text.contains("..") {
            "begins with a dot or a dash, or has two dots in a row"
        } else if reads_as_a_job(text) {
            "looks like a job id"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(fault)
    }

    /// The name of a job's profile, `job_123`; `job` is its number, the name of its element, or `local`.
    #[must_use]
    pub fn of_job(job: &str) -> Self {
        Self(format!("job_{job}"))
    }

    /// The name of the `n`th cluster of the same job: `job_123`, `job_123-2`.
    #[must_use]
    pub fn nth(&self, n: u32) -> Self {
        match n {
            0 | 1 => self.clone(),
            n => Self(format!("{self}-{n}")),
        }
    }

    /// The name beside a job's own profile: `connect_123` for `job_123`.
    #[must_use]
    pub fn beside(&self) -> Self {
        let name = self.0.strip_prefix("job_").unwrap_or(&self.0);
        Self(format!("connect_{name}"))
    }

    /// A name in a record: earlier versions took all that one part of a path can be.
    #[must_use]
    pub fn recorded(text: &str) -> Option<Self> {
        let is_part = !text.is_empty() && !matches!(text, "." | "..") && !text.contains('/');
        let fits = is_part && text.len() <= LONGEST_NAME && !text.chars().any(char::is_control);
        fits.then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for ProfileName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::recorded(&text).ok_or_else(|| D::Error::custom("no name of a profile"))
    }
}

#[cfg(test)]
impl schemars::JsonSchema for ProfileName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ProfileName".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[^/]+$"})
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_can_be_named_later() {
        for name in ["job_local", "a", "my.job@x+1-2", "7a", "job_6_2"] {
            assert_eq!(
                ProfileName::new(name).map(|name| name.to_string()),
                Ok(name.to_owned())
            );
        }
        for (name, fault) in [
            ("", "is empty"),
            ("my job", "has characters other"),
            ("a/b", "has characters other"),
            ("gr\u{f6}\u{df}e", "has characters other"),
            ("a\nb", "has characters other"),
            ("a:b", "has characters other"),
            (".", "begins with a dot"),
            ("a..b", "two dots"),
            ("-a", "a dash"),
            ("7", "looks like a job id"),
            ("6_2", "looks like a job id"),
            ("9+1", "looks like a job id"),
        ] {
            let told = ProfileName::new(name).expect_err(name);
            assert!(told.contains(fault), "{name}: {told}");
        }
        assert!(ProfileName::new(&"a".repeat(201)).is_err());
    }

    #[test]
    fn what_earlier_versions_took_is_read() {
        for name in ["my job", "gr\u{f6}\u{df}e", "7", "-a"] {
            assert!(ProfileName::recorded(name).is_some(), "{name}");
        }
        for name in ["", "..", "a/b", "a\nb", "\u{1b}[31m"] {
            assert!(ProfileName::recorded(name).is_none(), "{name}");
        }
    }
}
