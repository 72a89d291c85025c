//! Whether a service answers through the tunnel: that ssh listens on the laptop says nothing about the other end.

use super::endpoints::{Endpoint, Reach};
use super::event::Event;
use super::notice::{Notice, Sender};
use crate::here::os::http;
use crate::here::os::own_time;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// How long the hub may take to greet.
const LIMIT: Duration = Duration::from_secs(5);

/// Until ssh's own words of a refused connection have come.
const WORDS: Duration = Duration::from_millis(150);

/// How often a service that is silent is asked: the first packet through a sleepy network may take its time.
const TRIES: u32 = 2;

/// Tries the job's first port at this address.
pub fn start(reach: Reach, address: SocketAddr, sender: Sender) {
    tokio::spawn(async move {
        let mut result = attempt(&reach, address).await;
        for _ in 1..TRIES {
            if !result
                .as_ref()
                .is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
            {
                break;
            }
            result = attempt(&reach, address).await;
        }
        let notice = match result {
            Ok(()) => Notice::Event(Event::Tried(Ok(()))),
            Err(error) => {
                sleep(WORDS).await;
                Notice::NotAnswered(told(&error))
            }
        };
        let _ = sender.send(notice);
    });
}

fn told(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => "no answer within 5 s".to_owned(),
        io::ErrorKind::UnexpectedEof => "the connection was closed at once".to_owned(),
        _ => error.to_string(),
    }
}

async fn attempt(reach: &Reach, address: SocketAddr) -> io::Result<()> {
    let Some(page) = &reach.page else {
        return greeting(address).await;
    };
    let IpAddr::V4(ip) = address.ip() else {
        return greeting(address).await;
    };
    let path = format!("{}api/status", page.base);
    match http::get_status(ip, address.port(), &path, Some(&page.token)).await? {
        200 => Ok(()),
        status => Err(io::Error::other(format!(
            "Jupyter answered {status} to its own token"
        ))),
    }
}

/// The hub, as every ZeroMQ socket, speaks first.
async fn greeting(address: SocketAddr) -> io::Result<()> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.read_u8().await
    };
    match own_time::timeout(LIMIT, exchange).await {
        Some(Ok(0xff)) => Ok(()),
        Some(Ok(_)) => Err(io::Error::other("what answers is not ipcontroller")),
        Some(Err(error)) => Err(error),
        None => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// The address of an endpoint itself.
#[must_use]
pub fn direct(endpoint: &Endpoint) -> SocketAddr {
    SocketAddr::new(endpoint.address, endpoint.port)
}
