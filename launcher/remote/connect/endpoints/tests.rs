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
