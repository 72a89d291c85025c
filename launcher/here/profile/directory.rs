//! The profile directory: made, checked, locked, and cleared of what earlier lives left. It is nobody else's to write in: who can write
//! there can put files, links or a whole profile of their own in the place of ours, with a key that they know.

use super::lock::Lock;
use super::socket_directory;
use crate::failure::{Failure, Outcome};
use crate::here::os::files;
use crate::here::os::own_time::OwnTime;
use crate::here::os::process;
use crate::here::os::secure_path::{self, Fault};
use crate::here::os::stray_processes::{self, Leftover};
use crate::plan::cluster_file;
use crate::plan::connection;
use crate::plan::incarnation::Incarnation;
use crate::plan::profile::{JUPYTER, KEY_FILE, LIFE_PREFIX, Profile, RUNTIME};
use nix::sys::signal::Signal;
use std::env;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// What the README of a profile's startup directory says.
const STARTUP: &[u8] = b"Python files in this directory run in every engine of this profile when it starts, in the order of their names.\n";

/// How long what a dead ipjob left running may take to end when asked, and then to be killed.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(3);

/// A profile directory that is ours for this life.
#[derive(Debug)]
pub struct Directory {
    /// Held until the end.
    pub lock: Lock,
    /// What a person should know: what a dead ipjob left and was ended.
    pub remarks: Vec<String>,
    /// Tells other ipjobs that Jupyter's runtime directory is in use, until the end.
    _sockets: Option<File>,
}

/// Makes the profile directory ready for a controller: no connection file, no engine list and no process of an earlier life
/// is left that could be taken for ours.
pub fn prepare(profile: &Profile, own: &Incarnation, key: &str) -> Outcome<Directory> {
    make_place(profile)?;
    let mut remarks = Vec::new();
    let lock = Lock::take(&profile.lock(), own)?;
    if let Some(dead) = &lock.dead {
        if lock.taken_over {
            remarks.push(format!(
                "taken over from an earlier life of this job, {} (pid {} on {})",
                dead.id, dead.pid, dead.host
            ));
            end_predecessor(dead, own);
        }
        end_leftovers(dead, own, &mut remarks);
    }
    let ready = remove_stale(profile)
        .and_then(|()| furnish(profile, &own.id, key).inspect_err(|_| clear(profile, key)));
    match ready {
        Ok(sockets) => Ok(Directory {
            lock,
            remarks,
            _sockets: sockets,
        }),
        Err(failure) => {
            lock.ended();
            Err(failure)
        }
    }
}

/// Removes what an earlier life left, where it is provably ipjob's.
fn remove_stale(profile: &Profile) -> Outcome<()> {
    let stale = [profile.client_file(), profile.engine_file()];
    if !profile.marker().exists() && !of_dead_ipjob(profile, &stale) {
        refuse_foreign(&stale)?;
    }
    // A list of clusters knows the job still that was killed.
    remove_cluster_file(profile);
    for path in stale {
        files::remove(&path).map_err(|error| unusable(&path, error))?;
    }
    for dir in [&profile.dir, &profile.security()] {
        // The profile is locked: nobody writes here now.
        files::remove_temporaries(dir, Duration::ZERO);
    }
    remove_earlier_lives(profile)
}

/// Makes what a controller and Jupyter need: their directories, and the key that messages are signed with. The result is held as long
/// as the runtime directory on a disk of this node is used.
fn furnish(profile: &Profile, life: &str, key: &str) -> Outcome<Option<File>> {
    for dir in [profile.runtime(), profile.security()] {
        files::private_directory(&dir).map_err(|error| unusable(&dir, error))?;
    }
    let (jupyter, link) = (profile.jupyter_runtime(), profile.jupyter_link());
    let sockets = if jupyter == link {
        files::private_directory(&jupyter).map_err(|error| unusable(&jupyter, error))?;
        None
    } else {
        let made = socket_directory::make(&jupyter)?;
        symlink(&jupyter, &link).map_err(|error| unusable(&link, error))?;
        Some(made)
    };
    if profile.marker().exists() {
        let startup = profile.startup();
        furnish_startup(&startup).map_err(|error| unusable(&startup, error))?;
    }
    let logs = profile.log_dir();
    files::unwritable_directory(&logs).map_err(|error| unusable(&logs, error))?;
    let key_file = profile.key_file();
    files::private_file(&key_file, key.as_bytes()).map_err(|error| unusable(&key_file, error))?;
    let request = profile.request();
    files::private_file(&request, format!("{life}\n").as_bytes())
        .map_err(|error| unusable(&request, error))?;
    Ok(sockets)
}

/// IPython copies a README there, with its permissions, where there is none: that fails on a file system that refuses chmod.
fn furnish_startup(dir: &Path) -> io::Result<()> {
    let made = |made: io::Result<()>| match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    made(DirBuilder::new().mode(0o700).create(dir))?;
    made(files::private_file(&dir.join("README"), STARTUP))
}

/// Removes what lets others in: connection files and the key. The file of another controller stays: of one that was started meanwhile in a
/// directory that ipjob did not make, or of a later life that has taken over, and then has removed our key.
pub fn shut(profile: &Profile, key: &str) {
    let key_file = profile.key_file();
    let carries = fs::read_to_string(&key_file).is_ok_and(|text| text.contains(key));
    let ours = carries && profile.marker().exists();
    for path in [
        profile.client_file(),
        profile.engine_file(),
        profile.own_client_file(),
        profile.own_engine_file(),
    ] {
        let foreign = || connection::foreign(&fs::read_to_string(&path).ok()?, key);
        if ours || foreign().is_none() {
            let _ = files::remove(&path);
        }
    }
    if carries {
        let _ = files::remove(&key_file);
    }
}

/// Removes all that only a running job may have. Logs and the record stay.
pub fn clear(profile: &Profile, key: &str) {
    shut(profile, key);
    remove_cluster_file(profile);
    if profile.takes_sockets() {
        // Its name is of chance: no other life has it.
        let _ = files::remove_tree(&profile.jupyter_runtime());
    }
    // No other life has a runtime directory of this name, but a number that Slurm uses again.
    if !profile.key_file().exists() {
        let _ = files::remove_tree(&profile.runtime());
    }
}

/// Removes the file by which ipyparallel's tools know the job; one of a cluster of the user's stays.
fn remove_cluster_file(profile: &Profile) {
    let path = profile.cluster_file();
    if fs::read_to_string(&path).is_ok_and(|text| cluster_file::is_ours(&text)) {
        let _ = files::remove(&path);
    }
}

/// Removes what earlier lives of the job left under names of their own: connection files, private directories, and the hub's lists
/// of engines, which the hub itself never clears: an old one would count engines that are long gone.
fn remove_earlier_lives(profile: &Profile) -> Outcome<()> {
    let connection = format!("ipcontroller-{LIFE_PREFIX}");
    let list = format!("engines{LIFE_PREFIX}");
    let mut stale = named(&profile.security(), &connection);
    stale.extend(named(&profile.log_dir(), &list));
    stale.push(profile.log_dir().join("engines.json"));
    for path in stale {
        files::remove(&path).map_err(|error| unusable(&path, error))?;
    }
    for path in named(&profile.dir, RUNTIME) {
        socket_directory::remove_behind(&path.join(JUPYTER));
        files::remove_tree(&path).map_err(|error| unusable(&path, error))?;
    }
    Ok(())
}

/// What a directory has under names that begin so.
fn named(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect()
}

/// Whether the connection files in a directory that ipjob did not make are those of an ipjob that died here: then the key
/// that it left is the one they carry.
fn of_dead_ipjob(profile: &Profile, stale: &[PathBuf]) -> bool {
    named(&profile.dir, RUNTIME)
        .iter()
        .filter_map(|runtime| fs::read_to_string(runtime.join(KEY_FILE)).ok())
        .any(|key| {
            !key.is_empty()
                && stale
                    .iter()
                    .filter_map(|path| fs::read_to_string(path).ok())
                    .all(|text| text.contains(&key))
        })
}

/// In a directory of somebody else's making a connection file may belong to a controller that runs elsewhere.
fn refuse_foreign(files: &[PathBuf]) -> Outcome<()> {
    match files.iter().find(|path| path.exists()) {
        Some(path) => Err(Failure::missing(format!(
            "{} already exists, and ipjob did not create this profile",
            path.display()
        ))
        .hint("a controller may run with it: stop it (`ipcluster stop`), remove the file, or choose another --profile")),
        None => Ok(()),
    }
}

/// Kills an ipjob of an earlier life that still runs on this very host: Slurm has ended its job, so it escaped Slurm's hand. It is
/// not asked, because its controller would remove connection files on its way out.
fn end_predecessor(earlier: &Incarnation, own: &Incarnation) {
    if earlier.host != own.host || earlier.boot != own.boot {
        return;
    }
    let begin = OwnTime::now();
    while process::stat(earlier.pid)
        .is_some_and(|stat| stat.runs() && stat.start == earlier.pid_start)
        && begin.elapsed() < LEFTOVER_PATIENCE
    {
        if let Some(process) = Leftover::of(earlier.pid) {
            process.signal(Signal::SIGKILL);
        }
        // As below: nothing else is waited for.
        thread::sleep(Duration::from_millis(10));
    }
}

/// Ends what a dead ipjob left running on this host: only processes that carry its incarnation.
fn end_leftovers(dead: &Incarnation, own: &Incarnation, remarks: &mut Vec<String>) {
    if dead.host != own.host || dead.boot != own.boot {
        return;
    }
    let left: Vec<Leftover> = stray_processes::carrying(&dead.id).into_keys().collect();
    if left.is_empty() {
        return;
    }
    end(&dead.id, Signal::SIGTERM);
    end(&dead.id, Signal::SIGKILL);
    let outcome = match stray_processes::carrying(&dead.id).len() {
        0 => "ended".to_owned(),
        more => format!("{more} of them cannot be killed (a hung file system?)"),
    };
    remarks.push(format!(
        "an ipjob that died here (pid {}) left {} processes running: {outcome}",
        dead.pid,
        left.len()
    ));
}

/// Signals all that carry an incarnation until none is left or the time is up.
fn end(incarnation: &str, signal: Signal) {
    let begin = OwnTime::now();
    let mut told = std::collections::BTreeSet::new();
    while begin.elapsed() < LEFTOVER_PATIENCE {
        let left = stray_processes::carrying(incarnation);
        if left.is_empty() {
            return;
        }
        for leftover in left.into_keys() {
            if told.insert(leftover) {
                leftover.signal(signal);
            }
        }
        // Before the event loop runs there is nothing else to wait on: these are no children of ours.
        thread::sleep(Duration::from_millis(10));
    }
}

/// Makes the profile directory where it is missing, and marks it as ours to clear.
fn make_place(profile: &Profile) -> Outcome<()> {
    ipython_dir(&profile.ipython_dir)?;
    let dir = &profile.dir;
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {
            let text = b"ipjob made this directory and may clear it\n";
            return files::private_file(&profile.marker(), text).map_err(|error| {
                // Without its mark the next ipjob would take it for somebody else's.
                let _ = fs::remove_dir(dir);
                unusable(dir, error)
            });
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(unusable(dir, error)),
    }
    secure_path::own(dir).map_err(|fault| unusable(dir, fault))
}

/// Refuses to work where every user can put files: Python takes modules out of the working directory, engines and their nannies already
/// while they start. Whom a group or another owner lets in is the user's choice.
pub fn working_directory() -> Outcome<()> {
    // One that is gone was told of when the options were read.
    let Ok(dir) = env::current_dir() else {
        return Ok(());
    };
    let Some(fault) = secure_path::open_to_all(&dir) else {
        return Ok(());
    };
    Err(Failure::missing(format!(
        "the working directory {} is not safe from others",
        dir.display()
    ))
    .because(fault)
    .hint("engines run modules that they find there: `cd` to a directory of your own, or submit the job from it (sbatch --chdir=DIRECTORY)")
    .hint("--root-dir gives Jupyter another directory"))
}

/// Goes from such a directory to `/`, where only root puts files, and tells so. On a node that lacks the job's directory slurmstepd starts
/// tasks in /tmp.
pub fn leave_open_directory() -> Outcome<Option<String>> {
    let Err(left) = working_directory() else {
        return Ok(None);
    };
    if env::set_current_dir("/").is_err() || working_directory().is_err() {
        return Err(left);
    }
    let cause = left.cause.unwrap_or_default();
    Ok(Some(format!(
        "ipjob: {} ({cause}): the engine starts in / instead",
        left.message
    )))
}

/// Makes the IPython directory where it is missing, and refuses one in which others can put something: a profile in the place of
/// ours, or the `profile_default` that every kernel runs the startup files of.
pub fn ipython_dir(dir: &Path) -> Outcome<()> {
    secure_path::make_whole(dir).map_err(|fault| {
        let message = if fault.is_open() {
            format!(
                "the IPython directory {} is not safe from others",
                dir.display()
            )
        } else {
            format!("the IPython directory {} cannot be made", dir.display())
        };
        let hint = "choose another with --ipython-dir or IPYTHONDIR";
        let failure = hinted(Failure::missing(message).because(&fault), &fault);
        if fault.is_open() {
            // A home directory in a container is often root's, and open to a group of all.
            failure.hint(format!(
                "{hint}; for a job on this machine alone `export IPYTHONDIR=$(mktemp -d)` makes a private one"
            ))
        } else {
            failure.hint(hint)
        }
    })
}

/// A failure with what to do about the fault that caused it.
fn hinted(failure: Failure, fault: &Fault) -> Failure {
    match fault.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// A failure of the profile directory, or of what lies in it.
pub fn unusable(path: &Path, fault: impl Into<Fault>) -> Failure {
    let fault = fault.into();
    let failure = Failure::missing(format!(
        "the profile directory cannot be used: {}",
        path.display()
    ))
    .because(&fault);
    hinted(failure, &fault)
        .hint("choose another profile with --profile, or another directory with --ipython-dir")
}
