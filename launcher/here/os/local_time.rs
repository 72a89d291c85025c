//! Moments as a person at this machine reads them: by the clock on the wall, and how far away.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A moment to come: `14:02 (in 2 h)`; with its day, where that is another: `Tue 14:02 (in 21 h)`, `2026-12-24 14:02 (in 30 days)`.
#[must_use]
pub fn ahead(moment: Timestamp, now: Timestamp) -> String {
    told(moment, now, TimeZone::system())
}

/// The time of the day at this moment.
#[must_use]
pub fn clock(moment: Timestamp) -> String {
    let there = moment.to_zoned_datetime(TimeZone::system());
    there.strftime("%H:%M:%S").to_string()
}

fn told(moment: Timestamp, now: Timestamp, zone: TimeZone) -> String {
    let (at, here): (ZonedDateTime, ZonedDateTime) = (
        moment.to_zoned_datetime(zone.clone()),
        now.to_zoned_datetime(zone),
    );
    let seconds = moment.duration_since(now).as_secs();
    let form = if at.date() == here.date() {
        "%H:%M"
    } else if seconds < 6 * DAY {
        "%a %H:%M"
    } else {
        "%Y-%m-%d %H:%M"
    };
    format!("{} ({})", at.strftime(form), distance(seconds))
}

/// How far away that is, in steps that are wide enough for a log that has a line for each.
fn distance(seconds: i64) -> String {
    match seconds / MINUTE {
        ..1 => "any moment".to_owned(),
        1..10 => "in a few minutes".to_owned(),
        minutes @ 10..60 => format!("in {} min", minutes / 10 * 10),
        _ if seconds < 2 * DAY => format!("in {} h", seconds / HOUR),
        _ => format!("in {} days", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_by_the_wall_s_clock_and_its_distance() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().expect("a moment");
        for (moment, expected) in [
            ("2026-11-24T11:00:00Z", "13:00 (any moment)"),
            ("2026-11-24T12:05:00Z", "14:05 (in a few minutes)"),
            ("2026-11-24T12:59:00Z", "14:59 (in 50 min)"),
            ("2026-11-24T14:02:00Z", "16:02 (in 2 h)"),
            ("2026-11-25T12:02:00Z", "Wed 14:02 (in 24 h)"),
            ("2026-11-28T12:02:00Z", "Sat 14:02 (in 4 days)"),
            ("2026-12-24T12:02:00Z", "2026-12-24 14:02 (in 30 days)"),
        ] {
            let moment = moment.parse().expect("a moment");
            let zone = TimeZone::fixed(jiff::tz::offset(2));
            assert_eq!(told(moment, now, zone), expected);
        }
    }
}
