//! Where a job's services are, as its record and its client file tell it, and what becomes of them on the laptop. PURE.
//!
//! Both files come from elsewhere: nothing of them gets into a command line, a file or onto a terminal that was not checked here.

use core::net::IpAddr;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The longest text of a field of the client file.
const LONGEST: usize = 1024;

/// What a client file may name for its messages: the same that ipyparallel itself knows by a word. A dotted name would be imported.
const PACKERS: &[&str] = &["json", "pickle", "msgpack", "orjson"];

/// Fields that are words: a number there is no port.
const WORDS: &[&str] = &["interface", "location", "ssh", "key", "pack", "unpack"];

/// A port of the job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The address on the job's side.
    pub address: IpAddr,
    /// The port there.
    pub port: u16,
}

/// Jupyter's page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// What follows `http://HOST:PORT`, without the token: `/lab`.
    pub path: String,
    /// The path below which everything is, with a slash at both ends.
    pub base: String,
    /// The token.
    pub token: String,
}

/// Where the services of one life of a job are.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    /// The compute node.
    pub node: String,
    /// Jupyter, in notebook mode.
    pub page: Option<Page>,
    /// The client file.
    pub client: ClientFile,
}

impl Reach {
    /// All ports that the laptop needs, Jupyter's first.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let page = self.page.iter().map(|page| page.endpoint.clone());
        let mut all: Vec<Endpoint> = page.collect();
        for port in self.client.ports.values() {
            let endpoint = Endpoint {
                address: self.client.address,
                port: *port,
            };
            if !all.contains(&endpoint) {
                all.push(endpoint);
            }
        }
        all
    }

    /// The port that tells whether the tunnel leads anywhere: Jupyter's, else the hub's.
    #[must_use]
    pub fn first(&self) -> Option<Endpoint> {
        self.endpoints().into_iter().next()
    }
}

impl Page {
    /// Jupyter's page, if its path and its token are plain: they become part of what a browser is given.
    pub fn new(address: IpAddr, port: u16, path: &str, token: &str) -> Result<Self, String> {
        let plain = |text: &str, more: &str| {
            !text.is_empty()
                && text.len() < LONGEST
                && text
                    .chars()
                    .all(|char| char.is_ascii_alphanumeric() || more.contains(char))
        };
        if !plain(token, "_-.~") {
            return Err("the record's token has characters that no token has".to_owned());
        }
        if !plain(path, "/_-.~%@+") || !path.starts_with('/') || path.starts_with("//") {
            return Err("the record's url cannot be read".to_owned());
        }
        let base = path
            .rfind('/')
            .and_then(|at| path.get(..=at))
            .unwrap_or("/")
            .to_owned();
        Ok(Self {
            endpoint: Endpoint { address, port },
            path: path.to_owned(),
            base,
            token: token.to_owned(),
        })
    }
}

/// A client file that was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientFile {
    /// Where the controller listens.
    pub address: IpAddr,
    /// Every port by the path of its field, `mux` or `broadcast/1`.
    pub ports: BTreeMap<String, u16>,
    fields: Map<String, Value>,
}

impl ClientFile {
    /// Reads a client file; `fallback` is the address where it names every interface. What is wrong with it otherwise.
    pub fn read(text: &str, fallback: Option<IpAddr>) -> Result<Self, String> {
        let fields: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| format!("the client file is not complete: {error}"))?;
        let mut ports = BTreeMap::new();
        for (name, value) in &fields {
            if !is_name(name) {
                return Err("the client file has a field with a strange name".to_owned());
            }
            if !check(name, value, &mut ports) {
                return Err(format!(
                    "the client file's field {name} has a strange value"
                ));
            }
        }
        if !ports.contains_key("registration") {
            return Err("the client file has no registration port".to_owned());
        }
        let interface = fields
            .get("interface")
            .and_then(Value::as_str)
            .and_then(|interface| interface.strip_prefix("tcp://"))
            .ok_or("the client file has no interface")?;
        let address = match interface.parse::<IpAddr>() {
            Ok(address) if !address.is_unspecified() => address,
            Err(_) if interface != "*" => {
                return Err("the client file's interface is no address".to_owned());
            }
            _ => fallback.ok_or("the client file does not tell where the controller is")?,
        };
        Ok(Self {
            address,
            ports,
            fields,
        })
    }

    /// The file as the laptop needs it: loopback, no ssh, and the local port of each port.
    #[must_use]
    pub fn on_the_laptop(&self, local: impl Fn(&Endpoint) -> Option<u16>) -> String {
        let mut fields = self.fields.clone();
        fields.insert("interface".to_owned(), "tcp://127.0.0.1".into());
        fields.insert("location".to_owned(), "127.0.0.1".into());
        fields.insert("ssh".to_owned(), "".into());
        for (path, port) in &self.ports {
            let Some(local) = local(&Endpoint {
                address: self.address,
                port: *port,
            }) else {
                continue;
            };
            match path.split_once('/') {
                None => {
                    fields.insert(path.clone(), local.into());
                }
                Some((name, index)) => {
                    let place = fields
                        .get_mut(name)
                        .zip(index.parse::<usize>().ok())
                        .and_then(|(list, index)| list.get_mut(index));
                    if let Some(place) = place {
                        *place = local.into();
                    }
                }
            }
        }
        let mut text = Value::Object(fields).to_string();
        let _ = writeln!(text);
        text
    }
}

fn is_name(name: &str) -> bool {
    name.len() < 64
        && name
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || char == '_')
}

/// Whether a field may be handed on; its ports are collected.
fn check(name: &str, value: &Value, ports: &mut BTreeMap<String, u16>) -> bool {
    let port = |value: &Value| {
        let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
        number.filter(|port| *port > 0)
    };
    if WORDS.contains(&name) && (value.is_number() || value.is_array()) {
        return false;
    }
    match value {
        Value::Null | Value::Bool(_) => true,
        Value::Number(_) => port(value).is_some_and(|port| {
            ports.insert(name.to_owned(), port);
            true
        }),
        Value::Array(values) => values.iter().enumerate().all(|(index, value)| {
            port(value).is_some_and(|port| {
                ports.insert(format!("{name}/{index}"), port);
                index < 64
            })
        }),
        Value::String(text) => match name {
            "pack" | "unpack" => PACKERS.contains(&text.as_str()),
            _ => text.len() < LONGEST && !text.chars().any(char::is_control),
        },
        Value::Object(_) => false,
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
