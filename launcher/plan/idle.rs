//! Whether the engines of a node are at rest, with `--idle-timeout`: only the node itself can see that, so one task of the engines'
//! step tells it in the step's log. PURE. A node that tells nothing counts as in use, so rest is told again and again, but seldom: a
//! few times in the time limit, and when it begins or ends. No moment is told: clocks differ between hosts.

use core::time::Duration;

/// Looks in the time limit: as late as one part of it is a use noticed.
const LOOKS: u32 = 10;

/// Two looks are so far from each other at the least, so that each sees more than the kernel's grains of time ...
const SHORTEST_GAP: Duration = Duration::from_secs(1);

/// ... and at the most: one look takes milliseconds.
const LONGEST_GAP: Duration = Duration::from_secs(60);

/// Rest that goes on is told so often in the time limit.
const TELLINGS: u32 = 5;

/// From a node's telling to its being read: a log is looked at every 2 s once all is calm.
const READING: Duration = Duration::from_secs(3);

/// The time between two looks.
#[must_use]
pub fn gap(limit: Duration) -> Duration {
    (limit / LOOKS).clamp(SHORTEST_GAP, LONGEST_GAP)
}

/// How long a node that told of rest is believed: one telling may come late, and without the second nobody is there to tell.
#[must_use]
pub fn validity(limit: Duration) -> Duration {
    limit / TELLINGS * 2 + READING
}

/// What a node has told last, and what it is to tell next.
#[derive(Clone, Debug)]
pub struct Telling {
    limit: Duration,
    at_rest: bool,
    since: Duration,
}

impl Telling {
    /// Nothing was told: the node counts as in use.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            at_rest: false,
            since: Duration::ZERO,
        }
    }

    /// A look has seen this, so long after the one before: what is to be told, if anything.
    pub fn hear(&mut self, at_rest: bool, since: Duration) -> Option<bool> {
        self.since += since;
        // Not later than the limit allows: the next look may be after it.
        let is_due = self.since + gap(self.limit) / 2 >= self.limit / TELLINGS;
        let changed = at_rest != self.at_rest;
        if !(changed || at_rest && is_due) {
            return None;
        }
        self.at_rest = at_rest;
        self.since = Duration::ZERO;
        Some(at_rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_told_a_few_times_and_each_change_at_once() {
        let limit = Duration::from_secs(1800);
        let mut telling = Telling::new(limit);
        let mut look = |at_rest| telling.hear(at_rest, gap(limit));
        assert_eq!(look(false), None, "that goes without saying");
        assert_eq!(look(true), Some(true));
        let told: Vec<_> = (0..30).filter_map(|_| look(true)).collect();
        assert_eq!(told, [true; 5]);
        assert_eq!(look(false), Some(false));
        assert_eq!([look(false), look(false)], [None, None]);
        assert_eq!(look(true), Some(true));
    }

    #[test]
    fn a_node_that_tells_is_believed_until_its_next_line() {
        for seconds in [2, 10, 60, 600, 1800, 86_400] {
            let limit = Duration::from_secs(seconds);
            let mut telling = Telling::new(limit);
            assert_eq!(telling.hear(true, gap(limit)), Some(true));
            let mut silent = Duration::ZERO;
            for _ in 0..5000 {
                silent += gap(limit);
                if telling.hear(true, gap(limit)).is_some() {
                    assert!(silent < validity(limit), "{limit:?}: {silent:?}");
                    silent = Duration::ZERO;
                }
            }
            assert!(
                validity(limit) < limit + READING,
                "a watcher that is gone is noticed"
            );
        }
    }
}
