//! One GET, as a probe needs it: no TLS, no redirects, and a body that is not long.

use crate::here::os::own_time;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Bytes of an answer that are read.
const LONGEST: u64 = 256 * 1024;

/// Asks for `path`, with Jupyter's token or without one, and tells the status code of the answer.
pub async fn get_status(
    address: Ipv4Addr,
    port: u16,
    path: &str,
    token: Option<&str>,
) -> io::Result<u16> {
    get(address, port, path, token).await.map(|(code, _)| code)
}

/// The same, with the body of the answer, cut where it is longer than 256 KiB.
pub async fn get(
    address: Ipv4Addr,
    port: u16,
    path: &str,
    token: Option<&str>,
) -> io::Result<(u16, Vec<u8>)> {
    let authorization = token.map_or_else(String::new, |token| {
        format!("Authorization: token {token}\r\n")
    });
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {address}:{port}\r\n{authorization}Accept: application/json\r\n\r\n"
    );
    let exchange = async {
        let mut stream = TcpStream::connect(SocketAddr::from((address, port))).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer).await?;
        let code = status(&answer).ok_or_else(|| io::Error::other("the answer is not HTTP"))?;
        Ok((code, body(&answer).to_vec()))
    };
    own_time::timeout(LIMIT, exchange)
        .await
        .unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
}

/// What follows the head.
fn body(answer: &[u8]) -> &[u8] {
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    head.and_then(|length| answer.get(length + 4..))
        .unwrap_or_default()
}

/// The status code of an answer: `HTTP/1.1 200 OK`.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let (version, rest) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let code = rest.split(' ').next()?;
    let is_status = version.starts_with("HTTP/1.")
        && code.len() == 3
        && code.bytes().all(|byte| byte.is_ascii_digit());
    is_status.then(|| code.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::{body, status};

    #[test]
    fn only_an_http_answer_has_a_status() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\nServer: x\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 403 Forbidden\r\n"), Some(403));
        assert_eq!(status(b"SSH-2.0-OpenSSH\r\n"), None);
        assert_eq!(status(b""), None);
        assert_eq!(status(b"\xff\xfe"), None);
        assert_eq!(status(b"HTTP/1.1 +200 OK\r\n"), None);
    }

    #[test]
    fn the_body_follows_the_head() {
        assert_eq!(
            body(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}\r\n\r\n"),
            b"{}\r\n\r\n"
        );
        assert_eq!(body(b"HTTP/1.1 200 OK\r\n"), b"");
    }

    mod fuzz {
        use super::status;
        use proptest::collection::vec;
        use proptest::prelude::*;

        proptest! {
            #[test]
            fn a_status_is_read_as_it_was_sent(code in 100..=999_u16, reason in "[ -~]{0,20}", rest in vec(any::<u8>(), 0..200)) {
                let mut answer = format!("HTTP/1.1 {code} {reason}\r\n").into_bytes();
                answer.extend(rest);
                prop_assert_eq!(status(&answer), Some(code));
            }

            #[test]
            fn no_answer_but_http_has_one(head in "(HTTP/1[.][01] |HTTP/|http/1.1 )?", rest in vec(any::<u8>(), 0..200)) {
                let answer = [head.as_bytes(), &rest].concat();
                if let Some(code) = status(&answer) {
                    prop_assert!(answer.starts_with(b"HTTP/1.") && (0..=999).contains(&code));
                    let told = format!(" {code:03}");
                    prop_assert!(answer.windows(4).any(|bytes| bytes == told.as_bytes()));
                }
            }
        }
    }
}
