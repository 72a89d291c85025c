use super::px;
use crate::support::{Lab, Needed, Skipped, lab::ALICE};
use serde_json::json;

/// Counts the ranks of an engine's world.
const ALL: &str = "from mpi4py import MPI\ntotal = MPI.COMM_WORLD.allreduce(1)";

/// Tells what has started an engine.
const PARENT: &str = "import os\nparent = open(f'/proc/{os.getppid()}/comm').read().strip()";

#[test]
fn a_wrong_type_is_found_and_said() {
    let lab = needed!(Lab::up(&[]));
    // MPICH knows nothing of cray_shasta: every engine is alone in a world of its own, and srun sees no error.
    let alone = lab.submit(
        &["-N2", "--ntasks-per-node=1"],
        "exec ipjob --mode cluster-only --mpi cray_shasta",
    );
    let unknown = lab.submit(&["-n1"], "exec ipjob --mode cluster-only --mpi pmi7");
    // A user's own default is kept, and only warned of.
    let default = lab.submit(
        &["-n2"],
        "export SLURM_MPI_TYPE=cray_shasta\nexec ipjob --mode cluster-only",
    );
    let ended = unknown.finish();
    assert_eq!(ended.code, 2, "{}", ended.output);
    assert!(
        ended.output.contains("this Slurm has no --mpi pmi7"),
        "{}",
        ended.output
    );
    assert!(ended.output.contains("pmi2"), "{}", ended.output);

    let ended = alone.finish();
    assert_eq!(ended.code, 3, "{}", ended.output);
    let text = "--mpi cray_shasta made no common MPI world: that of engine";
    assert!(ended.output.contains(text), "{}", ended.output);
    assert!(ended.output.contains("pmi2"), "{}", ended.output);
    alone.assert_nothing_left();

    let line = default.wait_line("found no type that makes a common MPI world");
    assert!(line.contains("warning:"), "{line}");
    default.wait_state("ready");
    default.cancel();
}

#[test]
fn open_mpi_is_told_from_mpich() {
    let lab = needed!(Lab::up(&["--mpi-packages", "openmpi"]));
    // mpi4py has modules for both libraries and takes the one that it is told.
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=1"],
        "export MPI4PY_MPIABI=openmpi\nexec ipjob --mode cluster-only --engine-start fork",
    );
    job.wait_state("ready");
    if lab
        .shell(ALICE, "login", "srun --mpi=list")
        .text
        .contains("pmix")
    {
        let cell = format!("{ALL}\nvendor = MPI.get_vendor()[0]\n{PARENT}");
        let profile = format!("job_{}", job.id);
        let names = ["total", "vendor", "parent"];
        let seen = px(&lab, "login", &profile, &cell, &names);
        assert_eq!(seen[0], json!([0, 1]));
        assert_eq!(seen[1], json!([2, 2]));
        assert_eq!(seen[2], json!(["Open MPI", "Open MPI"]));
        assert_eq!(seen[3], json!(["ipengine-forks", "ipengine-forks"]));
        let record = job.record().expect("a record");
        assert_eq!(record["warnings"], json!([]));
    } else {
        // Debian builds Slurm 26.05 without it.
        let line = job
            .wait_line("the engines do not form one MPI world: Open MPI needs `srun --mpi=pmix`");
        assert!(line.contains("warning:"), "{line}");
    }
    job.cancel();
}

/// Over several nodes the first collective call of Debian's candidate of Open MPI 6 ends with `MPI_ERR_INTERN`, forked or not.
fn a_working_open_mpi(lab: &Lab) -> Needed<()> {
    let version = lab.shell(ALICE, "login", "mpirun.openmpi --version").text;
    if version.contains("(Open MPI) 6.0.0rc") {
        return Err(Skipped::for_want_of(
            "a release of Open MPI 6 (this is a candidate)",
        ));
    }
    Ok(())
}

/// How ipjob starts ranks by an mpiexec.
const MPIEXEC: &str = "ipjob --mode cluster-only --engine-start fork --launcher mpiexec";

#[test]
fn the_ranks_of_mpichs_mpiexec_are_forks_on_both_nodes() {
    let lab = needed!(Lab::up(&[]));
    ranks_are_forks(&lab, &format!("exec {MPIEXEC}"), "MPICH");
}

#[test]
fn the_ranks_of_open_mpis_mpirun_are_forks_on_both_nodes() {
    let lab = needed!(Lab::up(&["--mpi-packages", "openmpi"]));
    needed!(a_working_open_mpi(&lab));
    let script =
        format!("export MPI4PY_MPIABI=openmpi\nexec {MPIEXEC} --launcher-command mpirun.openmpi");
    ranks_are_forks(&lab, &script, "Open MPI");
}

fn ranks_are_forks(lab: &Lab, script: &str, vendor: &str) {
    let job = lab.submit(&["-N2", "--ntasks-per-node=2"], script);
    let record = job.wait_state("ready");
    let cell = format!("{ALL}\nrank = MPI.COMM_WORLD.rank\nvendor = MPI.get_vendor()[0]\n{PARENT}");
    let names = ["rank", "total", "vendor", "parent"];
    let seen = px(lab, "login", &format!("job_{}", job.id), &cell, &names);
    let all = |value: &str| json!([value, value, value, value]);
    assert_eq!(seen[0], json!([0, 1, 2, 3]));
    assert_eq!(seen[1], seen[0], "an engine's id is its rank");
    assert_eq!(seen[2], json!([4, 4, 4, 4]));
    assert_eq!(seen[3], all(vendor));
    assert_eq!(seen[4], all("ipengine-forks"));
    // One that dies ends all.
    lab.kill("node2", &record["engines"]["list"][3]["pid"]);
    let ended = job.finish();
    assert_eq!(ended.code, 1, "{}", ended.output);
    job.assert_nothing_left();
}

#[test]
fn a_chosen_type_makes_the_world() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=1"],
        "exec ipjob --mode cluster-only --mpi pmi2",
    );
    job.wait_state("ready");
    let cell = format!("{ALL}\nnames = [n for n in dir() if 'ipjob' in n]");
    let seen = px(
        &lab,
        "login",
        &format!("job_{}", job.id),
        &cell,
        &["total", "names"],
    );
    assert_eq!(seen[1], json!([2, 2]));
    assert_eq!(
        seen[2],
        json!([[], []]),
        "ipjob leaves no name in the users' namespace"
    );
    job.cancel();
}
