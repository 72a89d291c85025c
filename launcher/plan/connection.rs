//! The two connection files that ipcontroller writes, read as data.
//!
//! ipyparallel writes them in place (app.py: open, write, chmod), so a reader sees them empty and cut: only a complete
//! file that carries our key counts. A file's time says nothing, because clocks differ across NFS.

use serde_json::{Map, Value};

/// A port of the controller and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `client mux`, `engine broadcast 1`; the registration port is in both files and is named once.
    pub name: String,
    /// The TCP port.
    pub port: u16,
}

/// What controller, engines and clients agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wiring {
    /// The address that clients connect to, without `tcp://`.
    pub address: String,
    /// Every port that the files list.
    pub endpoints: Vec<Endpoint>,
}

/// What both files of our controller carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys<'a> {
    /// What messages are signed with.
    pub signing: &'a str,
    /// The public half of the controller's key pair, where messages are encrypted.
    pub server: Option<&'a str>,
}

/// Why the files cannot be used (yet).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not there, empty, cut or without a field that every version writes: ipcontroller may still be writing.
    Incomplete(String),
    /// Complete, but signed with another key: somebody else's controller writes here.
    Foreign(String),
}

/// Reads both files; `keys` are those that we gave to the controller.
pub fn read(client: &str, engine: &str, keys: Keys) -> Result<Wiring, Fault> {
    let client = complete(
        "the client file",
        client,
        keys,
        &["registration", "mux", "task"],
    )?;
    let engine = complete(
        "the engine file",
        engine,
        keys,
        &["registration", "hb_ping", "hb_pong"],
    )?;
    let address = client
        .get("interface")
        .and_then(Value::as_str)
        .map(|interface| interface.trim_start_matches("tcp://").to_owned())
        .ok_or_else(|| Fault::Incomplete("the client file has no interface".to_owned()))?;
    let mut endpoints = listed("client", &client);
    endpoints.extend(
        listed("engine", &engine)
            .into_iter()
            .filter(|endpoint| endpoint.name != "registration"),
    );
    Ok(Wiring { address, endpoints })
}

/// Another controller, as a connection file of its tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The address that it listens on, without `tcp://`.
    pub address: String,
    /// Its host, as it names it.
    pub location: String,
    /// The hub's port.
    pub port: Option<u16>,
}

/// Reads a file that may be another controller's: it is when it is complete and carries another key than ours.
#[must_use]
pub fn foreign(text: &str, key: &str) -> Option<Foreign> {
    let fields: Map<String, Value> = serde_json::from_str(text).ok()?;
    own_key(&fields).filter(|found| *found != key)?;
    let word = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    Some(Foreign {
        address: word("interface").trim_start_matches("tcp://").to_owned(),
        location: word("location").to_owned(),
        port: fields.get("registration").and_then(port),
    })
}

fn own_key(fields: &Map<String, Value>) -> Option<&str> {
    fields.get("key").and_then(Value::as_str)
}

/// Parses one file and checks its key and its needed ports.
fn complete(
    file: &str,
    text: &str,
    keys: Keys,
    needed: &[&str],
) -> Result<Map<String, Value>, Fault> {
    if text.is_empty() {
        return Err(Fault::Incomplete(format!("{file} is missing or empty")));
    }
    let fields: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| Fault::Incomplete(format!("{file} is not complete: {error}")))?;
    match own_key(&fields) {
        Some(found) if found == keys.signing => {}
        Some(_) => {
            return Err(Fault::Foreign(format!("{file} has a key that is not ours")));
        }
        None => return Err(Fault::Incomplete(format!("{file} has no key"))),
    }
    // Without one of ours the user's own configuration may give it a pair.
    if keys.server.is_some() && fields.get("curve_serverkey").and_then(Value::as_str) != keys.server
    {
        return Err(Fault::Foreign(format!(
            "{file} has no server key, or one that is not ours"
        )));
    }
    match needed
        .iter()
        .find(|name| fields.get(**name).and_then(port).is_none())
    {
        Some(name) => Err(Fault::Incomplete(format!("{file} has no port for {name}"))),
        None => Ok(fields),
    }
}

/// Every port of one file, whatever its names are: a later ipyparallel may list more.
fn listed(side: &str, fields: &Map<String, Value>) -> Vec<Endpoint> {
    let named = |name: &str, value: &Value| {
        port(value).map(|port| Endpoint {
            name: if name == "registration" {
                name.to_owned()
            } else {
                format!("{side} {name}")
            },
            port,
        })
    };
    fields
        .iter()
        .flat_map(|(name, value)| match value {
            Value::Array(values) => values
                .iter()
                .enumerate()
                .filter_map(|(index, value)| named(&format!("{name} {index}"), value))
                .collect(),
            value => named(name, value).into_iter().collect::<Vec<_>>(),
        })
        .collect()
}

/// Where clients find the controller: its address and its ports, each once; `None` where the client file is not complete.
#[must_use]
pub fn for_clients(client: &str) -> Option<(String, Vec<u16>)> {
    let fields: Map<String, Value> = serde_json::from_str(client).ok()?;
    let interface = fields.get("interface")?.as_str()?;
    let mut ports: Vec<u16> = listed("client", &fields)
        .into_iter()
        .map(|endpoint| endpoint.port)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    Some((interface.trim_start_matches("tcp://").to_owned(), ports))
}

/// A TCP port, where the value is one.
fn port(value: &Value) -> Option<u16> {
    value
        .as_u64()
        .and_then(|number| u16::try_from(number).ok())
        .filter(|port| *port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const CLIENT: &str = r#"{"ssh":"","interface":"tcp://127.0.0.1","registration":10,"control":11,"mux":12,"task":13,
    "task_scheme":"leastload","iopub":14,"notification":15,"broadcast":16,"key":"k","curve_serverkey":null,
    "location":"host","pack":"json","unpack":"json","signature_scheme":"hmac-sha256"}"#;
    const ENGINE: &str = r#"{"ssh":"","interface":"tcp://127.0.0.1","registration":10,"control":21,"mux":22,"task":23,
    "iopub":24,"hb_ping":25,"hb_pong":26,"broadcast":[27,28],"key":"k","curve_serverkey":null,"location":"host",
    "pack":"json","unpack":"json","signature_scheme":"hmac-sha256"}"#;

    fn keys(signing: &str) -> Keys<'_> {
        Keys {
            signing,
            server: None,
        }
    }

    #[test]
    fn every_port_of_both_files_is_listed_once_by_name() {
        let wiring = read(CLIENT, ENGINE, keys("k")).expect("complete");
        assert_eq!(wiring.address, "127.0.0.1");
        let ports: BTreeSet<u16> = wiring.endpoints.iter().map(|e| e.port).collect();
        assert_eq!(ports.len(), 15);
        assert_eq!(wiring.endpoints.len(), 15);
        assert!(
            wiring
                .endpoints
                .iter()
                .any(|e| e.name == "engine broadcast 1" && e.port == 28)
        );
    }

    #[test]
    fn no_cut_of_either_file_counts() {
        for cut in 0..CLIENT.len() {
            assert!(matches!(
                read(&CLIENT[..cut], ENGINE, keys("k")),
                Err(Fault::Incomplete(_))
            ));
        }
        for cut in 0..ENGINE.len() {
            assert!(matches!(
                read(CLIENT, &ENGINE[..cut], keys("k")),
                Err(Fault::Incomplete(_))
            ));
        }
    }

    #[test]
    fn another_key_is_foreign() {
        assert!(matches!(
            read(CLIENT, ENGINE, keys("other")),
            Err(Fault::Foreign(_))
        ));
    }

    #[test]
    fn wrong_types_are_incomplete() {
        let text = CLIENT.replace("\"mux\":12", "\"mux\":\"12\"");
        assert!(matches!(
            read(&text, ENGINE, keys("k")),
            Err(Fault::Incomplete(_))
        ));
        let text = CLIENT.replace("\"mux\":12", "\"mux\":70000");
        assert!(matches!(
            read(&text, ENGINE, keys("k")),
            Err(Fault::Incomplete(_))
        ));
    }

    #[test]
    fn the_key_of_the_server_is_ours_or_none() {
        let encrypted = |text: &str| text.replace("serverkey\":null", "serverkey\":\"p\"");
        let [client, engine] = [CLIENT, ENGINE].map(encrypted);
        let ours = Keys {
            signing: "k",
            server: Some("p"),
        };
        assert!(read(&client, &engine, ours).is_ok());
        for (client, engine) in [(CLIENT, &*engine), (&*client, ENGINE)] {
            assert!(matches!(read(client, engine, ours), Err(Fault::Foreign(_))));
        }
        assert!(read(&client, &engine, keys("k")).is_ok());
    }
}
