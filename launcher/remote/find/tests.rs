use super::*;
use serde_json::json;

fn part(kind: &str, words: &str, body: &str) -> Part {
    Part {
        kind: kind.to_owned(),
        words: words.to_owned(),
        body: body.as_bytes().to_vec(),
    }
}

fn pointer(job: &str, record: &str) -> String {
    json!({"version": 1, "cluster": "lab", "job": job, "profile": "p", "host": "n1", "record": record}).to_string()
}

fn round(parts: &[Part]) -> Found {
    let mut round = Round::default();
    let head = [
        part("host", "login", "b-1\n"),
        part("user", "ada", ""),
        part("now", "1764000000", ""),
        part("queue", "absent", ""),
    ];
    for part in head.iter().chain(parts) {
        round.take(part);
    }
    round.found().expect("complete")
}

#[test]
fn pointers_and_records_find_each_other() {
    let record = "{\"version\":1,\"state\":\"ready\"}";
    let found = round(&[
        part("pointer", "/s/lab.1.json", &pointer("1", "/r/1")),
        part("record", "/r/1", record),
        part("process", "42", "42 (ipjob) S 1"),
        // The profile of the first job is used again: the script shows a record once.
        part("pointer", "/s/lab.2.json", &pointer("2", "/r/1")),
        part("pointer", "/s/lab.3.json", &pointer("3", "/r/3")),
        part("absent", "/r/3", ""),
        part("pointer", "/s/lab.4.json", "garbage"),
        part("record", "/r/5", "{"),
    ]);
    let sights: Vec<bool> = found
        .traces
        .iter()
        .map(|trace| trace.sight().is_some())
        .collect();
    assert_eq!(sights, [true, true, false, false, false]);
    assert_eq!(
        found.traces[1].process,
        Some((42, "42 (ipjob) S 1".to_owned()))
    );
    assert_eq!(found.traces[2].record, Record::Absent);
    assert!(matches!(found.traces[3].pointer, Some(Err(_))));
    assert_eq!(found.traces[3].record_path, None);
    assert!(matches!(found.traces[4].record, Record::Garbage(_)));
    assert_eq!(found.traces[4].pointer, None);
}

#[test]
fn a_record_is_not_put_to_a_pointer_that_leads_elsewhere() {
    let found = round(&[
        part("pointer", "/s/lab.1.json", &pointer("1", "/r/1/../2")),
        part("record", "/r/1/../2", "{\"version\":1}"),
    ]);
    assert_eq!(found.traces.len(), 2);
    assert_eq!(found.traces[0].sight(), None);
}

#[test]
fn an_answer_that_breaks_off_is_no_answer() {
    let mut round = Round::default();
    round.take(&part("host", "login", ""));
    assert_eq!(round.found().expect_err("incomplete").exit_code(), 6);
}

#[test]
fn the_script_looks_here_too() {
    let job = Job::Id("99999999".to_owned());
    let mut search = Search::begin(None, Some(&job)).expect("a shell");
    let found = search.found().expect("this machine");
    assert_eq!(search.again().expect("again").traces, found.traces);
    assert_eq!(found.host, crate::here::identity::host());
    assert_eq!(found.boot, crate::here::process::boot_id());
    assert_eq!(found.traces, []);
}
