//! Records and pointers as they come from another machine, in every form that chance finds.

use super::{Pointer, Record};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Values of every type, and text that means harm.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..70_000_u32).prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[/.a]{0,9}|[/$;'\"\n\r\u{1b}\u{9b}\\[a-z]{0,12}".prop_map(Value::from),
        "https?://[a-z@:/?#\n ]{0,20}".prop_map(Value::from),
        vec("[\u{1b}a-z ]{0,5}".prop_map(Value::from), 0..3).prop_map(Value::from),
        vec((any::<f64>(), "[\u{7}a-z]{0,5}"), 0..3).prop_map(|all| all
            .into_iter()
            .map(|(at, event)| json!({"at": at, "event": event}))
            .collect()),
    ]
}

/// A record as ipjob writes it.
fn record() -> Value {
    json!({"version": 1, "state": "ready", "mode": "notebook", "reason": null, "exit": null,
        "job": {"cluster": "lab", "id": "12", "nodes": ["n1", "n2"], "restart": 0, "deadline": "2026-11-22T14:27:15Z", "signal_to": "12.0"},
        "incarnation": {"id": "lab.12.0.9f3c", "host": "n1", "boot": "b", "pid": 7, "pid_start": 8},
        "profile": {"name": "job_12", "dir": "/home/a/.ipython/profile_job_12"}, "host": "n1", "ip": "10.0.0.1", "port": 8077,
        "token": "abc123", "url": "http://10.0.0.1:8077/lab?token=abc123", "controller": {"client_file": "/home/a/x.json"},
        "engines": {"expected": 2, "registered": 2}, "timeline": [{"at": 0.5, "event": "ready"}], "warnings": ["w"],
        "started": "2026-11-22T14:27:15Z", "updated": "2026-11-22T14:27:15Z", "refresh_s": 60})
}

/// The fields that are changed.
const PLACES: &[&str] = &[
    "/version",
    "/state",
    "/mode",
    "/reason",
    "/exit",
    "/job",
    "/job/cluster",
    "/job/id",
    "/job/nodes",
    "/job/restart",
    "/job/deadline",
    "/job/signal_to",
    "/incarnation/id",
    "/incarnation/pid",
    "/profile/name",
    "/profile/dir",
    "/host",
    "/ip",
    "/port",
    "/token",
    "/url",
    "/controller/client_file",
    "/engines/expected",
    "/timeline",
    "/warnings",
    "/updated",
    "/refresh_s",
];

/// What is believed of a record, whatever stands in it, is fit for a terminal, a shell and a file system.
fn assert_harmless(record: &Record) -> Result<(), TestCaseError> {
    let (job, life) = (&record.job, &record.incarnation);
    let texts = [
        record.reason.as_deref(),
        record.step.as_deref(),
        record.host.as_deref(),
        record.token.as_deref(),
        record.url.as_deref(),
        job.cluster.as_deref(),
        job.id.as_deref(),
        job.name.as_deref(),
        job.signal_to.as_deref(),
        life.id.as_deref(),
        life.host.as_deref(),
        life.boot.as_deref(),
        record.profile.dir.as_deref(),
        record.profile.log_dir.as_deref(),
        record.controller.client_file.as_deref(),
        record.controller.ipyparallel.as_deref(),
        record.hindered.all().next().map(|(_, what)| &**what),
    ];
    let lists = [&job.nodes, &record.warnings].into_iter().flatten();
    let events = record.timeline.iter().map(|moment| &moment.event);
    let nodes = record.engines.list.iter().map(|engine| &engine.node);
    let texts = texts.into_iter().flatten();
    for text in texts.chain(lists.chain(events).chain(nodes).map(|text| &**text)) {
        prop_assert!(!text.contains(char::is_control), "{:?}", text);
    }
    for path in [
        &record.profile.dir,
        &record.profile.log_dir,
        &record.controller.client_file,
    ] {
        let path = path.as_deref().unwrap_or("/");
        prop_assert!(
            path.starts_with('/') && !path.split('/').any(|part| part == ".."),
            "{:?}",
            path
        );
    }
    if let Some(name) = record.profile.name.as_ref() {
        let name = name.as_str();
        prop_assert!(!name.contains('/') && !name.contains(char::is_control) && name != "..");
    }
    if let Some(page) = record.url.as_ref() {
        prop_assert!(page.path().starts_with('/') && !page.path().contains(['?', '#', ' ']));
    }
    let plain = |text: Option<&str>| {
        text.is_none_or(|text| text.bytes().all(|b| b.is_ascii_alphanumeric()))
    };
    prop_assert!(plain(record.token.as_deref()) && plain(job.id.as_deref()));
    prop_assert!(record.timeline.iter().all(|moment| moment.at.get() >= 0.0));
    prop_assert!(record.faults.iter().all(|fault| fault.starts_with('/')));
    let now = jiff::Timestamp::now();
    let _ = (record.age_s(now), record.is_stale(now), record.has_ended());
    Ok(())
}

proptest! {
    #[test]
    fn no_field_of_a_record_does_harm(changes in vec((prop::sample::select(PLACES), value()), 0..6)) {
        let mut record = record();
        for (place, value) in changes {
            if let Some(field) = record.pointer_mut(place) {
                *field = value;
            }
        }
        let version = record["version"].clone();
        match Record::read(record.to_string().as_bytes()) {
            Ok(record) => assert_harmless(&record)?,
            Err(why) => prop_assert!(version != json!(1) && !why.contains(char::is_control), "{}", why),
        }
    }

    #[test]
    fn no_change_of_a_records_bytes_does_harm(at in 0..900_usize, length in 0..4_usize, by in vec(any::<u8>(), 0..4), cut in 0..2000_usize) {
        let mut bytes = record().to_string().into_bytes();
        let at = at.min(bytes.len());
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, by);
        bytes.truncate(cut);
        if let Ok(record) = Record::read(&bytes) {
            assert_harmless(&record)?;
        }
        let _ = Pointer::read(&bytes);
    }

    #[test]
    fn no_field_of_a_pointer_does_harm(job in value(), record in value(), text in value(), bytes in vec(any::<u8>(), 0..80)) {
        let pointer = json!({"version": 1, "cluster": text, "job": job, "profile": text, "host": text, "record": record});
        let pointer = Pointer::read(pointer.to_string().as_bytes()).expect("a pointer");
        for text in [pointer.cluster.as_deref(), pointer.host.as_deref(), pointer.record.as_deref()].into_iter().flatten() {
            prop_assert!(!text.contains(char::is_control), "{:?}", text);
        }
        prop_assert!(pointer.profile.as_ref().is_none_or(|name| !name.as_str().contains(char::is_control)));
        prop_assert!(pointer.job.as_deref().is_none_or(|job| job.bytes().all(|byte| byte.is_ascii_digit())));
        prop_assert!(pointer.record.as_deref().is_none_or(|path| path.starts_with('/') && !path.split('/').any(|part| part == "..")));
        let _ = Pointer::read(&bytes);
    }
}
