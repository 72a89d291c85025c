//! Files that other programs write: connection files, the hub's list of engines, what ranks and lives of ipjob tell each other.

use crate::plan::connection::{Fault, Keys, foreign, read};
use crate::plan::engine_list::EngineList;
use crate::plan::incarnation::Incarnation;
use crate::plan::rendezvous::{Message, VERSION, Word};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn incarnation() -> impl Strategy<Value = Incarnation> {
    let id = prop_oneof!["[ab]\\.[12]\\.[0-3]\\.[0-9a-f]{4}", "\\PC{0,12}"];
    (id, "[a-z]{1,5}", any::<u32>(), any::<u64>()).prop_map(|(id, host, pid, pid_start)| {
        Incarnation {
            id,
            host,
            boot: "b".to_owned(),
            pid,
            pid_start,
        }
    })
}

/// Any JSON value that is not deep.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..70_000_u32).prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| vec(inner, 0..4).prop_map(Value::from))
}

/// The ports that a side's file must have.
const NEEDED: [&[&str]; 2] = [
    &["registration", "mux", "task"],
    &["registration", "hb_ping", "hb_pong"],
];

/// A file with these ports, this key and further fields.
fn file(needed: &[&str], ports: &[u16], key: &str, more: Map<String, Value>) -> String {
    let mut fields = more;
    for (name, port) in needed.iter().zip(ports) {
        fields.insert((*name).to_owned(), json!(port));
    }
    fields.insert("key".to_owned(), json!(key));
    fields.remove("curve_serverkey");
    fields.insert("interface".to_owned(), json!("tcp://10.0.0.7"));
    Value::from(fields).to_string()
}

fn further() -> impl Strategy<Value = Map<String, Value>> {
    btree_map("[a-z_]{1,12}", value(), 0..6).prop_map(|fields| fields.into_iter().collect())
}

fn keys(signing: &str) -> Keys<'_> {
    Keys {
        signing,
        server: None,
    }
}

/// The start of a text, at a character.
fn cut(text: &str, percent: usize) -> &str {
    let end = (0..=text.len() * percent / 100)
        .rev()
        .find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

proptest! {
    #[test]
    fn connection_files_are_ours_whole_or_not_at_all(
        ports in vec(1..=u16::MAX, 5), key in "\\PC{1,20}", other in "\\PC{1,20}",
        more in further(), percent in 0..100_usize,
    ) {
        let client = file(NEEDED[0], &ports, &key, more.clone());
        let engine = file(NEEDED[1], &[ports[0], ports[3], ports[4]], &key, more);
        let wiring = read(&client, &engine, keys(&key)).expect("whole and ours");
        prop_assert_eq!(&wiring.address, "10.0.0.7");
        for port in &ports {
            prop_assert!(wiring.endpoints.iter().any(|endpoint| endpoint.port == *port));
        }
        prop_assert!(wiring.endpoints.iter().all(|endpoint| endpoint.port > 0));
        let registrations = wiring.endpoints.iter().filter(|endpoint| endpoint.name == "registration");
        prop_assert_eq!(registrations.count(), 1);
        prop_assert!(matches!(read(cut(&client, percent), &engine, keys(&key)), Err(Fault::Incomplete(_))));
        prop_assert!(matches!(read(&client, cut(&engine, percent), keys(&key)), Err(Fault::Incomplete(_))));
        prop_assert_eq!(matches!(read(&client, &engine, keys(&other)), Err(Fault::Foreign(_))), key != other);
        prop_assert_eq!(foreign(&client, &other).is_some(), key != other);
        prop_assert!(foreign(cut(&client, percent), &other).is_none(), "what is cut says nothing");
    }

    #[test]
    fn no_change_of_a_connection_file_makes_it_panic(
        ports in vec(any::<u16>(), 5), more in further(), at in 0..400_usize, by in "\\PC{0,3}", length in 0..4_usize,
    ) {
        let client = file(NEEDED[0], &ports, "k", more.clone());
        let engine = file(NEEDED[1], &ports, "k", more);
        let mut changed: Vec<char> = client.chars().collect();
        let at = at.min(changed.len());
        let end = (at + length).min(changed.len());
        changed.splice(at..end, by.chars());
        let changed: String = changed.into_iter().collect();
        if let Ok(wiring) = read(&changed, &engine, keys("k")) {
            prop_assert!(wiring.endpoints.len() <= changed.len() + engine.len());
            prop_assert!(wiring.endpoints.iter().all(|endpoint| endpoint.port > 0));
        }
        let _ = EngineList::read(&changed);
    }

    #[test]
    fn the_list_of_engines_is_read_whole_or_not_at_all(
        engines in btree_map(any::<u32>(), "[0-9a-f_-]{4,40}", 0..20), next in any::<u32>(), percent in 0..100_usize,
    ) {
        let named: Map<String, Value> = engines.iter().map(|(id, uuid)| (id.to_string(), json!(uuid))).collect();
        let text = json!({"engines": named, "next_id": next}).to_string();
        prop_assert_eq!(EngineList::read(&text).map(|list| list.ids()), Some(engines.into_keys().collect()));
        prop_assert_eq!(EngineList::read(cut(&text, percent)), None);
    }

    #[test]
    fn no_text_is_a_list_by_chance(text in "\\PC{0,60}", value in value()) {
        prop_assert_eq!(EngineList::read(&text), None);
        let _ = EngineList::read(&json!({"engines": value}).to_string());
    }

    #[test]
    fn a_leaders_message_is_read_whole_or_not_at_all(leader in incarnation(), key in "\\PC{0,30}", beat in any::<u64>(), percent in 0..100_usize) {
        let message = Message {
            version: VERSION, key, leader, pid_namespace: "pid:[1]".to_owned(), word: Word::Run, beat, order: None,
        };
        let text = serde_json::to_string(&message).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Message>(&text).ok(), Some(message));
        prop_assert!(serde_json::from_str::<Message>(cut(&text, percent)).is_err());
    }

    #[test]
    fn of_two_lives_at_most_one_succeeds_the_other(one in incarnation(), other in incarnation()) {
        prop_assert!(!one.succeeds(&one));
        prop_assert!(!(one.succeeds(&other) && other.succeeds(&one)));
    }
}
