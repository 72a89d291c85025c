//! What comes from another machine, in every form that chance finds: records, pointers, squeue's lines, ssh's output. And what a
//! person names, which goes to ssh and to a shell.

use super::parts::Parts;
use super::queue::Line;
use super::sight::{Pointer, Sight};
use super::ssh::words_of;
use super::target::{Host, Job, Target};
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
fn assert_harmless(sight: &Sight) -> Result<(), TestCaseError> {
    let texts = [
        &sight.state,
        &sight.mode,
        &sight.reason,
        &sight.cluster,
        &sight.job,
        &sight.signal_to,
        &sight.incarnation,
        &sight.life_host,
        &sight.boot,
        &sight.dir,
        &sight.host,
        &sight.token,
        &sight.page,
        &sight.client_file,
    ];
    let events = sight.timeline.iter().map(|(_, event)| event);
    let all = texts
        .into_iter()
        .flatten()
        .chain(&sight.nodes)
        .chain(&sight.warnings)
        .chain(events);
    for text in all {
        prop_assert!(!text.contains(char::is_control), "{:?}", text);
    }
    for path in [&sight.dir, &sight.client_file].into_iter().flatten() {
        prop_assert!(
            path.starts_with('/') && !path.split('/').any(|part| part == ".."),
            "{:?}",
            path
        );
    }
    if let Some(name) = &sight.profile {
        let name = name.as_str();
        prop_assert!(!name.contains('/') && !name.contains(char::is_control) && name != "..");
    }
    if let Some(page) = &sight.page {
        prop_assert!(page.starts_with('/') && !page.contains(['?', '#', ' ']));
    }
    let plain = |text: &Option<String>| {
        text.as_ref()
            .is_none_or(|text| text.chars().all(|c| c.is_ascii_alphanumeric()))
    };
    prop_assert!(sight.port != Some(0) && plain(&sight.token) && plain(&sight.job));
    prop_assert!(sight.timeline.iter().all(|(at, _)| *at >= 0.0));
    let now = jiff::Timestamp::now();
    let _ = (sight.age_s(now), sight.is_stale(now), sight.has_ended());
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
        match Sight::read(record.to_string().as_bytes()) {
            Ok(sight) => assert_harmless(&sight)?,
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
        if let Ok(sight) = Sight::read(&bytes) {
            assert_harmless(&sight)?;
        }
        let _ = Pointer::read(&bytes);
    }

    #[test]
    fn no_field_of_a_pointer_does_harm(job in value(), record in value(), text in value(), bytes in vec(any::<u8>(), 0..80)) {
        let pointer = json!({"version": 1, "cluster": text, "job": job, "profile": text, "host": text, "record": record});
        let pointer = Pointer::read(pointer.to_string().as_bytes()).expect("a pointer");
        for text in [&pointer.cluster, &pointer.host, &pointer.record].into_iter().flatten() {
            prop_assert!(!text.contains(char::is_control), "{:?}", text);
        }
        prop_assert!(pointer.profile.is_none_or(|name| !name.as_str().contains(char::is_control)));
        prop_assert!(pointer.job.is_none_or(|job| job.bytes().all(|byte| byte.is_ascii_digit())));
        prop_assert!(pointer.record.is_none_or(|path| path.starts_with('/') && !path.split('/').any(|part| part == "..")));
        let _ = Pointer::read(&bytes);
    }

    #[test]
    fn targets_are_read_as_they_were_named(host in "([a-z][a-z0-9._-]{0,9}@)?[a-z0-9][a-z0-9.-]{0,12}", job in 0..u32::MAX, index in 0..999_u32) {
        let read = |text: String| Target::read(&text).expect("a target");
        let target = read(format!("{host}:{job}"));
        prop_assert_eq!(target.host.as_ref().map(Host::as_str), Some(host.as_str()));
        prop_assert_eq!(target.job, Some(Job::Id(job.to_string())));
        let element = format!("{job}_{index}");
        prop_assert_eq!(read(element.clone()).job, Some(Job::Element(element)));
    }

    #[test]
    fn no_target_reaches_a_shell_or_ssh_as_more_than_a_name(text in "\\PC{0,20}|[-a-z0-9@:\\[\\]%._/$`;' \n]{0,16}") {
        if let Ok(target) = Target::read(&text) {
            let words = [target.host.as_ref().map(Host::as_str), target.job.as_ref().map(Job::as_str)];
            for word in words.into_iter().flatten() {
                prop_assert!(!word.is_empty() && !word.starts_with('-') && !word.contains('/'));
                prop_assert!(word.chars().all(|c| c.is_ascii_alphanumeric() || "._@+=-:%".contains(c)), "{:?}", word);
            }
        }
    }

    #[test]
    fn a_line_of_squeue_is_read_whatever_the_name_is(id in any::<u32>(), start in any::<u32>(), nodes in 1..9999_u32, name in "\\PC{1,20}") {
        let line = format!("{id}|{id}|RUNNING|{nodes}|{start}|N/A|n[1-2]|ada|None|{name}");
        let line = Line::read(&line).expect("a line");
        prop_assert_eq!(line.job.name(), id.to_string());
        prop_assert_eq!((line.start, line.end), (Some(i64::from(start)), None));
        prop_assert_eq!(line.node_count, Some(nodes));
    }

    #[test]
    fn no_line_of_squeue_does_harm(text in "(?s).{0,60}|[0-9]{1,4}\\|([A-Z0-9|\u{1b}\\[a-z/.-]|\\PC){0,60}") {
        if let Some(line) = Line::read(&text) {
            for text in [line.job.number(), line.job.name(), &line.shown, &line.state, &line.user, &line.name] {
                prop_assert!(!text.contains(char::is_control), "{:?}", text);
            }
            prop_assert!(line.job.name().chars().all(|char| char.is_ascii_digit() || "_+[]-,:.".contains(char)));
            let _ = line.phase();
        }
    }

    #[test]
    fn an_answer_over_ssh_is_taken_apart_as_it_was_put_together(
        motd in "([a-z !]{0,9}\n){0,3}", bodies in vec(("[a-z]{1,6}", "[ -~]{0,12}", vec(any::<u8>(), 0..60)), 0..5),
    ) {
        let mut answer = motd.into_bytes();
        for (kind, words, body) in &bodies {
            answer.extend(format!("\n0123456789abcdef {kind} {words}\n").bytes());
            answer.extend(body);
        }
        let mut parts = Parts::new(answer.as_slice(), "0123456789abcdef", 1000);
        for (kind, words, body) in &bodies {
            let part = parts.next().expect("no error").expect("a part");
            prop_assert_eq!((&part.kind, &part.words), (kind, words));
            // The newline before the next part is none of the body; the last body may end with one of its own.
            let end = body.strip_suffix(b"\n").unwrap_or(body);
            prop_assert!(&part.body == body || part.body == end);
        }
        prop_assert!(parts.next().expect("no error").is_none());
    }

    #[test]
    fn no_answer_over_ssh_grows(text in vec(prop_oneof![Just(b"\nm4rk ".to_vec()), vec(any::<u8>(), 0..40)], 0..20), longest in 0..50_usize) {
        let answer = text.concat();
        let mut parts = Parts::new(answer.as_slice(), "m4rk", longest);
        let mut all = 0;
        while let Some(part) = parts.next().expect("no error") {
            prop_assert!(part.body.len() <= longest + 2);
            all += part.kind.len() + part.words.len() + part.body.len();
        }
        // What is no text takes more room as text.
        prop_assert!(all <= answer.len() * 3);
        let words = words_of(&String::from_utf8_lossy(&answer));
        prop_assert!(words.lines().count() <= 30 && !words.replace('\n', "").contains(char::is_control));
    }
}
