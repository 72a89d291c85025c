//! How often the controller asks its engines for a sign of life.
//!
//! An engine counts one to two periods after its heart starts (heartmonitor.py: the answer to a ping is noticed at the
//! next beat), so ipyparallel's default of 3 s costs every start 3 to 6 s. A shorter period must not make the hub less
//! patient, so the number of missed beats grows with it.

/// The period, in milliseconds, for so many engines: 4 engines cost 0.05 s of CPU in 20 s at 500 ms; the cost grows with
/// the engines and falls with the period.
#[must_use]
pub fn period_ms(engines: u32) -> u32 {
    match engines {
        0..=64 => 250,
        65..=512 => 1000,
        _ => 3000,
    }
}

/// Missed beats after which the hub drops a silent engine: 30 s of silence, ipyparallel's own default (10 x 3 s).
#[must_use]
pub fn misses(period_ms: u32) -> u32 {
    30_000 / period_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_engine_is_dropped_after_the_same_time_at_any_size() {
        for engines in [1, 64, 65, 512, 513, 10_000] {
            let period = period_ms(engines);
            assert_eq!(misses(period) * period, 30_000, "{engines} engines");
        }
    }
}
