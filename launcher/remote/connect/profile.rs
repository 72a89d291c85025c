//! The laptop's profile of a job: what makes `ipp.Client(profile="job_123")` work there.
//!
//! Whose it is, is told by a locked file in it: the lock goes with the process, however that ends, so that a profile whose file is not
//! locked was left by a connect that was killed, and one without the file is somebody else's.

use super::ready::Ready;
use crate::failure::{Failure, Outcome};
use crate::here::os::files;
use crate::here::os::process;
use crate::here::os::secure_path::{self, refuse_others};
use crate::here::profile::directory;
use crate::plan::profile::{MADE_BY_IPJOB, Profile, ProfileName};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What tells that connect made a profile.
pub const MARKER: &str = "ipjob-connect.json";

/// What IPython makes in a profile that a client uses, in the order in which it can be removed.
const OF_IPYTHON: &[&str] = &[
    "startup/README",
    "history.sqlite",
    "history.sqlite-journal",
    "startup",
    "security",
    "log",
    "pid",
    "static",
    "db",
];

/// What the marker says of the connect that made it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Marker {
    /// Its process id.
    pub pid: u32,
    /// What it was told to connect to.
    pub target: String,
    /// The host of that, and the job, once it is known.
    pub host: Option<String>,
    /// The job.
    pub job: String,
    /// Whether it stays in the background.
    pub background: bool,
    /// When it began, in seconds since 1970.
    pub since: i64,
    /// Whether the tunnel leads to the job now, as far as is known.
    pub up: bool,
    /// Jupyter's page on the laptop, once it is there.
    pub url: Option<String>,
    /// What was told of the job, once it could be used.
    pub ready: Option<Ready>,
    /// Its private directory, with the control socket.
    pub private: Option<PathBuf>,
}

impl Marker {
    /// Whether it is a connect to this job.
    #[must_use]
    pub fn is_to(&self, host: Option<&str>, job: &str) -> bool {
        self.host.as_deref() == host && self.job == job
    }

    /// How the tunnel is, in a word.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match (self.up, &self.ready) {
            (true, _) => "connected",
            (false, Some(_)) => "reconnecting",
            (false, None) => "connecting",
        }
    }
}

/// The profile; dropped, it goes.
#[derive(Debug)]
pub struct LocalProfile {
    name: ProfileName,
    dir: PathBuf,
    marker: Marker,
    /// Its lock is the sign of life.
    _lock: File,
}

impl LocalProfile {
    /// The name for the profile of a job whose own one is called `name`: where the IPython directory is the job's too (a shared home),
    /// that name is taken by the job.
    #[must_use]
    pub fn free_name(ipython_dir: &Path, name: &ProfileName) -> ProfileName {
        if !is_a_jobs(&Profile::new(ipython_dir, name)) {
            return name.clone();
        }
        name.beside()
    }

    /// Makes the profile of this name below the IPython directory. One that is there already is refused, unless a connect that was
    /// killed has left it.
    pub fn make(ipython_dir: &Path, name: &ProfileName, marker: Marker) -> Outcome<Self> {
        let dir = Profile::new(ipython_dir, name).dir;
        directory::ipython_dir(ipython_dir)?;
        let failed = |error: io::Error| {
            Failure::missing(format!("the profile {} cannot be made", dir.display()))
                .because(error)
                .hint("check that the directory above is yours, writable and not full, or name another with --ipython-dir")
        };
        if fs::symlink_metadata(&dir).is_ok() {
            let profile = Profile::new(ipython_dir, name);
            if is_a_jobs(&profile) {
                return Err(a_jobs(&profile));
            }
            clean(&dir, name.as_str())?;
        }
        // It gets its name with the marker in it already, so that nobody takes it for another's.
        let made = tempfile::Builder::new()
            .prefix(files::TEMPORARY_PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(ipython_dir)
            .map_err(failed)?;
        let text = serde_json::to_vec(&marker).unwrap_or_default();
        let marker_file = made.path().join(MARKER);
        files::private_file(&marker_file, &text).map_err(failed)?;
        let lock = open(made.path()).map_err(failed)?;
        lock.try_lock().map_err(|error| failed(error.into()))?;
        let profile = Profile::new(ipython_dir, name);
        let sign = made
            .path()
            .join(profile.marker().file_name().unwrap_or_default());
        files::private_file(&sign, b"").map_err(failed)?;
        files::private_directory(&made.path().join("security"))
            .map_err(|fault| failed(fault.into()))?;
        // A directory takes the place of an empty one only: another connect that was quicker is not harmed.
        fs::rename(made.path(), &dir).map_err(failed)?;
        let _ = made.keep();
        Ok(Self {
            name: profile.name,
            dir,
            marker,
            _lock: lock,
        })
    }

    /// Its name, for `ipp.Client(profile=...)`.
    #[must_use]
    pub fn name(&self) -> &ProfileName {
        &self.name
    }

    /// The client file.
    #[must_use]
    pub fn client_file(&self) -> PathBuf {
        self.dir.join("security/ipcontroller-client.json")
    }

    /// Replaces the client file.
    pub fn write(&self, text: &str) -> Outcome<()> {
        let path = self.client_file();
        files::replace(&path, text.as_bytes()).map_err(|error| {
            Failure::missing(format!("{} cannot be written", path.display())).because(error)
        })
    }

    /// Lets others know how the job is used, for a second connect.
    pub fn tell(&mut self, ready: Ready) {
        self.marker.url.clone_from(&ready.url);
        self.marker.ready = Some(ready);
        self.marker.up = true;
        self.write_marker();
    }

    /// The tunnel leads nowhere for a while.
    pub fn is_down(&mut self) {
        if std::mem::take(&mut self.marker.up) {
            self.write_marker();
        }
    }

    fn write_marker(&self) {
        let text = serde_json::to_vec(&self.marker).unwrap_or_default();
        // Written over in its place: a new file would have no lock.
        let _ = files::overwrite(&self.dir.join(MARKER), &text);
    }
}

impl Drop for LocalProfile {
    fn drop(&mut self) {
        let _ = remove(&self.dir);
    }
}

/// Whether it is the profile that a job runs or ran with, and none that connect made.
fn is_a_jobs(profile: &Profile) -> bool {
    fs::symlink_metadata(profile.record()).is_ok()
}

fn a_jobs(profile: &Profile) -> Failure {
    Failure::usage(format!(
        "the profile {} belongs to a job: its record is in it",
        profile.dir.display()
    ))
    .hint("choose another name with --profile; do not remove it: the job uses it")
}

/// The profiles below an IPython directory that a connect has made: their names and directories.
#[must_use]
pub fn all(ipython_dir: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(ipython_dir).into_iter().flatten().flatten();
    let mut found: Vec<(String, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry
                .file_name()
                .to_str()?
                .strip_prefix("profile_")?
                .to_owned();
            Some((name, entry.path()))
        })
        .filter(|(_, dir)| dir.join(MARKER).is_file())
        .collect();
    found.sort();
    found
}

/// What the connect said that left this profile.
#[must_use]
pub fn left(dir: &Path) -> Marker {
    open(dir).map_or_else(|_| Marker::default(), |mut file| read(&mut file))
}

/// What the connect says that has this profile now; nothing where none has it.
#[must_use]
pub fn live(dir: &Path) -> Option<Marker> {
    let mut file = open(dir).ok()?;
    // Shared: two that look at once must not take each other for it.
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(read(&mut file)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// Whether a connect that was killed left this profile.
#[must_use]
pub fn is_abandoned(dir: &Path) -> bool {
    open(dir).is_ok_and(|file| file.try_lock_shared().is_ok())
}

/// Removes what a killed connect left under this name; refuses what is somebody else's, or is in use.
pub fn clean(dir: &Path, name: &str) -> Outcome<()> {
    let Ok(mut file) = open(dir) else {
        return Err(Failure::usage(format!(
            "the profile {} already exists, and `ipjob connect` did not create it",
            dir.display()
        ))
        .hint("choose another name with --profile, or remove it if nothing uses it"));
    };
    let marker = read(&mut file);
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(dir, name, &marker)),
        Err(TryLockError::Error(error)) => {
            return Err(Failure::missing(format!(
                "the profile {} cannot be locked",
                dir.display()
            ))
            .because(error));
        }
    }
    if let Some(private) = marker.private.filter(|path| is_private_directory(path)) {
        end_its_ssh(&private);
        let _ = files::remove_tree(&private);
    }
    if remove(dir) {
        return Ok(());
    }
    Err(Failure::missing(format!(
        "the profile {} was left by an `ipjob connect` that was killed, and contains other files",
        dir.display()
    ))
    .hint("check it, then remove it or choose another name with --profile"))
}

/// What is said of a job that another connect has open.
pub fn in_use(dir: &Path, name: &str, marker: &Marker) -> Failure {
    let failure = Failure::usage(format!(
        "{name} is already connected, by `ipjob connect {}` (pid {})",
        marker.target, marker.pid
    ))
    .hint(format!(
        "use that one: ipp.Client(profile={name:?}) works in every program here, and --open opens its page"
    ))
    .hint(format!(
        "end it with Ctrl-C where it runs, or with `ipjob connect --disconnect {name}`"
    ));
    match &marker.url {
        // Not shown here: the token is in it, and who reads this text is not known.
        Some(_) => failure.hint(format!(
            "the address of its Jupyter is in {} (\"url\")",
            dir.join(MARKER).display()
        )),
        None => failure,
    }
}

/// Opens the marker of a profile, if that is ours: one names processes that are to be ended, and a directory that is to be removed.
fn open(dir: &Path) -> io::Result<File> {
    secure_path::own(dir)?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(files::NO_LINK)
        .open(dir.join(MARKER))
}

/// What a marker says; one that cannot be read says nothing.
fn read(file: &mut File) -> Marker {
    let mut bytes = Vec::new();
    let _ = file.take(64 * 1024).read_to_end(&mut bytes);
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Ends an ssh of a dead connect: it ends by itself when its stdin closes, but not while a browser still uses a connection through it.
/// It is known by its control socket, whose path is random. Without /proc it is left to end by itself.
fn end_its_ssh(private: &Path) {
    let own = private.display().to_string();
    for pid in process::all() {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let mut words = line.split('\0');
        let is_ssh = words
            .next()
            .is_some_and(|program| Path::new(program).ends_with("ssh"));
        if is_ssh
            && words.any(|word| Path::new(word).starts_with(&own))
            && let Ok(pid) = i32::try_from(pid)
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}

/// Only a directory of the kind that connect makes is removed on a marker's word.
pub fn is_private_directory(path: &Path) -> bool {
    let named = path
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(super::PRIVATE_PREFIX));
    let own = fs::symlink_metadata(path)
        .is_ok_and(|found| found.is_dir() && refuse_others(path, &found, 0o077).is_ok());
    named && own
}

/// Removes what connect and IPython made in a profile, and the profile if nothing else is in it. Tells whether it is gone.
fn remove(dir: &Path) -> bool {
    let _ = files::remove(&dir.join("security/ipcontroller-client.json"));
    files::remove_temporaries(&dir.join("security"), std::time::Duration::ZERO);
    for name in OF_IPYTHON {
        let path = dir.join(name);
        // A directory that is not empty stays.
        let _ = fs::remove_dir(&path).or_else(|_| files::remove(&path));
    }
    let only_ours = fs::read_dir(dir).is_ok_and(|entries| {
        entries
            .flatten()
            .all(|entry| entry.file_name() == MARKER || entry.file_name() == MADE_BY_IPJOB)
    });
    let _ = files::remove(&dir.join(MADE_BY_IPJOB));
    let _ = files::remove(&dir.join(MARKER));
    only_ours && fs::remove_dir(dir).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ProfileName {
        ProfileName::new(text).expect("a name")
    }

    fn marker() -> Marker {
        Marker {
            pid: 7,
            target: "daint:123".to_owned(),
            ..Marker::default()
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    }

    #[test]
    fn a_profile_is_private_and_goes_with_all_that_ipython_made_in_it() {
        let place = tempfile::tempdir().expect("a directory");
        let ipython = place.path().join("deep/.ipython");
        let profile = LocalProfile::make(&ipython, &name("job_1"), marker()).expect("made");
        profile.write("{}").expect("written");
        let dir = ipython.join("profile_job_1");
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&profile.client_file()), 0o600);
        for name in ["startup", "log", "pid"] {
            fs::create_dir(dir.join(name)).expect("made");
        }
        fs::write(dir.join("startup/README"), "x").expect("written");
        fs::write(dir.join("history.sqlite"), "x").expect("written");
        drop(profile);
        assert!(!dir.exists());
        assert_eq!(fs::read_dir(&ipython).expect("a directory").count(), 0);
    }

    #[test]
    fn what_somebody_else_put_there_stays() {
        let place = tempfile::tempdir().expect("a directory");
        let profile = LocalProfile::make(place.path(), &name("job_1"), marker()).expect("made");
        let own = place.path().join("profile_job_1/startup/mine.py");
        fs::create_dir(own.parent().expect("a directory")).expect("made");
        fs::write(&own, "x").expect("written");
        let client = profile.client_file();
        profile.write("{}").expect("written");
        drop(profile);
        assert!(own.exists() && !client.exists());
    }

    #[test]
    fn somebody_else_s_profile_is_refused_and_untouched() {
        let place = tempfile::tempdir().expect("a directory");
        let file = place
            .path()
            .join("profile_job_1/security/ipcontroller-client.json");
        fs::create_dir_all(file.parent().expect("a directory")).expect("made");
        fs::write(&file, "theirs").expect("written");
        let failure =
            LocalProfile::make(place.path(), &name("job_1"), marker()).expect_err("refused");
        assert!(failure.message.contains("did not create it"), "{failure}");
        assert_eq!(fs::read_to_string(&file).expect("it stays"), "theirs");
    }

    #[test]
    fn where_the_home_is_the_jobs_too_its_own_profile_is_left_alone() {
        let place = tempfile::tempdir().expect("a directory");
        for (own, free) in [("job_1", "connect_1"), ("mine", "connect_mine")] {
            assert_eq!(LocalProfile::free_name(place.path(), &name(own)), name(own));
            let record = Profile::new(place.path(), &name(own)).record();
            fs::create_dir_all(record.parent().expect("a directory")).expect("made");
            fs::write(&record, "{}").expect("written");
            assert_eq!(
                LocalProfile::free_name(place.path(), &name(own)),
                name(free)
            );
            let failure =
                LocalProfile::make(place.path(), &name(own), marker()).expect_err("refused");
            assert!(failure.message.contains("belongs to a job"), "{failure}");
            assert!(record.exists());
            let made = LocalProfile::make(place.path(), &name(free), marker()).expect("made");
            assert_eq!(made.name().as_str(), free);
        }
    }

    #[test]
    fn a_second_connect_is_told_of_the_first_and_a_dead_one_is_cleaned_up_after() {
        let place = tempfile::tempdir().expect("a directory");
        let mut first = LocalProfile::make(place.path(), &name("job_1"), marker()).expect("made");
        assert_eq!(live(&first.dir).map(|it| it.state()), Some("connecting"));
        first.tell(Ready {
            url: Some("http://127.0.0.1:8000/lab?token=x".to_owned()),
            ..Ready::default()
        });
        let told = live(&first.dir).expect("it lives");
        assert_eq!((told.state(), told.pid), ("connected", 7));
        assert_eq!(told.ready, first.marker.ready);
        first.is_down();
        assert_eq!(live(&first.dir).map(|it| it.state()), Some("reconnecting"));
        let failure =
            LocalProfile::make(place.path(), &name("job_1"), marker()).expect_err("in use");
        assert!(failure.message.contains("pid 7"), "{failure}");
        assert!(
            failure
                .hints
                .iter()
                .any(|hint| hint.contains("profile_job_1/ipjob-connect.json")),
            "{failure:?}"
        );

        assert!(!format!("{failure:?}").contains("token"), "{failure:?}");

        // Killed: the lock goes with the process, the files stay.
        let private = tempfile::Builder::new()
            .prefix(crate::remote::connect::PRIVATE_PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(place.path())
            .expect("a directory");
        let dir = place.path().join("profile_job_1");
        first.marker.private = Some(private.path().to_owned());
        first.write_marker();
        let LocalProfile { _lock: lock, .. } = &first;
        lock.unlock().expect("unlocked");
        assert_eq!(live(&dir), None);
        std::mem::forget(first);
        fs::write(dir.join("security/ipcontroller-client.json"), "old").expect("written");
        let second =
            LocalProfile::make(place.path(), &name("job_1"), marker()).expect("cleaned and made");
        assert!(!second.client_file().exists());
        assert!(!private.path().exists());
    }
}
