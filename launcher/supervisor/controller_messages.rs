//! What the controller tells on its standard input (`controller/eager.py`): which of the sockets that it was handed it has taken, and that a
//! client has asked an engine or the hub to end. Nothing else tells such an end from a death: an engine ends with exit code 1 after both.
//!
//! docs/design/ends.md explains the design.

use super::Supervisor;
use super::event::{Asked, Event};
use super::notice::Notice;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

impl Supervisor<'_> {
    /// Listens to the controller that was started last; lines of another kind are sent on.
    pub(super) fn listen_to_controller(&mut self) -> Option<UnboundedReceiver<String>> {
        let told = self.children.told.take()?;
        told.set_nonblocking(true).ok()?;
        let told = UnixStream::from_std(told).ok()?;
        let (others, receiver) = unbounded_channel();
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(told).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(asked) = read(&line) {
                    let _ = sender.send(Notice::Event(Event::ClientAsked(asked)));
                } else {
                    // Once all sockets are taken nobody listens any more.
                    let _ = others.send(line);
                }
            }
        });
        Some(receiver)
    }
}

/// What a line says: `shutdown hub`, `shutdown engine 3`.
fn read(line: &str) -> Option<Asked> {
    match line.strip_prefix("shutdown ")? {
        "hub" => Some(Asked::Hub),
        engine => {
            let id = engine.strip_prefix("engine ")?.parse().ok()?;
            Some(Asked::Engine(id))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_controller_tells_is_read() {
        assert_eq!(read("shutdown hub"), Some(Asked::Hub));
        assert_eq!(read("shutdown engine 3"), Some(Asked::Engine(3)));
        for other in [
            "",
            "shutdown",
            "shutdown engine",
            "shutdown engine x",
            "a line",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
