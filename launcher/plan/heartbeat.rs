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

/// How long an engine goes on without a sign of the controller, in milliseconds: as long as with ipyparallel's own defaults
/// (50 missed beats of 3.5 s). A shorter period must not make it less: a controller that is being replaced needs it.
pub const ENGINE_PATIENCE_MS: u32 = 175_000;

/// What an engine adds to the period between two looks for a beat (engine/app.py).
const LOOK_MS: u32 = 500;

/// Missed beats after which an engine gives the controller up and ends.
#[must_use]
pub fn engine_misses(period_ms: u32) -> u32 {
    ENGINE_PATIENCE_MS / (period_ms + LOOK_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_are_as_patient_at_any_size() {
        for engines in [1, 64, 65, 512, 513, 10_000] {
            let period = period_ms(engines);
            assert_eq!(misses(period) * period, 30_000, "{engines} engines");
            let patience = engine_misses(period) * (period + LOOK_MS);
            assert!(
                ENGINE_PATIENCE_MS - patience < period + LOOK_MS,
                "{engines} engines"
            );
        }
    }
}
