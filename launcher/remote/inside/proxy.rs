//! What carries the bytes of one session: ssh's `ProxyCommand`.

use super::ending::Ending;
use super::keys::{self, Keys};
use super::place::{Place, Wishes};
use crate::cli::ssh::SshOptions;
use crate::failure::{Failure, Outcome};
use crate::here::os::signals::Signals;
use crate::here::os::stray_processes;
use crate::here::os::text::printable;
use crate::remote::find::Search;
use crate::remote::jobs;
use crate::remote::parts::Part;
use crate::remote::restart::meant;
use crate::remote::shell::Streams;
use crate::remote::target::{Target, place};
use crate::report::output;
use crate::run;
use nix::sys::signal::Signal;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long is waited for what is said of the end of a session: squeue may hang.
const LAST_WORDS: Duration = Duration::from_secs(15);

/// One session that begins.
struct Proxy {
    target: Target,
    node: Option<String>,
    program: Option<String>,
    alias: String,
    directory: PathBuf,
    key: String,
}

/// Carries a session until one of its ends is gone, or ssh ends us.
pub fn run(target: &Target, options: &SshOptions, alias: &str, directory: &Path) -> Outcome<u8> {
    run::event_loop()?.block_on(async {
        // From here on: what is made here must go.
        let mut signals = Signals::catch()?;
        let keys = Keys::hold(directory)?;
        let proxy = Proxy {
            target: target.clone(),
            node: options.node.clone(),
            program: options.remote_ipjob.clone(),
            alias: alias.to_owned(),
            directory: directory.to_owned(),
            key: keys.public().to_owned(),
        };
        let (sender, outcome) = oneshot::channel();
        thread::spawn(move || sender.send(proxy.carry()));
        let outcome = signals.unless_asked(outcome).await;
        drop(keys);
        if let Ok(Ok(outcome)) = outcome {
            return outcome.map(|()| 0);
        }
        // ssh ends its `ProxyCommand` so when it ends itself.
        for process in stray_processes::descendants() {
            process.signal(Signal::SIGTERM);
        }
        Ok(0)
    })
}

impl Proxy {
    fn carry(&self) -> Outcome<()> {
        let host = self.target.host.as_ref();
        let wanted = self.target.job.as_ref();
        let mut search = Search::begin(host, wanted)?;
        let found = search.found()?;
        let job = meant(&found, wanted, None, &place(host))?;
        let wishes = Wishes {
            node: self.node.as_deref(),
            program: self.program.as_deref(),
            host,
        };
        let there = Place::of(&found, &job, wishes)?;
        let (told, streams) = search.streams(&there.words(&self.key))?;
        let told = told.last();
        let host_key = told.and_then(|part| keys::words(&part.words));
        let (Some(host_key), Some(streams)) = (host_key, streams) else {
            return Err(self.refused(&there, told));
        };
        Keys::trust(&self.directory, &self.alias, &host_key)?;
        let has_left = Arc::new(AtomicBool::new(false));
        let Streams { mut to, mut from } = streams;
        let left = Arc::clone(&has_left);
        thread::spawn(move || {
            let copied = input().and_then(|mut input| io::copy(&mut input, &mut to));
            left.store(copied.is_ok(), Ordering::Relaxed);
            // The end of one's input is the end of the other's.
            drop(to);
        });
        let copied = output::pipe().and_then(|mut output| io::copy(&mut from, &mut output));
        let has_gone = copied.is_err() || has_left.load(Ordering::Relaxed);
        if has_gone {
            return Ok(());
        }
        let (words, after) = search.after_streams(LAST_WORDS);
        let after = after.and_then(|found| jobs::chosen(&found, wanted, "").ok());
        let after = after.and_then(|jobs| jobs.into_iter().find(|now| now.id == job.id));
        let ending = Ending {
            there: &there,
            host,
            had_begun: copied.is_ok_and(|bytes| bytes > 0),
            words: &words,
            job: after.as_ref(),
        };
        Err(ending.failure())
    }

    /// The other side has not made what a session needs.
    fn refused(&self, there: &Place, told: Option<&Part>) -> Failure {
        let words = told.map(|part| printable(part.text().trim()));
        Failure::missing(format!(
            "no host key can be made for job {} on {}",
            there.name,
            place(self.target.host.as_ref())
        ))
        .because(words.unwrap_or_else(|| "no answer".to_owned()))
    }
}

/// stdin without a buffer of ours.
fn input() -> io::Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}
