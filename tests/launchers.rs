//! Do engines start by whatever starts programs here: one mpiexec, or ipjob itself started as several ranks?

mod bind;
mod mpiexec;
mod ranks;
mod start;
mod step;
mod threads;

/// What each engine knows of itself, in the order of the ids: id, rank and what an allreduce over all engines makes of 1.
const WORLD: &str = "
import ipyparallel as ipp, json, sys
rc = ipp.Client(profile=sys.argv[1], timeout=60)
def world():
    from mpi4py import MPI
    return MPI.COMM_WORLD.rank, MPI.COMM_WORLD.allreduce(1)
print(json.dumps([[i, *seen] for i, seen in zip(rc.ids, rc[:].apply_sync(world))]))
";

/// The ids of the engines that answer.
const IDS: &str = "
import ipyparallel as ipp, json, sys
rc = ipp.Client(profile=sys.argv[1], timeout=60)
rc[:].apply_sync(lambda: None)
print(json.dumps(rc.ids))
";

/// What [`WORLD`] prints of one world of so many engines, whose ids are their ranks.
fn one_world(size: u32) -> serde_json::Value {
    (0..size)
        .map(|id| serde_json::json!([id, id, size]))
        .collect()
}
