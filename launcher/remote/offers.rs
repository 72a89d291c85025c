//! What shells offer for `[HOST:]JOB`: hosts of ssh's configuration and jobs. A person waits for it, who has only pressed a key: nothing
//! asks anybody, and a host has a second.

use super::ssh;
use super::target::{Job, Target};
use crate::failure::Outcome;
use crate::here::os::{run_program, state};
use crate::report::output;
use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a host may take.
const LIMIT: Duration = Duration::from_secs(1);

/// Tells of the user's jobs on a host: those in the queue, and the names of the pointers.
const JOBS: &str = "exec /bin/sh -c 'ls \"${XDG_STATE_HOME:-$HOME/.local/state}/ipjob\"; squeue --noheader --user=\"$(id -u)\" --format=%i'";

/// Bytes of a configuration that are read.
const LONGEST: u64 = 1 << 20;

/// How deep `Include` may lead.
const DEEPEST: u32 = 8;

/// The most that is offered.
const MOST: usize = 200;

/// Prints what may follow of this word, one a line; what ends with a colon is no whole word.
pub fn run(word: &str, only_hosts: bool) -> Outcome<u8> {
    let mut found = BTreeSet::new();
    match word.split_once(':') {
        None => {
            let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
            hosts(&home.join(".ssh/config"), &home, DEEPEST, &mut found);
            if !only_hosts {
                let here = state::directory().map(names_in).unwrap_or_default();
                found.extend(here.iter().filter_map(|name| job_of(name)));
            }
        }
        Some((host, _)) if !only_hosts => {
            found.extend(jobs_on(host).into_iter().map(|job| format!("{host}:{job}")));
        }
        Some(_) => {}
    }
    let lines = found.into_iter().filter(|offer| offer.starts_with(word));
    let lines: Vec<String> = lines.take(MOST).map(|offer| offer + "\n").collect();
    output::data(lines.concat().as_bytes()).map(|()| 0)
}

/// The hosts that a configuration of ssh's names, each with its colon.
fn hosts(file: &Path, home: &Path, deep: u32, found: &mut BTreeSet<String>) {
    let mut text = String::new();
    let read = File::open(file).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    if read.is_err() || deep == 0 {
        return;
    }
    for line in text.lines() {
        let mut words = line
            .split(|char: char| char.is_whitespace() || char == '=')
            .map(|word| word.trim_matches('"'))
            .filter(|word| !word.is_empty());
        match words
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase()
            .as_str()
        {
            "host" => {
                // A pattern names no host.
                let named = words.filter(|word| !word.contains(['*', '?', '!']));
                let offers = named.map(|word| format!("{word}:"));
                found.extend(offers.filter(|offer| Target::read(offer).is_ok()));
            }
            "include" => {
                for path in words.flat_map(|word| included(word, home)) {
                    hosts(&path, home, deep - 1, found);
                }
            }
            _ => {}
        }
    }
}

/// The files that `Include` means: relative to ~/.ssh, and with one `*` in their names.
fn included(word: &str, home: &Path) -> Vec<PathBuf> {
    let path = match word.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => home.join(".ssh").join(word),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some((begin, end)) = name.split_once('*') else {
        return vec![path];
    };
    let is_meant = |name: &str| {
        name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end)
    };
    let directory = path.parent().unwrap_or(&path);
    let names = names_in(directory.to_owned());
    let meant = names.iter().filter(|name| is_meant(name));
    meant.map(|name| directory.join(name)).collect()
}

fn names_in(directory: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// The job of a pointer, `CLUSTER.NUMBER.PROFILE.json`; without Slurm its profile.
fn job_of(pointer: &str) -> Option<String> {
    let mut parts = pointer.strip_suffix(".json")?.splitn(3, '.');
    let (_, number, profile) = (parts.next()?, parts.next()?, parts.next());
    match Target::read(number).ok()?.job? {
        Job::Id(number) | Job::Element(number) => Some(number),
        Job::Profile(_) => profile.map(str::to_owned),
    }
}

/// The jobs on a host, if that tells within a second and asks nothing.
fn jobs_on(host: &str) -> Vec<String> {
    let target = Target::read(&format!("{host}:"));
    let (Some(host), Ok(ssh)) = (target.ok().and_then(|target| target.host), ssh::program()) else {
        return Vec::new();
    };
    let mut command = Command::new(&ssh);
    command
        .args(ssh::options(&ssh))
        .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=1", "--"])
        .args([host.as_str(), JOBS]);
    let answer = run_program::ask(&mut command, LIMIT);
    let lines = answer.output.lines().map(str::trim);
    let is_job = |word: &str| {
        let target = Target::read(word).ok()?;
        matches!(target.job, Some(Job::Id(_) | Job::Element(_))).then(|| word.to_owned())
    };
    lines
        .filter_map(|line| job_of(line).or_else(|| is_job(line)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_s_hosts_are_offered_and_its_patterns_are_not() {
        let home = tempfile::tempdir().expect("a directory");
        let ssh = home.path().join(".ssh");
        fs::create_dir_all(ssh.join("more")).expect("made");
        let put = |name: &str, text: &str| fs::write(ssh.join(name), text).expect("written");
        put(
            "config",
            "Include more/*.conf\nHost daint eiger *.cscs.ch !no\n  HostName x\nhost=\"alps\"\nHost $(id)\n",
        );
        put("more/a.conf", "Host todi\nInclude config\n");
        put("more/b.txt", "Host none\n");
        let mut found = BTreeSet::new();
        hosts(&ssh.join("config"), home.path(), DEEPEST, &mut found);
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(found, ["alps:", "daint:", "eiger:", "todi:"]);
    }

    #[test]
    fn a_pointer_names_its_job() {
        for (pointer, job) in [
            ("lab.12.job_12.json", Some("12")),
            ("local.local.job_local.json", Some("job_local")),
            ("lab.7.json", Some("7")),
            ("ssh", None),
            ("connect", None),
        ] {
            assert_eq!(job_of(pointer).as_deref(), job, "{pointer}");
        }
    }
}
