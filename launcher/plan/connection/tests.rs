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
