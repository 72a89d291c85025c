//! What arrives in connect's one channel.

use super::event::Event;
use crate::here::os::signals::Caught;
use crate::plan::exit::Exit;
use crate::remote::parts::Part;
use std::io::BufReader;
use std::process::ChildStdout;
use tokio::sync::mpsc::UnboundedSender;

/// Where every source sends to.
pub type Sender = UnboundedSender<Notice>;

/// Something that happened, before it is an event for the machine. `id` is the number of a program.
#[derive(Debug)]
pub enum Notice {
    /// An event as the machine hears it.
    Event(Event),
    /// The remote end told a part.
    Part {
        /// Of which program.
        id: u32,
        /// What.
        part: Part,
    },
    /// What the remote end prints from here on is no part.
    Raw {
        /// Of which program.
        id: u32,
        /// The rest.
        stream: BufReader<ChildStdout>,
    },
    /// A program printed a line.
    Printed {
        /// Which.
        id: u32,
        /// The line.
        line: String,
    },
    /// A program wrote a line to stderr.
    Said {
        /// Which.
        id: u32,
        /// The line.
        line: String,
    },
    /// A program will say nothing more.
    Closed {
        /// Which.
        id: u32,
    },
    /// A child ended.
    Exited {
        /// Its process id.
        pid: u32,
        /// How.
        exit: Exit,
    },
    /// A signal asks for the end.
    Stop(&'static str),
    /// The one in front of a connect that is to stay in the background has ended.
    Alone,
    /// The options of an ssh to the compute node that name the user, where ssh's configuration does not.
    NodeUser(Vec<String>),
    /// No service answered through the tunnel, in the words of whoever tried; ssh's own come with it.
    NotAnswered(String),
}

impl From<Caught> for Notice {
    fn from(caught: Caught) -> Self {
        match caught {
            Caught::Exited { pid, exit } => Self::Exited { pid, exit },
            Caught::StopRequested { by, .. } => Self::Stop(by),
        }
    }
}
