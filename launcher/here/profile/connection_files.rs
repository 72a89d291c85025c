//! The connection files of our controller, as they are to be. Who starts another controller in this profile writes over the names that
//! everybody knows and removes them when it ends (`ipp.Cluster`, JupyterLab's list of clusters), and `ipcluster clean` removes all. So
//! their text is kept here, and what is no longer so is put back.
//!
//! docs/design/guests.md explains the design.

use super::ownership::Ownership;
use crate::here::os::files;
use crate::here::os::{process, sockets};
use crate::here::site::identity;
use crate::plan::connection::{self, Foreign};
use crate::plan::profile::Profile;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What tells one writing of a file from the next.
type Stamp = (u64, i64, i64, u64);

/// The four files: two names for the text of each side.
#[derive(Debug)]
pub struct ConnectionFiles {
    profile: Profile,
    key: String,
    ownership: Ownership,
    /// Texts of the clients' and the engines' file.
    texts: [String; 2],
    /// The text of the cluster file, where ipyparallel's own tools are to know the job.
    cluster: Option<String>,
    /// Whether nothing is put back any more.
    closed: AtomicBool,
    /// Held while files are looked at, which a file system may make long.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When each was as it is to be.
    well: BTreeMap<PathBuf, Stamp>,
    /// Those that were neither ours nor whole at the last look: somebody may be writing.
    unsettled: BTreeMap<PathBuf, Stamp>,
}

/// A file of a name that everybody knows was not as it is to be.
#[derive(Debug)]
pub struct Change {
    /// The file's name.
    pub file: String,
    /// What it was instead.
    pub found: Found,
    /// What came of putting it back.
    pub restored: io::Result<()>,
}

/// What a file was instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It was not there.
    Nothing,
    /// Another controller's.
    Foreign {
        /// What the file tells of it.
        told: Foreign,
        /// Its process, where that listens on this host as the file says, and who started it: `pid 7 (python -m x)`.
        process: Option<String>,
    },
    /// Something else.
    Other,
}

impl ConnectionFiles {
    /// Those of a controller that is ready.
    #[must_use]
    pub fn new(profile: &Profile, key: &str, ownership: &Ownership, texts: &[String; 2]) -> Self {
        Self {
            profile: profile.clone(),
            key: key.to_owned(),
            ownership: ownership.clone(),
            texts: texts.clone(),
            cluster: None,
            closed: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// The same, with the cluster file: a tool that cannot see whether we live, on another host, removes it.
    #[must_use]
    pub fn listed(mut self, text: Option<String>) -> Self {
        self.cluster = text;
        self
    }

    /// The text of the clients' file.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.texts[0]
    }

    /// Puts nothing back any more: from the next look on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// The same, once a look that goes on has ended: they are to be removed now.
    pub fn close_and_wait(&self) {
        self.close();
        drop(self.state());
    }

    /// Looks at all of them, puts back what has changed, and tells what others did. Our own controller removes its own names when
    /// it is asked to end, so of those nothing is told.
    pub fn look(&self) -> Vec<Change> {
        let mut state = self.state();
        // A file system that is away has none of them, and nobody removed them.
        if self.closed.load(Ordering::SeqCst) || fs::metadata(self.profile.lock()).is_err() {
            return Vec::new();
        }
        let [client, engine] = &self.texts;
        let profile = &self.profile;
        for (path, text) in [
            (profile.own_engine_file(), engine),
            (profile.own_client_file(), client),
        ] {
            let _ = self.look_at(&path, text, &mut state);
        }
        if let Some(text) = &self.cluster {
            let _ = self.look_at(&profile.cluster_file(), text, &mut state);
        }
        // The clients' last: it is what people wait for.
        [
            (profile.engine_file(), engine),
            (profile.client_file(), client),
        ]
        .into_iter()
        .filter_map(|(path, text)| self.look_at(&path, text, &mut state))
        .collect()
    }

    /// Looks at one; `None` where it is as it is to be, or may soon be.
    fn look_at(&self, path: &Path, text: &str, state: &mut State) -> Option<Change> {
        let now = stamp_of(path);
        if now.is_some() && now.as_ref() == state.well.get(path) {
            return None;
        }
        let there = match fs::read_to_string(path) {
            Ok(there) if there == text => {
                state.well.extend(now.map(|now| (path.to_owned(), now)));
                return None;
            }
            Ok(there) => there,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            // It may be ours all the same.
            Err(error) if error.kind() != io::ErrorKind::InvalidData => return None,
            Err(_) => "?".to_owned(),
        };
        let first = !state.well.contains_key(path);
        let found = match connection::foreign(&there, &self.key) {
            Some(told) => Found::Foreign {
                process: process_of(&told),
                told,
            },
            None if now.is_none() => Found::Nothing,
            None if first => Found::Nothing,
            None => {
                // ipcontroller writes in place: half of a file is soon a whole one.
                let stands = state.unsettled.get(path) == now.as_ref();
                state
                    .unsettled
                    .extend(now.map(|now| (path.to_owned(), now)));
                if !stands {
                    return None;
                }
                Found::Other
            }
        };
        state.unsettled.remove(path);
        let restored = match self.put(path, text) {
            Ok(true) => Ok(()),
            Ok(false) => return None,
            Err(error) => Err(error),
        };
        if restored.is_ok() {
            state
                .well
                .extend(stamp_of(path).map(|now| (path.to_owned(), now)));
        }
        // The first time it is not put back, but made.
        let told = !first || found != Found::Nothing || restored.is_err();
        told.then(|| Change {
            file: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            found,
            restored,
        })
    }

    /// Writes one; false where that is no longer ours to do.
    fn put(&self, path: &Path, text: &str) -> io::Result<bool> {
        files::private_directory(&self.profile.security())?;
        let ours = || !self.closed.load(Ordering::SeqCst) && self.ownership.successor().is_none();
        files::replace_if(path, text.as_bytes(), ours)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What it holds is whole at every moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp_of(path: &Path) -> Option<Stamp> {
    let data = fs::metadata(path).ok()?;
    Some((data.len(), data.mtime(), data.mtime_nsec(), data.ino()))
}

/// The process of another controller, if it is on this host and listens where its file says.
fn process_of(told: &Foreign) -> Option<String> {
    if told.location != identity::host() {
        return None;
    }
    let pid = sockets::listens_on(told.port?)?;
    let own = std::process::id();
    let starter = process::stat(pid)
        .map(|stat| stat.parent)
        // Who has lost its parent has another one, which did not start it.
        .filter(|parent| *parent > 1 && *parent != own);
    let by = starter.map(|starter| format!(", started by {}", process::described(starter)));
    Some(process::described(pid) + &by.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::here::profile::lock::Lock;
    use crate::plan::incarnation::Incarnation;
    use crate::plan::profile::ProfileName;
    use std::os::unix::fs::PermissionsExt;

    const TEXTS: [&str; 2] = [
        r#"{"key": "ours", "side": 1}"#,
        r#"{"key": "ours", "side": 2}"#,
    ];

    /// Those of a profile of its own, made once.
    fn made() -> (tempfile::TempDir, Profile, Lock, ConnectionFiles) {
        let dir = tempfile::tempdir().expect("a directory");
        let profile = Profile::new(dir.path(), &ProfileName::new("x").expect("a name"));
        fs::create_dir_all(&profile.dir).expect("made");
        let own = Incarnation {
            id: "local.x.0.1".to_owned(),
            host: identity::host(),
            boot: process::boot_id(),
            pid: std::process::id(),
            pid_start: 1,
        };
        let lock = Lock::take(&profile.lock(), &own).expect("free");
        let ownership = Ownership::new(&profile, &own);
        let files = ConnectionFiles::new(&profile, "ours", &ownership, &TEXTS.map(str::to_owned));
        assert!(files.look().is_empty(), "made, not put back");
        (dir, profile, lock, files)
    }

    #[test]
    fn what_is_removed_or_overwritten_is_put_back_private_and_told() {
        let (_dir, profile, _lock, files) = made();
        fs::remove_file(profile.client_file()).expect("there");
        fs::remove_file(profile.own_client_file()).expect("there");
        let foreign = r#"{"key": "his", "interface": "tcp://127.0.0.1", "location": "elsewhere", "registration": 7}"#;
        fs::write(profile.engine_file(), foreign).expect("written");
        let changes = files.look();
        let told: Vec<_> = changes
            .iter()
            .map(|change| (change.file.as_str(), &change.found))
            .collect();
        let his = Found::Foreign {
            told: Foreign {
                address: "127.0.0.1".to_owned(),
                location: "elsewhere".to_owned(),
                port: Some(7),
            },
            process: None,
        };
        let wanted = [
            ("ipcontroller-engine.json", &his),
            ("ipcontroller-client.json", &Found::Nothing),
        ];
        assert_eq!(told, wanted, "of its own names nothing is told");
        for (path, text) in [
            (profile.client_file(), TEXTS[0]),
            (profile.own_client_file(), TEXTS[0]),
            (profile.engine_file(), TEXTS[1]),
            (profile.own_engine_file(), TEXTS[1]),
        ] {
            assert_eq!(fs::read_to_string(&path).expect("there"), text);
            let mode = fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        }
        assert!(files.look().is_empty());
    }

    #[test]
    fn half_a_file_may_soon_be_whole() {
        let (_dir, profile, _lock, files) = made();
        fs::write(profile.client_file(), "{\"key\": \"hi").expect("written");
        assert!(files.look().is_empty());
        let changes = files.look();
        assert!(matches!(
            changes.as_slice(),
            [Change {
                found: Found::Other,
                ..
            }]
        ));
    }

    #[test]
    fn a_directory_that_is_gone_is_made_again_but_not_a_profile() {
        let (dir, profile, _lock, files) = made();
        fs::remove_dir_all(profile.security()).expect("there");
        assert_eq!(files.look().len(), 2);
        assert!(profile.client_file().exists());
        fs::rename(&profile.dir, dir.path().join("away")).expect("moved");
        assert!(files.look().is_empty());
        assert!(!profile.dir.exists());
    }

    #[test]
    fn once_closed_nothing_is_put_back() {
        let (_dir, profile, _lock, files) = made();
        files.close();
        fs::remove_file(profile.client_file()).expect("there");
        assert!(files.look().is_empty());
        assert!(!profile.client_file().exists());
    }
}
