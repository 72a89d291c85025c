//! A heterogeneous job: do the engines run in the components that they were told to, and end in order? (tests/lab)

use crate::support::Lab;

/// Tells the ids of all engines and the hosts that they are on.
const DRIVER: &str = "
import ipyparallel as ipp, os, socket
rc = ipp.Client(profile=os.environ['IPJOB_CLIENT_PROFILE'])
print('DRIVER', rc.ids, rc[:].apply_sync(socket.gethostname), flush=True)
";

/// A job of one task on one node, and two tasks on each of two others.
const HEAD: &str = "#SBATCH --nodes=1 --ntasks-per-node=1
#SBATCH hetjob
#SBATCH --nodes=2 --ntasks-per-node=2";

/// Runs the driver in such a job with these options of ipjob; the exit code and the job's output.
fn run(lab: &Lab, options: &str) -> (i32, String) {
    let driver = lab.script("driver.py", DRIVER);
    let driver = driver.display();
    // The head must stand before the first command, so not in a body.
    let text = format!(
        "#!/bin/bash\n{HEAD}\nexec ipjob --mode cluster-only {options} -- python3 {driver}\n"
    );
    let script = lab.script("het.sbatch", &text);
    let done = lab.shell(
        "alice",
        "login",
        &format!("sbatch --parsable --output=%j.out {}", script.display()),
    );
    assert_eq!(done.code, 0, "{}", done.text);
    let id = done
        .text
        .trim()
        .split('+')
        .next()
        .expect("a first component");
    let ended = lab.job(id).finish();
    (ended.code, ended.output)
}

#[test]
fn engines_run_in_the_components_that_were_named() {
    let lab = needed!(Lab::up(&["--nodes", "3"]));
    for (options, ids, hosts) in [
        ("", "[0]", "['node1']"),
        (
            "--srun-arg=--het-group=1",
            "[0, 1, 2, 3]",
            "['node2', 'node2', 'node3', 'node3']",
        ),
        (
            "--engine-start fork --mpi none --srun-arg=--het-group=1",
            "[0, 1, 2, 3]",
            "['node2', 'node2', 'node3', 'node3']",
        ),
        (
            "-n 2 --srun-arg=--het-group --srun-arg=1",
            "[0, 1]",
            "['node2', 'node3']",
        ),
        (
            "--srun-arg=--het-group=0,1",
            "[0, 1, 2, 3, 4]",
            "['node1', 'node2', 'node2', 'node3', 'node3']",
        ),
    ] {
        let (code, output) = run(&lab, options);
        assert_eq!(code, 0, "{options}: {output}");
        let told = format!("DRIVER {ids} {hosts}");
        assert!(output.contains(&told), "{options}: {output}");
        let one_by_one =
            output.contains("engines are not forked, which only makes their start slower: engines of a step over components");
        assert_eq!(options.contains("fork"), one_by_one, "{options}: {output}");
        // Each component's part of the step was asked.
        assert!(
            !output.contains("did not end when asked"),
            "{options}: {output}"
        );
    }
    for (options, reason) in [
        ("--srun-arg=--het-group=2", "--het-group \"2\""),
        ("-n 3 --srun-arg=--het-group=0,1", "-n 3"),
    ] {
        let (code, output) = run(&lab, options);
        assert_eq!(code, 2, "{options}: {output}");
        assert!(output.contains(reason), "{options}: {output}");
    }
}
