//! Connections carried over the standard streams of one program: the way to a compute node for sites that allow neither ssh to nodes nor
//! connections from login nodes. The far end (`ipjob relay`) runs there, started by srun; the near end is a part of connect.

mod carrier;
pub mod frame;

use crate::failure::{Failure, Outcome};
use crate::here::os::own_time;
use crate::report::output;
use crate::run;
use carrier::Carrier;
use frame::{Frame, Kind};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// How long a connection may stay open here on which the other end has said its last: a service ends those of strangers, and whoever has
/// opened them here may never close them.
const LINGER: Duration = Duration::from_secs(30);

/// Until it is tried again to accept without a free descriptor.
const PAUSE: Duration = Duration::from_millis(100);

/// What the near end's loop hears.
enum Heard {
    /// A frame; `None` when the pipe has ended.
    Frame(Option<Frame>),
    /// A new connection to the target of this number.
    Accepted(u32, TcpStream),
}

/// The far end: connects to these targets, by their numbers, until its stdin ends.
pub fn far_end(targets: &[SocketAddr]) -> Outcome<u8> {
    run::event_loop()?.block_on(async {
        let out = carrier::writer(output::stream());
        let (sender, mut frames) = unbounded_channel();
        carrier::reader(std::io::stdin(), move |frame| sender.send(frame).is_ok());
        let gone = |_| Failure::missing("stdout cannot be written");
        out.send(Frame::new(Kind::Hello, 0)).await.map_err(gone)?;
        let mut carrier = Carrier::new(out);
        while let Some(Some(frame)) = frames.recv().await {
            if frame.kind != Kind::Open {
                carrier.take(frame);
                continue;
            }
            let line = carrier.expect(frame.connection);
            let target = frame
                .number()
                .and_then(|number| targets.get(usize::try_from(number).ok()?).copied());
            tokio::spawn(async move {
                let socket = match target {
                    Some(target) => TcpStream::connect(target).await.ok(),
                    None => None,
                };
                match socket {
                    Some(socket) => line.carry(socket, None).await,
                    None => line.refuse().await,
                }
            });
        }
        Ok(0)
    })
}

/// The near end: listens on these local ports, whose places are the numbers of the far end's targets. `ready` is told once the far end is
/// there; it all ends with the pipe.
pub fn near_end(
    listeners: Vec<std::net::TcpListener>,
    from: impl Read + Send + 'static,
    to: impl Write + Send + 'static,
    ready: impl FnOnce() + Send + 'static,
) {
    let (sender, mut heard) = unbounded_channel();
    let frames = sender.clone();
    carrier::reader(from, move |frame| frames.send(Heard::Frame(frame)).is_ok());
    tokio::spawn(async move {
        let out = carrier::writer(to);
        let mut carrier = Carrier::new(out.clone());
        let mut ready = Some(ready);
        let mut waiting = listeners;
        let mut accepting = Vec::new();
        let mut connection = 0_u32;
        while let Some(next) = heard.recv().await {
            match next {
                Heard::Frame(Some(frame)) if frame.kind == Kind::Hello => {
                    for (number, listener) in (0..).zip(std::mem::take(&mut waiting)) {
                        accepting.push(tokio::spawn(accept(number, listener, sender.clone())));
                    }
                    if let Some(ready) = ready.take() {
                        ready();
                    }
                }
                Heard::Frame(Some(frame)) => carrier.take(frame),
                Heard::Frame(None) => break,
                Heard::Accepted(number, socket) => {
                    connection = connection.wrapping_add(1);
                    let line = carrier.expect(connection);
                    let open = Frame::with_number(Kind::Open, connection, number);
                    if out.send(open).await.is_err() {
                        break;
                    }
                    tokio::spawn(line.carry(socket, Some(LINGER)));
                }
            }
        }
        for task in accepting {
            task.abort();
        }
    });
}

/// Takes connections until nobody wants them any more.
async fn accept(number: u32, listener: std::net::TcpListener, heard: UnboundedSender<Heard>) {
    let listener = listener
        .set_nonblocking(true)
        .and_then(|()| TcpListener::from_std(listener));
    let Ok(listener) = listener else { return };
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // No descriptor is free: all users of this machine can connect. They wait until one is.
            own_time::sleep(PAUSE).await;
            continue;
        };
        if heard.send(Heard::Accepted(number, socket)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::frame::{HEAD, LONGEST, head};
    use super::*;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;
    use std::thread;
    use tokio::sync::oneshot;

    /// Bytes that nobody has given credit for.
    const SENT: usize = 64 << 20;

    fn read(stream: &mut UnixStream) -> Frame {
        let mut bytes = [0; HEAD];
        stream.read_exact(&mut bytes).expect("a head");
        let (mut frame, length) = head(bytes).expect("a frame");
        frame.payload.resize(length, 0);
        stream.read_exact(&mut frame.payload).expect("a payload");
        frame
    }

    #[test]
    fn a_far_end_that_sends_more_than_it_may_loses_the_connection() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (near, mut far) = UnixStream::pair().expect("a pair");
        let (taken, told) = oneshot::channel();
        thread::spawn(move || {
            far.write_all(&Frame::new(Kind::Hello, 0).bytes())
                .expect("sent");
            let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
            let open = read(&mut far);
            assert_eq!(open.kind, Kind::Open);
            let data = Frame {
                kind: Kind::Data,
                connection: open.connection,
                payload: vec![0; LONGEST],
            };
            for _ in 0..SENT / LONGEST {
                far.write_all(&data.bytes()).expect("it is read");
            }
            far.write_all(&Frame::new(Kind::End, open.connection).bytes())
                .expect("it is read");
            let mut all = Vec::new();
            client.read_to_end(&mut all).expect("an end");
            let _ = taken.send(all.len());
        });
        let taken = run::event_loop().expect("a loop").block_on(async {
            let write = near.try_clone().expect("a descriptor");
            near_end(vec![listener], near, write, || {});
            told.await.expect("a number")
        });
        assert!(taken < SENT / 2, "{taken} bytes were kept");
    }
}
