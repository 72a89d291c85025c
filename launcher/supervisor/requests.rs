//! Requests of the user's, `ipjob restart`: a file in the life's private directory, which ipjob makes at its start and `ipjob restart` writes over, so
//! that each look opens what is there: a file system over the network shows a new file late, and what is in an old one at once. The
//! answer stands in the record.
//!
//! docs/design/restart.md explains the design.

use super::Supervisor;
use super::event::{Answer, Event};
use super::file_thread;
use super::machine::Startable;
use super::notice::{Notice, Sender};
use super::probes::calm_pause;
use crate::here::os::files;
use crate::plan::Plan;
use crate::plan::request::Request;
use crate::plan::settings::Launcher;
use crate::record::{self, RequestId, RequestState, Text};

/// The longest request, in bytes.
const LONGEST: u64 = 4096;

/// Looks again and again whether the user asks for something.
pub fn watch(plan: &Plan, sender: Sender) {
    let path = plan.profile.request();
    let life = plan.incarnation.id.clone();
    file_thread::spawn(async move {
        let mut last = None;
        while !sender.is_closed() {
            calm_pause().await;
            // What is not there, not ours alone or half written says nothing.
            let text = files::read_private(&path, LONGEST).unwrap_or_default();
            let Some(Request { id, all }) = Request::read(&text, &life) else {
                continue;
            };
            if last.as_ref() == Some(&id) {
                continue;
            }
            last = Some(id.clone());
            let event = Event::RestartAsked { request: id, all };
            let _ = sender.send(Notice::Event(event));
        }
    });
}

/// In which ways the engines of this plan can be started again.
pub(super) fn startable(plan: &Plan) -> Startable {
    match plan.launcher {
        Launcher::Local => Startable {
            each: true,
            together: false,
        },
        Launcher::Srun | Launcher::Mpiexec => Startable {
            each: plan.replacement.is_some(),
            together: true,
        },
        Launcher::Ranks => Startable::default(),
    }
}

impl Supervisor<'_> {
    /// The record tells what has become of a request.
    pub(super) fn answer(&mut self, request: String, answer: Answer) {
        let (state, text) = match answer {
            Answer::Running => (RequestState::Running, None),
            Answer::Done(text) => (RequestState::Done, Some(text)),
            Answer::Failed(text) => (RequestState::Failed, Some(text)),
        };
        if let Some(text) = &text {
            self.console
                .step(&format!("`ipjob restart` {}: {text}", state.word()));
        }
        self.publisher.edit().request = record::Request {
            id: RequestId::ours(request),
            state,
            text: text.map(Text::ours).into(),
        }
        .into();
        self.publisher.hasten();
    }
}
