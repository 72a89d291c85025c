//! Connections over the pipe. Each has a window: so many bytes may be on their way before the other end has handed them on, so that a slow
//! reader holds up nobody else.

use super::frame::{self, Frame, Kind, LONGEST};
use crate::here::os::own_time;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{
    Receiver, Sender, UnboundedReceiver, UnboundedSender, channel, unbounded_channel,
};

/// Bytes of one connection and direction that may be on their way: 100 MB/s at 40 ms.
const WINDOW: usize = 4 << 20;

/// One connection as the pipe's side sees it.
struct Connection {
    /// Where its bytes go; `None` once the other end has sent the last.
    inbound: Option<UnboundedSender<Vec<u8>>>,
    /// What may still be sent.
    credit: Arc<Semaphore>,
    /// What the other end may still send: one that sends more means harm.
    room: Arc<Semaphore>,
}

/// All connections of one end.
pub struct Carrier {
    out: Sender<Frame>,
    connections: BTreeMap<u32, Connection>,
}

impl Carrier {
    /// No connection yet; frames go `out`.
    #[must_use]
    pub fn new(out: Sender<Frame>) -> Self {
        Self {
            out,
            connections: BTreeMap::new(),
        }
    }

    /// Expects the bytes of a connection whose socket is still to come; tells how to give it one.
    pub fn expect(&mut self, connection: u32) -> Line {
        self.connections
            .retain(|_, one| one.inbound.is_some() || Arc::strong_count(&one.credit) > 1);
        let (inbound, bytes) = unbounded_channel();
        let credit = Arc::new(Semaphore::new(WINDOW));
        let room = Arc::new(Semaphore::new(WINDOW));
        self.connections.insert(
            connection,
            Connection {
                inbound: Some(inbound),
                credit: Arc::clone(&credit),
                room: Arc::clone(&room),
            },
        );
        Line {
            connection,
            bytes,
            credit,
            room,
            out: self.out.clone(),
        }
    }

    /// Takes a frame of a connection that is there.
    pub fn take(&mut self, frame: Frame) {
        let Some(one) = self.connections.get_mut(&frame.connection) else {
            return;
        };
        match frame.kind {
            Kind::Data => {
                let length = u32::try_from(frame.payload.len()).unwrap_or(u32::MAX);
                let Ok(taken) = one.room.try_acquire_many(length) else {
                    one.credit.close();
                    self.connections.remove(&frame.connection);
                    return;
                };
                taken.forget();
                if let Some(inbound) = &one.inbound {
                    let _ = inbound.send(frame.payload);
                }
            }
            Kind::End => one.inbound = None,
            Kind::Credit => {
                let more = frame.number().and_then(|more| usize::try_from(more).ok());
                let room = WINDOW.saturating_sub(one.credit.available_permits());
                one.credit.add_permits(more.unwrap_or(0).min(room));
            }
            Kind::Reset => {
                one.credit.close();
                self.connections.remove(&frame.connection);
            }
            Kind::Hello | Kind::Open => {}
        }
    }
}

/// A connection that waits for its socket.
pub struct Line {
    connection: u32,
    bytes: UnboundedReceiver<Vec<u8>>,
    credit: Arc<Semaphore>,
    room: Arc<Semaphore>,
    out: Sender<Frame>,
}

impl Line {
    /// Carries the bytes of a socket in both directions, until both have ended; with `linger` no longer than that after the other end
    /// has said its last.
    pub async fn carry(self, socket: TcpStream, linger: Option<Duration>) {
        let _ = socket.set_nodelay(true);
        let (read, write) = socket.into_split();
        let mut up = tokio::spawn(send(read, self.connection, self.credit, self.out.clone()));
        receive(write, self.bytes, self.connection, &self.room, &self.out).await;
        let Some(linger) = linger else {
            let _ = up.await;
            return;
        };
        if own_time::timeout(linger, &mut up).await.is_none() {
            up.abort();
            self.out
                .send(Frame::new(Kind::Reset, self.connection))
                .await
                .ok();
        }
    }

    /// There is no socket: the other end is told.
    pub async fn refuse(self) {
        let _ = self
            .out
            .send(Frame::new(Kind::Reset, self.connection))
            .await;
    }
}

async fn send(
    mut socket: OwnedReadHalf,
    connection: u32,
    credit: Arc<Semaphore>,
    out: Sender<Frame>,
) {
    let mut buffer = vec![0; LONGEST];
    loop {
        let kind = match socket.read(&mut buffer).await {
            Ok(0) => Kind::End,
            Err(_) => Kind::Reset,
            Ok(read) => {
                let wanted = u32::try_from(read).unwrap_or(u32::MAX);
                // Closed when the other end has given the connection up.
                let Ok(permits) = credit.acquire_many(wanted).await else {
                    return;
                };
                permits.forget();
                let data = Frame {
                    kind: Kind::Data,
                    connection,
                    payload: buffer.get(..read).unwrap_or_default().to_vec(),
                };
                if out.send(data).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let _ = out.send(Frame::new(kind, connection)).await;
        return;
    }
}

async fn receive(
    mut socket: OwnedWriteHalf,
    mut bytes: UnboundedReceiver<Vec<u8>>,
    connection: u32,
    room: &Semaphore,
    out: &Sender<Frame>,
) {
    while let Some(data) = bytes.recv().await {
        if socket.write_all(&data).await.is_err() {
            let _ = out.send(Frame::new(Kind::Reset, connection)).await;
            return;
        }
        room.add_permits(data.len());
        let written = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let credit = Frame::with_number(Kind::Credit, connection, written);
        if out.send(credit).await.is_err() {
            return;
        }
    }
    let _ = socket.shutdown().await;
}

// The two directions of the pipe between both ends of a relay, each with a thread of its own: neither stdin nor a child's stdout can be
// waited for in the loop.

/// Frames that wait to be written.
const QUEUE: usize = 64;

/// Writes frames as they come, each at once.
pub fn writer(mut stream: impl Write + Send + 'static) -> Sender<Frame> {
    let (sender, mut frames): (_, Receiver<Frame>) = channel(QUEUE);
    thread::spawn(move || {
        while let Some(frame) = frames.blocking_recv() {
            if stream
                .write_all(&frame.bytes())
                .and_then(|()| stream.flush())
                .is_err()
            {
                return;
            }
        }
    });
    sender
}

/// Reads frames, hands each on, and `None` once the stream ends or what comes is no frame. What may be waiting is limited by the credit of
/// each connection.
pub fn reader(
    mut stream: impl Read + Send + 'static,
    mut wanted: impl FnMut(Option<Frame>) -> bool + Send + 'static,
) {
    thread::spawn(move || {
        while let Ok(Some(frame)) = next(&mut stream)
            && wanted(Some(frame))
        {}
        wanted(None);
    });
}

fn next(stream: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut head = [0; frame::HEAD];
    stream.read_exact(&mut head)?;
    let Some((mut frame, length)) = frame::head(head) else {
        return Ok(None);
    };
    frame.payload.resize(length, 0);
    stream.read_exact(&mut frame.payload)?;
    Ok(Some(frame))
}
