//! `ipjob up HOST: [SCRIPT]`: a job is submitted, or the one that is there is found by its name; then all is as with `ipjob connect`, through the
//! same login.
//!
//! docs/design/up.md explains the design.

use super::event::Words;
use super::notice::Notice;
use super::order::{self, Next, Order, Script};
use super::{Connect, begin, ssh_errors};
use crate::cli::up::UpOptions;
use crate::failure::{Failure, Kind, Outcome};
use crate::plan::template;
use crate::remote::parts::Part;
use crate::remote::target::{Host, Job, Target};
use crate::report::console::Console;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

/// The longest script, in bytes: Slurm itself takes 4 MiB by default.
const LONGEST: usize = 4 << 20;

/// How long scancel may take.
const CANCEL_PATIENCE: Duration = Duration::from_secs(15);

/// Brings a job up and connects to it.
pub fn run(options: &UpOptions, console: &mut Console) -> Outcome<u8> {
    let (host, path) = Host::before(&options.target)?;
    let mut order = order(options, host.as_str(), path)?;
    order.cancels = options.cancel_on_exit;
    let target = Target {
        host: Some(host),
        job: None,
    };
    begin(
        &options.tunnel,
        &options.target,
        target,
        Some(order),
        console,
    )
}

/// What is wanted there.
fn order(options: &UpOptions, host: &str, path: &str) -> Outcome<Order> {
    let filling = options.filling();
    let more = options.sbatch_args.iter();
    if let Some(bad) = more.clone().find(|arg| arg.chars().any(char::is_control)) {
        return Err(Failure::usage(format!(
            "{bad:?} cannot be an argument of sbatch"
        )));
    }
    let more = more.cloned();
    let (script, args) = match (&options.script, path) {
        (Some(script), "") => {
            let given = template::arguments(&filling)?.into_iter().chain(more);
            (here(script, host)?, given.collect())
        }
        (None, "") => {
            let text = template::fill(options.mode(), &filling)?.into_bytes();
            let name = "ipjob".to_owned();
            (Script::Here { text, name }, more.collect())
        }
        (None, path) if options.template.is_none() => {
            let given = template::arguments(&filling)?.into_iter().chain(more);
            (Script::There(order::path(host, path)?), given.collect())
        }
        (_, path) => {
            return Err(Failure::usage(format!(
                "a batch script on {host} ({path}) and one on this machine were given"
            ))
            .hint("give only one of them"));
        }
    };
    Ok(Order::new(script, host.to_owned(), args, !options.new))
}

/// A batch script of this machine.
fn here(path: &Path, host: &str) -> Outcome<Script> {
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::usage(format!(
            "the batch script {} cannot be read",
            path.display()
        ))
        .because(error)
        .hint(format!("a script on {host} is written {host}:PATH"))
    };
    let text = fs::read(path).map_err(|error| cannot(&error))?;
    if text.contains(&0) || text.len() > LONGEST {
        return Err(cannot(&"it is not text, or is longer than 4 MiB"));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Script::Here {
        text,
        name: name.into_owned(),
    })
}

impl Connect<'_> {
    /// What a part means for the job that is wanted.
    pub(super) fn ordered(&mut self, part: &Part) -> Option<Outcome<()>> {
        let order = self.order.as_mut()?;
        if part.kind == "output" {
            order.note_output(&part.words);
        }
        match order.take(part, &self.mark)? {
            Next::Submit(text) => {
                self.progress("submitting the job");
                self.send(text);
                None
            }
            Next::Mean(job, said) => {
                for line in said {
                    self.console.step(&line);
                }
                self.machine.await_it();
                let is_known = matches!(job, Job::Id(_));
                self.mean(job);
                // At once, so that a tunnel that is there is found, and a name that is taken told.
                let made = if is_known {
                    self.make_profile()
                } else {
                    Ok(())
                };
                let end = self.or_local(made);
                end.or_else(|| self.joined.is_some().then_some(Ok(())))
            }
            Next::Fail(failure) => Some(Err(failure)),
        }
    }

    /// Sends the remote end a text of any length.
    fn send(&self, text: Vec<u8>) {
        let stdin = self.link.as_ref().and_then(|link| link.stdin.as_ref());
        let own = stdin.and_then(|stdin| stdin.as_fd().try_clone_to_owned().ok());
        if let Some(stdin) = own {
            thread::spawn(move || {
                // A remote end that has gone is told by ssh's own end.
                let _ = File::from(stdin).write_all(&text);
            });
        }
    }

    /// The end of the ssh while sbatch was asked: nobody knows whether there is a job now, and another would be one too many.
    pub(super) fn lost_with_sbatch(&self, words: &Words) -> Option<Failure> {
        self.order.as_ref().filter(|order| order.is_submitting())?;
        let host = self.target.host.as_ref().map_or("", Host::as_str);
        let failure = Failure::ssh(format!(
            "the connection to {host} was lost while the job was submitted"
        ));
        Some(failure.because(ssh_errors::last_words(words)).hint(format!(
            "`ipjob status {host}:` shows whether there is a job; if so, the same `ipjob up` uses it"
        )))
    }

    /// The end of an `ipjob up`: what becomes of its job.
    pub(super) async fn leave(
        &mut self,
        outcome: Outcome<()>,
        notices: &mut UnboundedReceiver<Notice>,
    ) -> Outcome<()> {
        let Some(order) = self.order.clone() else {
            return outcome;
        };
        let host = self
            .target
            .host
            .as_ref()
            .map_or("", Host::as_str)
            .to_owned();
        let Some(job) = self.target.job.as_ref().map(|job| job.as_str().to_owned()) else {
            if order.is_left && order.is_submitting() {
                self.console.warning(&format!(
                    "sbatch had not answered: `ipjob status {host}:` shows whether it submitted a job"
                ));
            }
            return outcome;
        };
        let named = format!("{host}:{job}");
        let end = if self.machine.has_record() {
            format!("ipjob stop {named}")
        } else {
            format!("ssh {host} scancel {job}")
        };
        if order.cancels && order.has_submitted() && (order.is_left || outcome.is_err()) {
            let cancelled = self.cancel_job(&job, notices).await;
            match cancelled {
                Ok(()) => self.console.step(&format!("cancelled: job {job}")),
                // What has ended cannot be cancelled.
                Err(_) if outcome.is_err() && !order.is_left => {}
                Err(why) => self.console.warning(&format!(
                    "job {job} could not be cancelled ({why}): `{end}` ends it"
                )),
            }
        } else if order.is_left {
            self.console.step(&format!("job {job} is left as it is"));
            self.console.below(&[
                format!("`ipjob connect {named}` connects to it"),
                format!("`{end}` cancels it"),
            ]);
        }
        outcome.map_err(|failure| match order.output() {
            Some(output) if failure.kind == Kind::NotReady => {
                failure.hint(format!("the job's output on {host} is {output}"))
            }
            _ => failure,
        })
    }

    /// Cancels the job, over the same login.
    async fn cancel_job(
        &mut self,
        job: &str,
        notices: &mut UnboundedReceiver<Notice>,
    ) -> Result<(), String> {
        let told = self
            .link
            .as_mut()
            .filter(|link| link.runs())
            .and_then(|link| Some((link.id, link.stdin.as_mut()?)))
            .and_then(|(id, stdin)| {
                writeln!(stdin, "cancel {job}").ok()?;
                Some(id)
            });
        let Some(link) = told else {
            return Err("there is no connection".to_owned());
        };
        let answered = async {
            loop {
                match notices.recv().await {
                    Some(Notice::Part { id, part }) if id == link && part.kind == "cancelled" => {
                        return match part.words.trim() {
                            "0" => Ok(()),
                            _ => Err(part.text().trim().to_owned()),
                        };
                    }
                    Some(Notice::Closed { id }) if id == link => {
                        return Err("the connection has ended".to_owned());
                    }
                    Some(Notice::Stop(_)) | None => return Err("stopped".to_owned()),
                    Some(_) => {}
                }
            }
        };
        let answer = timeout(CANCEL_PATIENCE, answered).await;
        answer.unwrap_or_else(|_| Err("scancel does not answer".to_owned()))
    }
}
