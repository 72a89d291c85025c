//! The connections of this machine: `ipjob connect --list` and `--disconnect`. Each is known by the marker in its local profile, which is
//! locked as long as its connect runs.

use super::background;
use super::profile::{self, Marker};
use crate::cli::connect::ConnectOptions;
use crate::failure::{Failure, Kind, Outcome};
use crate::here::os::own_time;
use crate::here::os::text::printable;
use crate::plan::profile::ProfileName;
use crate::remote::status::clock;
use crate::remote::target::{Host, Job, Target};
use crate::report::console::Console;
use crate::report::output;
use crate::report::table::{self, Cell};
use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// How long a connect may take to end: it gives its programs 2 s.
const PATIENCE: Duration = Duration::from_secs(15);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Bytes of a log that are read.
const LONGEST_LOG: u64 = 1 << 20;

/// A connection, or what is left of one.
#[derive(Debug)]
struct Tunnel {
    name: String,
    /// Its local profile.
    dir: Option<PathBuf>,
    marker: Marker,
    how: How,
    /// Where its lines go, where it is or was one of the background.
    log: Option<PathBuf>,
}

#[derive(Debug, PartialEq, Eq)]
enum How {
    /// Its connect runs.
    Live,
    /// It was killed.
    Left,
    /// It has ended by itself, and said why.
    Failed(String),
}

/// What `--json` tells of one.
#[derive(Serialize)]
struct Told<'a> {
    job: &'a str,
    host: Option<&'a str>,
    profile: &'a str,
    state: &'a str,
    note: String,
    background: bool,
    pid: Option<u32>,
    since: Option<String>,
    url: Option<&'a str>,
    client_file: Option<PathBuf>,
    log: Option<&'a Path>,
}

impl Tunnel {
    fn state(&self) -> &str {
        match self.how {
            How::Live => self.marker.state(),
            How::Left => "killed",
            How::Failed(_) => "failed",
        }
    }

    fn note(&self) -> String {
        match &self.how {
            How::Live if self.marker.background => {
                format!("in the background, pid {}", self.marker.pid)
            }
            How::Live => format!("pid {}", self.marker.pid),
            How::Left => "the next connect or `ipjob clean` removes what it left".to_owned(),
            How::Failed(why) => why.clone(),
        }
    }

    /// What people call it.
    fn target(&self) -> &str {
        match self.marker.target.as_str() {
            "" => &self.name,
            target => target,
        }
    }

    /// Whether these words name it.
    fn is(&self, target: &Target, word: &str) -> bool {
        if word == self.name || word == self.marker.target {
            return true;
        }
        let host = target.host.as_ref().map(Host::as_str);
        let is_there = host.is_none() || host == self.marker.host.as_deref();
        let job = target.job.as_ref().map(Job::as_str);
        is_there && job.is_none_or(|job| job == self.marker.job || job == self.name)
    }

    fn told(&self) -> Told<'_> {
        let lives = self.how == How::Live;
        let since = Timestamp::from_second(self.marker.since).ok();
        let ready = self.marker.ready.as_ref().filter(|_| lives);
        Told {
            job: &self.marker.job,
            host: self.marker.host.as_deref(),
            profile: &self.name,
            state: self.state(),
            note: self.note(),
            background: self.marker.background,
            pid: lives.then_some(self.marker.pid),
            since: since.filter(|_| lives).map(|since| since.to_string()),
            url: ready.and_then(|ready| ready.url.as_deref()),
            client_file: ready.and_then(|ready| ready.client_file.clone()),
            log: self.log.as_deref(),
        }
    }

    fn cells(&self, now: Timestamp) -> [Cell; 6] {
        let since = Timestamp::from_second(self.marker.since).ok();
        let lasts = since.map(|since| now.duration_since(since).as_secs().max(0));
        let lives = self.how == How::Live;
        let server = self.marker.url.as_ref().filter(|_| lives);
        // Path and token are secret; --open leads to the page.
        let server = server.map(|url| url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/"));
        let dash = || "-".to_owned();
        [
            printable(self.target()),
            self.name.clone(),
            self.state().to_owned(),
            lasts.filter(|_| lives).map_or_else(dash, clock),
            server.map_or_else(dash, |server| printable(&server)),
            printable(&self.note()),
        ]
        .map(Cell::from)
    }
}

/// All that there are, by the names of their profiles.
fn all(ipython_dir: &Path) -> Vec<Tunnel> {
    let mut found: Vec<Tunnel> = profile::all(ipython_dir)
        .into_iter()
        .map(|(name, dir)| {
            let live = profile::live(&dir);
            let how = if live.is_some() { How::Live } else { How::Left };
            let marker = live.unwrap_or_else(|| profile::left(&dir));
            let log = background::log(&name).filter(|log| marker.background && log.is_file());
            Tunnel {
                name,
                dir: Some(dir),
                marker,
                how,
                log,
            }
        })
        .collect();
    let logs = background::logs().and_then(|logs| fs::read_dir(logs).ok());
    for entry in logs.into_iter().flatten().flatten() {
        let file = entry.file_name();
        let name = file
            .to_str()
            .and_then(|file| file.strip_suffix(background::LOG));
        let Some(name) = name.filter(|name| ProfileName::new(name).is_ok()) else {
            continue;
        };
        // A log without a profile whose connect still runs is incomplete: the connect is about to end and to say why.
        let is_known = found.iter().any(|tunnel| tunnel.name == name);
        if !is_known && !background::is_written(&entry.path()) {
            found.push(Tunnel {
                name: name.to_owned(),
                dir: None,
                marker: Marker::default(),
                how: How::Failed(last_words(&entry.path())),
                log: Some(entry.path()),
            });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// Why a connect has ended, by its log.
fn last_words(log: &Path) -> String {
    let mut text = String::new();
    let read = File::open(log).and_then(|file| file.take(LONGEST_LOG).read_to_string(&mut text));
    let error = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("error: "));
    match (read, error) {
        (Ok(_), Some(error)) => format!("{error} ({})", log.display()),
        _ => format!("it was killed; its log is {}", log.display()),
    }
}

/// Lists them.
pub fn list(options: &ConnectOptions, console: &Console) -> Outcome<u8> {
    let all = all(&options.tunnel.ipython_dir()?);
    if options.tunnel.json {
        if !output::data_is_private() {
            console.warning("stdout is a file that others can read, and tokens are written to it: set `umask 077` before you create it");
        }
        let told: Vec<Told> = all.iter().map(Tunnel::told).collect();
        let text = serde_json::to_string_pretty(&told)
            .map_err(|error| output::cannot_print(&error.into()))?;
        return output::data((text + "\n").as_bytes()).map(|()| 0);
    }
    if all.is_empty() {
        return output::data(b"no connections\n").map(|()| 0);
    }
    let now = Timestamp::now();
    let cells: Vec<[Cell; 6]> = all.iter().map(|tunnel| tunnel.cells(now)).collect();
    let headings = ["JOB", "PROFILE", "STATE", "FOR", "JUPYTER", "NOTE"];
    output::data(&output::painted(&table::text(headings, &cells))).map(|()| 0)
}

/// Ends one, and waits until it has ended.
pub fn disconnect(options: &ConnectOptions, console: &Console) -> Outcome<u8> {
    let word = options.target.as_deref().unwrap_or_default();
    let target = Target::read(word)?;
    let all = all(&options.tunnel.ipython_dir()?);
    let meant: Vec<&Tunnel> = all
        .iter()
        .filter(|tunnel| tunnel.is(&target, word))
        .collect();
    let living = |tunnel: &&&Tunnel| tunnel.how == How::Live;
    // What is left of others is in nobody's way.
    let lives: Vec<&Tunnel> = meant.iter().filter(living).copied().collect();
    let meant = if lives.is_empty() { meant } else { lives };
    let only = match meant.as_slice() {
        [] => {
            let what = match word {
                "" => "nothing is connected here".to_owned(),
                word => format!("no connection to {word} found here"),
            };
            return Err(Failure::no_job(what)
                .hint("`ipjob connect --list` lists the connections of this machine"));
        }
        [only] => *only,
        several => {
            let names: Vec<&str> = several.iter().map(|tunnel| tunnel.name.as_str()).collect();
            return Err(Failure::usage(format!(
                "{} connections match: name one by its profile",
                several.len()
            ))
            .hint(names.join(", ")));
        }
    };
    match &only.dir {
        Some(dir) => end(only, dir)?,
        None => only.log.iter().for_each(|log| background::remove_log(log)),
    }
    console.step(&match only.how {
        How::Live => format!("disconnected: {}; the job keeps running", only.target()),
        How::Left | How::Failed(_) => format!("removed what was left of {}", only.target()),
    });
    Ok(0)
}

fn end(tunnel: &Tunnel, dir: &Path) -> Outcome<()> {
    if tunnel.how != How::Live {
        profile::clean(dir, &tunnel.name)?;
        tunnel
            .log
            .iter()
            .for_each(|log| background::remove_log(log));
        return Ok(());
    }
    let pid = tunnel.marker.pid;
    let process = i32::try_from(pid).map(Pid::from_raw).ok();
    // The marker is that of the process that has it locked.
    let asked = process.filter(|pid| pid.as_raw() > 1).map(|pid| {
        kill(pid, Signal::SIGTERM)
            // One that somebody has stopped would not hear it.
            .and_then(|()| kill(pid, Signal::SIGCONT))
    });
    if !matches!(asked, Some(Ok(()))) {
        return Err(Failure::service(format!(
            "the connect of {} (pid {pid}) cannot be signalled",
            tunnel.name
        )));
    }
    let began = own_time::OwnTime::now();
    while profile::live(dir).is_some_and(|marker| marker.pid == pid) {
        if began.elapsed() > PATIENCE {
            return Err(Failure::new(
                Kind::Service,
                format!(
                    "the connect of {} (pid {pid}) has not ended within {} s",
                    tunnel.name,
                    PATIENCE.as_secs()
                ),
            )
            .hint(format!(
                "`kill -9 {pid}` ends it; the next connect removes what it leaves"
            )));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}
