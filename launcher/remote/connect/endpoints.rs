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
            return Err("the record's token has characters that a token cannot have".to_owned());
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
                return Err("the client file has a field with an invalid name".to_owned());
            }
            if !check(name, value, &mut ports) {
                return Err(format!(
                    "the client file's field {name} has an invalid value"
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
                return Err("the client file's interface is not an address".to_owned());
            }
            _ => fallback.ok_or("the client file does not say where the controller is")?,
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
mod fuzz {
    //! Client files and pages of another machine, in every form that chance finds.

    use super::*;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use serde_json::json;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            4 => (0..70_000_u32).prop_map(Value::from),
            1 => Just(Value::Null),
            1 => any::<bool>().prop_map(Value::from),
            1 => any::<f64>().prop_map(Value::from),
            1 => vec((0..70_000_u32).prop_map(Value::from), 0..70).prop_map(Value::from),
            2 => "(tcp://|ipc://|)[0-9.:a-f*/$ \u{1b}-]{0,12}".prop_map(Value::from),
            1 => "json|pickle|os\\.system".prop_map(Value::from),
            1 => btree_map("[a-z]{1,3}", any::<bool>(), 0..2).prop_map(|fields| json!(fields)),
        ]
    }

    proptest! {
        #[test]
        fn a_client_file_leads_to_loopback_and_nowhere_else(
            fields in btree_map("[a-z_]{1,8}|ssh|pack|interface|location|broadcast|[./]{1,3}", value(), 0..6),
            registration in 0..70_000_u32, good: bool, local in 1..=u16::MAX, key in "[0-9a-f]{8}",
        ) {
            let mut all: Map<String, Value> = fields.into_iter().collect();
            all.insert("registration".to_owned(), registration.into());
            all.insert("key".to_owned(), key.clone().into());
            if good {
                all.insert("interface".to_owned(), "tcp://10.0.0.7".into());
            }
            if let Ok(client) = ClientFile::read(&Value::Object(all).to_string(), None) {
                prop_assert!(!client.address.is_unspecified());
                prop_assert!(client.ports.values().all(|port| *port > 0));
                let text = client.on_the_laptop(|_| Some(local));
                let again = ClientFile::read(&text, None).expect("as good as before");
                prop_assert!(again.address.is_loopback());
                prop_assert_eq!(again.ports.keys().collect::<Vec<_>>(), client.ports.keys().collect::<Vec<_>>());
                prop_assert!(again.ports.values().all(|port| *port == local));
                let fields: Value = serde_json::from_str(&text).expect("JSON");
                prop_assert_eq!(&fields["key"], &json!(key));
                prop_assert_eq!(&fields["ssh"], &json!(""));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,80}") {
            let _ = ClientFile::read(&text, None);
        }

        #[test]
        fn a_page_is_a_path_and_a_token_and_nothing_else(path in "[/a-z.?#@: \u{1b}%-]{0,16}|\\PC{0,8}", token in "[a-z0-9._~-]{0,12}|\\PC{0,8}") {
            let address = IpAddr::from([10, 0, 0, 1]);
            if let Ok(page) = Page::new(address, 1, &path, &token) {
                let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "/_-.~%@+".contains(c));
                prop_assert!(plain(&page.path) && plain(&page.token) && !page.token.contains('/'));
                prop_assert!(page.path.starts_with('/') && !page.path.starts_with("//"));
                prop_assert!(page.base.starts_with('/') && page.base.ends_with('/') && page.path.starts_with(&page.base));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = r#"{"ssh":"login","interface":"tcp://10.0.0.11","registration":1001,"control":1002,
    "mux":1003,"task":1004,"task_scheme":"leastload","iopub":1005,"notification":1006,"broadcast":[1007,1008],
    "key":"abc","curve_serverkey":null,"location":"n1","pack":"json","unpack":"json",
    "signature_scheme":"hmac-sha256"}"#;

    fn with(field: &str, value: Value) -> String {
        let mut fields: Map<String, Value> = serde_json::from_str(CLIENT).expect("JSON");
        fields.insert(field.to_owned(), value);
        Value::Object(fields).to_string()
    }

    #[test]
    fn every_port_of_the_client_file_gets_its_local_one() {
        let client = ClientFile::read(CLIENT, None).expect("a client file");
        assert_eq!(client.ports.len(), 8);
        let text = client.on_the_laptop(|endpoint| Some(endpoint.port + 1000));
        let fields: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(fields["broadcast"], serde_json::json!([2007, 2008]));
        assert_eq!(fields["mux"], 2003);
        assert_eq!(fields["interface"], "tcp://127.0.0.1");
        assert_eq!(fields["location"], "127.0.0.1");
        assert_eq!(fields["ssh"], "");
        assert_eq!(fields["key"], "abc");
        assert_eq!(fields["curve_serverkey"], Value::Null);
    }

    #[test]
    fn an_interface_of_all_addresses_needs_one_from_elsewhere() {
        for all in ["tcp://*", "tcp://0.0.0.0"] {
            let text = with("interface", all.into());
            assert!(ClientFile::read(&text, None).is_err());
            let client = ClientFile::read(&text, "10.0.0.9".parse().ok()).expect("an address");
            assert_eq!(client.address.to_string(), "10.0.0.9");
        }
    }

    #[test]
    fn a_hostile_client_file_is_refused() {
        for (field, value) in [
            ("mux", 0.into()),
            ("mux", 70_000.into()),
            ("mux", (-1).into()),
            ("mux", serde_json::json!([1, "x"])),
            ("pack", "os.system".into()),
            ("unpack", "pickle.loads".into()),
            ("interface", "tcp://$(id)".into()),
            ("interface", "ipc:///tmp/x".into()),
            ("interface", "tcp://-oProxyCommand=x".into()),
            ("key", "a\u{1b}[2J".into()),
            ("key", "x".repeat(5000).into()),
            ("location", serde_json::json!({"a": 1})),
            ("../x", 5.into()),
        ] {
            assert!(
                ClientFile::read(&with(field, value.clone()), None).is_err(),
                "{field} = {value}"
            );
        }
        for text in ["", "{", "[]", "null", "{\"interface\": \"tcp://10.0.0.1\"}"] {
            assert!(ClientFile::read(text, None).is_err(), "{text}");
        }
    }

    #[test]
    fn a_page_has_a_plain_path_and_a_plain_token() {
        let ip = "10.0.0.11".parse::<IpAddr>().expect("an address");
        let found = Page::new(ip, 8077, "/me/lab", "abc").expect("a page");
        assert_eq!(
            (found.path.as_str(), found.base.as_str()),
            ("/me/lab", "/me/")
        );
        let found = Page::new(ip, 8077, "/", "abc").expect("a page");
        assert_eq!(found.base, "/");
        for wrong in [
            "",
            "lab",
            "/\u{1b}[2J",
            "/a b",
            "/$(id)",
            "//evil.example/lab",
            "/a&b",
        ] {
            assert!(Page::new(ip, 8077, wrong, "abc").is_err(), "{wrong}");
        }
        for wrong in ["", "a&b", "a b", "a\n"] {
            assert!(Page::new(ip, 8077, "/lab", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_port_that_is_named_twice_is_forwarded_once() {
        let reach = Reach {
            node: "n1".to_owned(),
            page: "10.0.0.11"
                .parse()
                .ok()
                .and_then(|ip| Page::new(ip, 8077, "/lab", "abc").ok()),
            client: ClientFile::read(&with("mux", 1001.into()), None).expect("a client file"),
        };
        assert_eq!(reach.endpoints().len(), 8);
        assert_eq!(reach.first().map(|first| first.port), Some(8077));
    }
}
