//! What every engine tells of its MPI world in the step's log: a wrong `srun --mpi` gives as many worlds of one as there are
//! engines, and every program ends well.

/// How the line begins.
const HEAD: &str = "ipjob-world rank ";

/// Python that an engine runs at its start. One `os.write`, so that srun does not mix the line with another task's. The code
/// itself is logged as well, so only a line that is nothing else counts.
pub const STARTUP_CODE: &str = "import os as _ipjob_os, mpi4py.MPI as _ipjob_mpi; _ipjob_os.write(1, b'ipjob-world rank %d of %d\\n' % (_ipjob_mpi.COMM_WORLD.rank, _ipjob_mpi.COMM_WORLD.size)); del _ipjob_os, _ipjob_mpi";

/// One engine's world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorldReport {
    /// The task of the step, as srun labels its lines.
    pub task: u32,
    /// Its rank in the world.
    pub rank: u32,
    /// How many are in the world.
    pub size: u32,
}

impl WorldReport {
    /// Reads `3: ipjob-world rank 3 of 6`; `None` for any other line.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let (label, rest) = line.split_once(HEAD)?;
        let (rank, size) = rest.trim_end().split_once(" of ")?;
        Some(Self {
            task: label.trim().strip_suffix(':')?.trim().parse().ok()?,
            rank: rank.parse().ok()?,
            size: size.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_told_from_the_code_that_prints_it() {
        assert_eq!(
            WorldReport::read(" 3: ipjob-world rank 0 of 1"),
            Some(WorldReport {
                task: 3,
                rank: 0,
                size: 1
            })
        );
        for line in [
            format!("3: {STARTUP_CODE}"),
            "ipjob-world rank 0 of 1".to_owned(),
            "3: ipjob-world rank x of 6".to_owned(),
        ] {
            assert_eq!(WorldReport::read(&line), None, "{line}");
        }
    }
}
