//! Moments on a clock that counts only time in which this program itself ran. While it stands still (SIGSTOP, `scontrol suspend`, a
//! machine with no CPU to spare) it hears from nobody, and nobody else may pay for that: what was silent meanwhile may just not have
//! been heard, and after a suspension of the whole job was stopped as well. So every limit counts on this clock; the kernel's own is for
//! what goes on without us: the end of the job's time, and what people are told.
//!
//! docs/design/time.md explains the design.

use std::pin::pin;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at the clock. The watch over the controller looks at the same moments, so an idle job wakes up once for both.
pub const ROUND: Duration = Duration::from_millis(900);

/// After a longer gap this program stood still: a thread looks every [`ROUND`].
const GAP: Duration = Duration::from_millis(1800);

/// What is known of the time.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    /// The last look, since the first.
    looked: Duration,
    /// How much of that this program stood still.
    stood: Duration,
}

impl Clock {
    /// Looks at the clock; tells how long this program has run. Of a gap one round counts: on a machine that always leaves gaps, limits
    /// must end all the same.
    fn look(&mut self, now: Duration) -> Duration {
        let gap = now.saturating_sub(self.looked);
        if gap > GAP {
            self.stood += gap.saturating_sub(ROUND);
        }
        self.looked = self.looked.max(now);
        self.looked.saturating_sub(self.stood)
    }
}

/// The clock of this program, and a thread that looks at it; without one nothing is known of gaps.
struct Watch {
    began: Instant,
    clock: Mutex<Clock>,
    watched: bool,
}

static WATCH: LazyLock<Watch> = LazyLock::new(|| {
    let looks = || {
        loop {
            thread::sleep(next_round(ROUND));
            let _ = OwnTime::now();
        }
    };
    let thread = thread::Builder::new().name("clock".to_owned()).spawn(looks);
    Watch {
        began: Instant::now(),
        clock: Mutex::default(),
        watched: thread.is_ok(),
    }
});

impl Watch {
    fn look(&self) -> Clock {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.began.elapsed();
        if self.watched {
            clock.look(now);
        } else {
            clock.looked = now;
        }
        *clock
    }
}

/// How long this program has stood still so far.
#[must_use]
pub fn stood_still() -> Duration {
    WATCH.look().stood
}

/// How long it is to the next of such rounds. All that looks again and again looks at the same moments, so that an idle job wakes up
/// once for all of it.
#[must_use]
pub fn next_round(pause: Duration) -> Duration {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    let gone = FIRST.elapsed().as_nanos() % pause.as_nanos();
    pause.saturating_sub(Duration::from_nanos(u64::try_from(gone).unwrap_or(0)))
}

/// A moment on that clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnTime(Duration);

impl OwnTime {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        let clock = WATCH.look();
        Self(clock.looked.saturating_sub(clock.stood))
    }

    /// How long this program has run since.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Self::now().since(self)
    }

    /// How long it ran from an earlier moment to this one.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment so much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }

    /// How long it is until this moment; `None` once it has come.
    #[must_use]
    pub fn left(self) -> Option<Duration> {
        self.0
            .checked_sub(Self::now().0)
            .filter(|left| !left.is_zero())
    }
}

/// Sleeps so long.
pub async fn sleep(time: Duration) {
    let end = OwnTime::now().after(time);
    while let Some(left) = end.left() {
        tokio::time::sleep(left).await;
    }
}

/// Waits for work, but no longer than `limit`.
pub async fn timeout<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let end = OwnTime::now().after(limit);
    let mut work = pin!(work);
    while let Some(left) = end.left() {
        if let Ok(done) = tokio::time::timeout(left, work.as_mut()).await {
            return Some(done);
        }
    }
    None
}

/// Waits for a message, but no longer than `limit`.
pub fn receive<T>(from: &Receiver<T>, limit: Duration) -> Result<T, RecvTimeoutError> {
    let end = OwnTime::now().after(limit);
    while let Some(left) = end.left() {
        match from.recv_timeout(left) {
            Err(RecvTimeoutError::Timeout) => {}
            other => return other,
        }
    }
    // What came while we stood still.
    from.try_recv().map_err(|_| RecvTimeoutError::Timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(all: &[u64]) -> Vec<Duration> {
        all.iter().copied().map(Duration::from_secs).collect()
    }

    #[test]
    fn of_a_gap_one_round_counts() {
        let mut clock = Clock::default();
        let told: Vec<Duration> = seconds(&[1, 2, 202, 203])
            .into_iter()
            .map(|now| clock.look(now))
            .collect();
        let after = Duration::from_secs(2) + ROUND;
        let second = Duration::from_secs(1);
        assert_eq!(told, [second, 2 * second, after, after + second]);
        assert_eq!(clock.stood + ROUND, Duration::from_secs(200));
    }

    #[test]
    fn who_is_never_given_the_cpu_for_long_runs_out_of_time_all_the_same() {
        let mut clock = Clock::default();
        let ran = (1..=100).map(|look| clock.look(Duration::from_secs(6 * look)));
        assert_eq!(ran.last(), Some(100 * ROUND));
    }

    #[test]
    fn a_look_that_comes_late_takes_nothing_back() {
        let mut clock = Clock::default();
        let second = Duration::from_secs(1);
        assert_eq!(clock.look(second), second);
        assert_eq!(clock.look(second / 2), second);
    }

    #[test]
    fn what_was_sent_is_received_however_late() {
        let (sender, receiver) = std::sync::mpsc::channel();
        assert!(receive(&receiver, Duration::from_millis(1)).is_err());
        sender.send(7).expect("open");
        assert_eq!(receive(&receiver, Duration::ZERO), Ok(7));
        drop(sender);
        assert_eq!(
            receive(&receiver, Duration::from_secs(60)),
            Err(RecvTimeoutError::Disconnected)
        );
    }
}
