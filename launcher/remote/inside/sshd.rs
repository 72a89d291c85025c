//! `ipjob sshd`, which srun starts on a node of the job: an sshd of the user's own for one connection, on these standard streams.

use super::keys;
use crate::failure::{Failure, Outcome};
use crate::here::os::{files, state};
use crate::here::site::identity;
use crate::plan::profile;
use crate::record::{LONGEST_RECORD, Record};
use crate::report::dry_run::quoted;
use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;

/// Where sshd is, beside the directories of PATH: a user's seldom has them.
const PLACES: &str = "/usr/sbin:/usr/local/sbin:/sbin:/opt/ssh/sbin";

/// Where distributions put what serves sftp.
const SFTP_SERVERS: [&str; 5] = [
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/lib/ssh/sftp-server",
    "/usr/libexec/sftp-server",
    "/usr/lib64/ssh/sftp-server",
];

/// The record of the job, whose profile the nodes share.
pub(super) fn record(path: &Path) -> Outcome<Record> {
    let text = files::read_private(path, LONGEST_RECORD as u64);
    let told = text.as_deref().map(|text| Record::read(text.as_bytes()));
    match told {
        Some(Ok(record)) => Ok(record),
        Some(Err(fault)) => {
            Err(Failure::missing(format!("{} cannot be used", path.display())).because(fault))
        }
        None => Err(Failure::missing(format!(
            "{} does not exist on {}, or is not yours alone",
            path.display(),
            identity::host()
        ))
        .hint(
            "a session needs the job's profile directory on its node: choose another with --node",
        )),
    }
}

/// Serves one connection; `key` is the only one that gets in.
pub fn serve(path: &Path, key: &str) -> Outcome<u8> {
    let record = record(path)?;
    let Some(key) = keys::words(key) else {
        return Err(Failure::usage(format!("{key:?} is not a public key")));
    };
    let program = which::which_in("sshd", Some(search_path()), "/").map_err(|_| {
        Failure::missing(format!("there is no sshd on {}", identity::host()))
            .hint("ask the centre for OpenSSH's server on compute nodes: it need not run there")
    })?;
    let own = env::current_exe()
        .map_err(|error| Failure::missing("ipjob cannot find its own program").because(error))?;
    let dir = record.profile.dir.as_deref().unwrap_or_default();
    let directory = profile::ssh(Path::new(dir), record.job.restart.unwrap_or_default());
    let sftp = SFTP_SERVERS
        .iter()
        .map(Path::new)
        .find(|path| path.exists());
    let authorized = nameless(key.as_bytes())?;
    let pid = std::process::id();
    let session = [
        quoted(&own.display().to_string()),
        "session".to_owned(),
        quoted(&path.display().to_string()),
        pid.to_string(),
    ];
    let readable = format!("/proc/{pid}/fd/{}", authorized.as_raw_fd());
    let status = Command::new(&program)
        .args(arguments(&directory, &readable, &session.join(" "), sftp))
        .status();
    drop(authorized);
    // Its exit code is the same for an end that the client wished and for any other.
    status.map(|_| 0).map_err(|error| {
        Failure::missing(format!("{} cannot be started", program.display())).because(error)
    })
}

/// A file without a name, which nothing can leave behind: this process and what belongs to the user can read it as long as we have it open.
fn nameless(content: &[u8]) -> Outcome<File> {
    // The login node's TMPDIR may not be here.
    let mut places = state::temporary();
    let file = places.find_map(|place| {
        let mut file = tempfile::tempfile_in(place).ok()?;
        file.write_all(content).is_ok().then_some(file)
    });
    file.ok_or_else(|| {
        Failure::missing(format!("no file can be made on {}", identity::host()))
            .because("tried TMPDIR, /tmp and /dev/shm: full, or others could replace what is there")
    })
}

fn search_path() -> OsString {
    let own = env::var_os("PATH").unwrap_or_default();
    let all = env::split_paths(&own).chain(env::split_paths(PLACES));
    env::join_paths(all).unwrap_or_else(|_| PLACES.into())
}

/// What sshd is told: all of it, because a site's own configuration is for root's.
fn arguments(
    directory: &Path,
    authorized: &str,
    session: &str,
    sftp: Option<&Path>,
) -> Vec<String> {
    let path = |path: &Path| format!("\"{}\"", path.display());
    let mut settings = vec![
        ("HostKey", path(&directory.join("host"))),
        ("AuthorizedKeysFile", authorized.to_owned()),
        ("AuthenticationMethods", "publickey".to_owned()),
        ("PasswordAuthentication", "no".to_owned()),
        ("KbdInteractiveAuthentication", "no".to_owned()),
        ("UsePAM", "no".to_owned()),
        // Its rule for directories is stricter than ipjob's own, which has been kept, and would refuse homes that a group can write in.
        ("StrictModes", "no".to_owned()),
        ("PidFile", "none".to_owned()),
        ("PrintMotd", "no".to_owned()),
        ("PrintLastLog", "no".to_owned()),
        // A client that has gone without a word holds its step for five minutes.
        ("ClientAliveInterval", "60".to_owned()),
        ("ClientAliveCountMax", "5".to_owned()),
        ("LogLevel", "ERROR".to_owned()),
        ("ForceCommand", format!("exec {session}")),
    ];
    if let Some(sftp) = sftp {
        settings.push(("Subsystem", format!("sftp {}", sftp.display())));
    }
    let settings = settings.into_iter();
    ["-i", "-e", "-f", "/dev/null"]
        .map(str::to_owned)
        .into_iter()
        .chain(settings.flat_map(|(name, value)| ["-o".to_owned(), format!("{name}={value}")]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sshd_is_told_everything() {
        let told = arguments(
            Path::new("/h/50%/ssh"),
            "/proc/42/fd/5",
            "/opt/ipjob session /h/ipjob.json 42",
            Some(Path::new("/usr/lib/openssh/sftp-server")),
        );
        let expected = r#"-i -e -f /dev/null
HostKey="/h/50%/ssh/host"
AuthorizedKeysFile=/proc/42/fd/5
AuthenticationMethods=publickey
PasswordAuthentication=no
KbdInteractiveAuthentication=no
UsePAM=no
StrictModes=no
PidFile=none
PrintMotd=no
PrintLastLog=no
ClientAliveInterval=60
ClientAliveCountMax=5
LogLevel=ERROR
ForceCommand=exec /opt/ipjob session /h/ipjob.json 42
Subsystem=sftp /usr/lib/openssh/sftp-server"#;
        assert_eq!(told.join(" ").replace(" -o ", "\n"), expected);
        assert!(
            !arguments(Path::new("/"), "/", "x", None)
                .concat()
                .contains("Subsystem")
        );
    }
}
