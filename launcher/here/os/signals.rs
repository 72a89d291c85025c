//! Signals as messages: requests to stop, and the ends of children. Every child of this program is waited for here and nowhere else.
//!
//! docs/design/stop.md explains the design.

use crate::failure::{Failure, Outcome};
use crate::plan::exit::Exit;
use nix::sys::signal::Signal as Known;
use rustix::process::{WaitOptions, WaitStatus, wait};
use std::fs;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedSender;

/// What C libraries call SIGRTMIN.
const FIRST_REAL_TIME: i32 = 34;

/// What a signal tells.
#[derive(Debug)]
pub enum Caught {
    /// A child ended.
    Exited {
        /// Its process id.
        pid: u32,
        /// How it ended.
        exit: Exit,
    },
    /// The end is asked for.
    StopRequested {
        /// The signal's name.
        by: &'static str,
        /// Whether a person sends it: then a repetition at once is meant.
        personal: bool,
    },
}

/// A signal that asks for the end.
struct Request {
    name: &'static str,
    stream: Signal,
    /// Whether a person sends it: then a repetition at once is meant.
    personal: bool,
}

/// The signals, caught from the moment this is made.
pub struct Signals {
    requests: Vec<Request>,
    children: Signal,
}

impl Signals {
    /// Catches the signals. One that was ignored when we were started (nohup; `&` in a script) stays ignored.
    pub fn catch() -> Outcome<Self> {
        let wanted = [
            ("SIGTERM", SignalKind::terminate(), false),
            ("SIGINT", SignalKind::interrupt(), true),
            ("SIGHUP", SignalKind::hangup(), false),
            ("SIGQUIT", SignalKind::quit(), true),
            // What `#SBATCH --signal=B:USR1@120` sends before the end, and the kernel at the limit of CPU time: each would
            // kill us and leave everything running.
            ("SIGUSR1", SignalKind::user_defined1(), false),
            ("SIGUSR2", SignalKind::user_defined2(), false),
            (
                "SIGXCPU",
                SignalKind::from_raw(Known::SIGXCPU as i32),
                false,
            ),
        ];
        let ignored = ignored();
        let mut requests = Vec::new();
        for (name, kind, personal) in wanted {
            let bit = 1_u64 << (kind.as_raw_value() - 1);
            if kind != SignalKind::terminate() && ignored & bit != 0 {
                continue;
            }
            requests.push(Request {
                name,
                stream: catch(kind)?,
                personal,
            });
        }
        Ok(Self {
            requests,
            children: catch(SignalKind::child())?,
        })
    }

    /// Does something, unless a signal asks for the end before it is done; then its name is told.
    pub async fn unless_asked<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, &'static str> {
        let mut work = pin!(work);
        poll_fn(|context| match self.poll_request(context) {
            Some(name) => Poll::Ready(Err(name)),
            None => work.as_mut().poll(context).map(Ok),
        })
        .await
    }

    fn poll_request(&mut self, context: &mut Context) -> Option<&'static str> {
        self.requests.iter_mut().find_map(|request| {
            let asked = request.stream.poll_recv(context) == Poll::Ready(Some(()));
            asked.then_some(request.name)
        })
    }

    /// Sends what arrives into a loop's channel, in the loop's own words.
    pub fn forward<T: From<Caught> + Send + 'static>(self, sender: &UnboundedSender<T>) {
        for request in self.requests {
            tokio::spawn(requests(request, sender.clone()));
        }
        tokio::spawn(children(self.children, sender.clone()));
    }
}

fn catch(kind: SignalKind) -> Outcome<Signal> {
    signal(kind).map_err(|error| Failure::missing("signals cannot be caught here").because(error))
}

/// The signals that we were started with as ignored, as a mask.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}

async fn requests<T: From<Caught>>(mut request: Request, sender: UnboundedSender<T>) {
    while request.stream.recv().await.is_some() {
        let caught = Caught::StopRequested {
            by: request.name,
            personal: request.personal,
        };
        if sender.send(caught.into()).is_err() {
            return;
        }
    }
}

/// Counts every child that has ended, also the orphans that a subreaper inherits: nobody else here waits for any.
async fn children<T: From<Caught>>(mut stream: Signal, sender: UnboundedSender<T>) {
    while stream.recv().await.is_some() {
        // `None` is that none has ended, the error that there is no child: either waits for the next signal.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let Some(exit) = exit_of(status) else {
                continue;
            };
            let pid = pid.as_raw_nonzero().get().unsigned_abs();
            if sender.send(Caught::Exited { pid, exit }.into()).is_err() {
                return;
            }
        }
    }
}

/// How a child ended; `None` if it has not. The status is read here because nix refuses one with a real-time signal, and
/// the end of a child that has been waited for is told only once.
fn exit_of(status: WaitStatus) -> Option<Exit> {
    if let Some(code) = status.exit_status() {
        return Some(Exit::Code(code));
    }
    let number = status.terminating_signal()?;
    Some(Exit::Signal {
        number,
        name: signal_name(number),
    })
}

/// `SIGKILL`; `SIGRTMIN+1` for a real-time signal, counted as programs count, whose C library keeps the first two.
fn signal_name(number: i32) -> String {
    match Known::try_from(number) {
        Ok(known) => known.as_str().to_owned(),
        Err(_) if number >= FIRST_REAL_TIME => format!("SIGRTMIN+{}", number - FIRST_REAL_TIME),
        Err(_) => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_has_a_name() {
        for (number, name) in [
            (9, "SIGKILL"),
            (32, "signal 32"),
            (34, "SIGRTMIN+0"),
            (35, "SIGRTMIN+1"),
            (64, "SIGRTMIN+30"),
        ] {
            assert_eq!(signal_name(number), name);
        }
    }
}
