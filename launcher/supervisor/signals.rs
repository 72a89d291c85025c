//! Signals as notices: requests to stop, and the ends of children.

use super::event::Exit;
use super::notice::{Notice, Sender};
use crate::failure::{Failure, Outcome};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use std::fs;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use tokio::signal::unix::{Signal, SignalKind, signal};

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

    /// Sends what arrives as notices.
    pub fn forward(self, sender: &Sender) {
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

async fn requests(mut request: Request, sender: Sender) {
    while request.stream.recv().await.is_some() {
        let notice = Notice::StopRequested {
            by: request.name,
            personal: request.personal,
        };
        if sender.send(notice).is_err() {
            return;
        }
    }
}

/// Counts every child that has ended, also the orphans that a subreaper inherits: nobody else here waits for any.
async fn children(mut stream: Signal, sender: Sender) {
    while stream.recv().await.is_some() {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            let (pid, exit) = match status {
                WaitStatus::Exited(pid, code) => (pid, Exit::Code(code)),
                WaitStatus::Signaled(pid, signal, _) => (
                    pid,
                    Exit::Signal {
                        number: signal as i32,
                        name: signal.as_str().to_owned(),
                    },
                ),
                WaitStatus::StillAlive => break,
                _ => continue,
            };
            let pid = pid.as_raw().unsigned_abs();
            if sender.send(Notice::Exited { pid, exit }).is_err() {
                return;
            }
        }
    }
}
