use super::*;
use proptest::prelude::*;
use serde_json::json;

fn record() -> Value {
    json!({
        "timeline": [
            {"at": 0.01, "event": "controller started"},
            {"at": 0.01, "event": "engines started"},
            {"at": 0.02, "event": "jupyter started"},
            {"at": 1.0, "event": "controller ready on 127.0.0.1 (18 ports)"},
            {"at": 2.5, "event": "jupyter ready at http://127.0.0.1:8000/lab"},
            {"at": 4.0, "event": "engines ready (3/3)"},
            {"at": 4.0, "event": "ready"},
            {"at": 90.0, "event": "controller started"},
        ],
        "engines": {"list": [
            {"id": 0, "node": "n1", "registered_at": 2.0},
            {"id": 1, "node": "n2", "registered_at": 4.0},
            {"id": 2, "node": "n2", "registered_at": null},
        ]},
    })
}

#[test]
fn a_start_is_a_bar_for_each_service_with_the_slowest_engines_below_theirs() {
    assert_eq!(
        chart(&record(), 56),
        [
            "controller    #####                 0.0 - 1.0 s",
            "engines       ####################  0.0 - 4.0 s",
            "  2 n2        ....................  0.0 - ...",
            "  1 n2        ####################  0.0 - 4.0 s",
            "  0 n1        ##########            0.0 - 2.0 s",
            "jupyter       #############         0.0 - 2.5 s",
            "ready                               4.0 s",
        ]
    );
}

#[test]
fn a_start_that_did_not_come_tells_how_far_it_went() {
    let mut record = record();
    let timeline = record["timeline"].as_array_mut().expect("moments");
    timeline.truncate(4);
    timeline.push(json!({"at": 180.0, "event": "stopping: engines"}));
    let lines = chart(&record, 80);
    assert!(lines[0].ends_with("0.0 - 1.0 s"), "{lines:#?}");
    assert!(lines[1].ends_with("0.0 - ..."), "{lines:#?}");
    let last = lines.last().expect("lines");
    assert!(last.ends_with("not ready after 180.0 s"), "{lines:#?}");
}

#[test]
fn the_last_try_of_a_start_counts() {
    let record = json!({"timeline": [
        {"at": 0.0, "event": "controller started"},
        {"at": 3.0, "event": "controller started"},
        {"at": 4.0, "event": "controller ready"},
        {"at": 4.0, "event": "ready"},
    ]});
    assert!(chart(&record, 60)[0].ends_with("3.0 - 4.0 s"));
}

#[test]
fn records_without_a_start_have_no_chart() {
    for record in [
        json!(null),
        json!([]),
        json!({}),
        json!({"timeline": 7}),
        json!({"timeline": [{"at": "x", "event": "ready"}, {"at": -1, "event": "controller started"}]}),
        json!({"timeline": [{"at": 0.0, "event": "controller started"}]}),
    ] {
        assert!(chart(&record, 80).is_empty(), "{record}");
    }
}

proptest! {
    #[test]
    fn any_times_words_and_width_make_short_printable_lines(
        at in proptest::collection::vec(-1e9..1e12f64, 4),
        node in "\\PC{0,40}|[\u{1b}\\[0-9m]{0,40}",
        width in 0..2000usize,
    ) {
        let record = json!({
            "timeline": [
                {"at": at[0], "event": "engines started"},
                {"at": at[1], "event": "engines ready"},
                {"at": at[2], "event": "ready"},
            ],
            "engines": {"list": [
                {"id": u64::MAX, "node": node, "registered_at": at[3]},
                {"id": 0, "node": 7, "registered_at": "x"},
            ]},
        });
        for line in chart(&record, width) {
            prop_assert!(!line.contains(char::is_control), "{line:?}");
            prop_assert!(line.chars().count() <= 150, "{line:?}");
        }
    }
}
