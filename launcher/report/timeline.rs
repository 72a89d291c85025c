//! The course of a start as a small chart: one bar for each service, and for the engines that came last. What it reads may be
//! anybody's file, so every field may be missing, and every number nonsense.

use crate::plan::name::Name;
use crate::record::{Moment, Record, Seconds};

/// Engines that get a bar of their own.
const SLOWEST: usize = 5;

/// Columns of a bar at the least and at the most.
const BAR: std::ops::RangeInclusive<usize> = 10..=100;

/// Columns of all else: the name before a bar, and the times after it.
const LABEL: usize = 12;
const TIMES: usize = 20;

/// A time that a start may take at the longest; what is more is nonsense.
const LONGEST: f64 = 1e7;

/// A line of the chart.
struct Row {
    label: String,
    from: f64,
    /// `None`: it has not come.
    to: Option<f64>,
}

/// The start that a record tells of, as lines of at most `width` columns (or 44, where that is less). No line where it tells
/// of none.
#[must_use]
pub fn chart(record: &Record, width: usize) -> Vec<String> {
    let sane = |moment: &&Moment| moment.at.get() <= LONGEST;
    let mut moments: Vec<&Moment> = record.timeline.iter().filter(sane).collect();
    let ready = moments.iter().position(|moment| moment.is_ready());
    // What comes later is no start.
    moments.truncate(ready.map_or(moments.len(), |place| place + 1));
    let ready = ready.and(moments.last()).map(|moment| moment.at.get());
    let rows = rows(record, &moments);
    let last = rows
        .iter()
        .filter_map(|row| row.to)
        .chain(
            moments
                .iter()
                .map(|moment| moment.at.get())
                .filter(|_| ready.is_none()),
        )
        .fold(0.0, f64::max);
    let end = ready.unwrap_or(last);
    if rows.is_empty() || end <= 0.0 {
        return Vec::new();
    }
    let columns = width.saturating_sub(LABEL + TIMES + 4);
    let columns = columns.clamp(*BAR.start(), *BAR.end());
    let mut lines: Vec<String> = rows.iter().map(|row| line(row, end, columns)).collect();
    lines.push(match ready {
        Some(at) => format!("{:LABEL$}  {:columns$}  {at:.1} s", "ready", ""),
        None => format!("{:LABEL$}  {:columns$}  not ready after {end:.1} s", "", ""),
    });
    lines
        .iter()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// The bars: services in their order of start, and below the engines those that came last.
fn rows(record: &Record, moments: &[&Moment]) -> Vec<Row> {
    let mut rows = Vec::new();
    for name in Name::ALL {
        let Some((from, to)) = span(moments, name) else {
            continue;
        };
        rows.push(Row {
            label: name.to_string(),
            from,
            to,
        });
        if name == Name::Engines {
            rows.extend(slowest(record, from));
        }
    }
    rows
}

/// When a service was started and when it was ready, for the last time before the whole job was.
fn span(moments: &[&Moment], name: Name) -> Option<(f64, Option<f64>)> {
    let started = moments
        .iter()
        .rposition(|moment| moment.is_start_of(name))?;
    let to = moments[started..]
        .iter()
        .find(|moment| moment.is_readiness_of(name))
        .map(|moment| moment.at.get());
    Some((moments[started].at.get(), to))
}

/// The engines that came last, or not at all.
fn slowest(record: &Record, from: f64) -> Vec<Row> {
    let mut engines: Vec<(Option<f64>, String)> = record
        .engines
        .list
        .iter()
        .map(|engine| {
            let label = format!("  {} {}", engine.id, engine.node);
            let at = engine.registered_at.map(Seconds::get);
            let at = at.filter(|at| *at <= LONGEST);
            (at, label.chars().take(LABEL).collect())
        })
        .collect();
    // One engine is the service itself.
    if engines.len() < 2 {
        return Vec::new();
    }
    engines.sort_by(|one, other| {
        let late = |at: &Option<f64>| at.unwrap_or(f64::INFINITY);
        late(&other.0).total_cmp(&late(&one.0))
    });
    engines.truncate(SLOWEST);
    engines
        .into_iter()
        .map(|(to, label)| Row { label, from, to })
        .collect()
}

/// A row of `columns` columns for the time from 0 to `end`.
fn line(row: &Row, end: f64, columns: usize) -> String {
    let at = |time: f64| column(time / end, columns);
    let from = at(row.from).min(columns - 1);
    let to = at(row.to.unwrap_or(end)).clamp(from + 1, columns);
    let fill = if row.to.is_some() { "#" } else { "." };
    let bar = " ".repeat(from) + &fill.repeat(to - from);
    let times = match row.to {
        Some(to) => format!("{:.1} - {to:.1} s", row.from),
        None => format!("{:.1} - ...", row.from),
    };
    format!("{:LABEL$}  {bar:columns$}  {times}", row.label)
}

/// The column of a share of the whole.
fn column(share: f64, columns: usize) -> usize {
    (0..columns)
        .rev()
        .find(|column| {
            let middle = (f64::from(u32::try_from(*column).unwrap_or(u32::MAX)) + 0.5)
                / f64::from(u32::try_from(columns).unwrap_or(u32::MAX));
            share >= middle
        })
        .map_or(0, |column| column + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn chart_of(record: &Value, width: usize) -> Vec<String> {
        let mut record = record.clone();
        if let Some(fields) = record.as_object_mut() {
            fields.insert("version".to_owned(), json!(1));
        }
        let record = Record::read(record.to_string().as_bytes());
        record.map_or_else(|_| Vec::new(), |record| chart(&record, width))
    }

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
                {"id": 0, "rank": 0, "node": "n1", "pid": 7, "registered_at": 2.0},
                {"id": 1, "rank": 1, "node": "n2", "pid": 7, "registered_at": 4.0},
                {"id": 2, "rank": 2, "node": "n2", "pid": 7, "registered_at": null},
            ]},
        })
    }

    #[test]
    fn a_start_is_a_bar_for_each_service_with_the_slowest_engines_below_theirs() {
        assert_eq!(
            chart_of(&record(), 56),
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
        let lines = chart_of(&record, 80);
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
        assert!(chart_of(&record, 60)[0].ends_with("3.0 - 4.0 s"));
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
            assert!(chart_of(&record, 80).is_empty(), "{record}");
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
                    {"id": u32::MAX, "rank": 1, "node": node, "pid": 7, "registered_at": at[3]},
                    {"id": 0, "rank": 0, "node": "", "pid": 8, "registered_at": "x"},
                ]},
            });
            for line in chart_of(&record, width) {
                prop_assert!(!line.contains(char::is_control), "{line:?}");
                prop_assert!(line.chars().count() <= 150, "{line:?}");
            }
        }
    }
}
