//! A few requests to the Jupyter server of a record, without Python.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// What stands before every path of the record's Jupyter, with a slash at both ends.
pub fn base(record: &Value) -> String {
    let url = record["url"].as_str().expect("a url");
    let path = url.splitn(4, '/').nth(3).expect("a path");
    let directory = path
        .split('?')
        .next()
        .and_then(|path| path.rsplit_once('/'));
    directory.map_or_else(|| "/".to_owned(), |(directory, _)| format!("/{directory}/"))
}

/// One request for a path below the base; the answer's status and body.
pub fn ask(method: &str, record: &Value, path: &str, token: Option<&str>) -> (u16, String) {
    let base = base(record);
    let path = path.strip_prefix(&base).unwrap_or(&path[1..]);
    let port = record["port"].as_u64().expect("a port");
    let port = u16::try_from(port).expect("a port");
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("jupyter listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a socket");
    let authorization = token.map_or_else(String::new, |token| {
        format!("Authorization: token {token}\r\n")
    });
    write!(
        stream,
        "{method} {base}{path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n{authorization}Content-Length: 0\r\n\r\n"
    )
    .expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
    (
        status.unwrap_or_else(|| panic!("no HTTP: {answer}")),
        answer,
    )
}

/// GET with the record's token.
pub fn get(record: &Value, path: &str) -> (u16, String) {
    ask("GET", record, path, record["token"].as_str())
}

/// GET of the record's own url, as a browser asks for it: with the token in the query and in no header.
pub fn open(record: &Value) -> (u16, String) {
    let url = record["url"].as_str().expect("a url");
    let place = format!("http://127.0.0.1:{}", record["port"]);
    let path = url.strip_prefix(&place).expect("the url is at the port");
    ask("GET", record, path, None)
}
