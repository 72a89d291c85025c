use crate::support::Lab;

/// The engines' ids, ranks and hosts as a client sees them, and the sum over their MPI world, from a `%%px` cell.
const MPI_CELL: &str = "
import ipyparallel as ipp, json, sys
from IPython.core.interactiveshell import InteractiveShell
rc = ipp.Client(profile=sys.argv[1] if len(sys.argv) > 1 else '@PROFILE@')
shell = InteractiveShell.instance()
shell.run_line_magic('load_ext', 'ipyparallel')
rc.activate(targets='all')
shell.run_cell_magic('px', '--no-stream', 'from mpi4py import MPI\\nimport socket\\ntotal = MPI.COMM_WORLD.allreduce(1)\\nrank = MPI.COMM_WORLD.rank\\nhost = socket.gethostname()')
print(json.dumps([rc.ids, rc[:]['rank'], rc[:]['host'], rc[:]['total']]))
";

#[test]
fn six_engines_on_two_nodes_are_one_mpi_world() {
    let Some(lab) = Lab::up(&[]) else { return };
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=3", "--time=10"],
        "exec ipjob --mode notebook -v",
    );
    let _ = job.wait_state("ready");
    eprintln!("{}", lab.python("login", &MPI_CELL.replace("@PROFILE@", &format!("profile_job_{}", job.id)).replace("profile_job", "job")));
    eprintln!("{}", job.output());
    let begin = std::time::Instant::now();
    let ended = job.cancel();
    panic!("{:?} {ended:?}", begin.elapsed());
}
