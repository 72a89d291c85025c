//! Where ipjob is started: at the login node, in an empty environment, in an array, in a step.

use crate::support::{Lab, lab::ALICE};

/// A driver: counts the ranks of the engines' world and tells where they are.
const DRIVER: &str = "
import ipyparallel as ipp, os, socket, sys
rc = ipp.Client(profile=os.environ['IPJOB_CLIENT_PROFILE'], timeout=30)
def look():
    from mpi4py import MPI
    import socket
    return MPI.COMM_WORLD.allreduce(1), socket.gethostname()
print('driver', os.environ['IPJOB_CLIENT_PROFILE'], *sorted(set(rc[:].apply_sync(look))), flush=True)
";

/// Runs a line in a terminal, as it was typed.
const TERMINAL: &str = r#"import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(["bash", "-c", sys.argv[1]])))"#;

#[test]
fn an_interactive_shell_at_the_login_node_gets_the_line_to_type() {
    let lab = needed!(Lab::up(&[]));
    let driver = lab.script("driver.py", DRIVER);
    // What salloc leaves behind at a site without LaunchParameters=use_interactive_step: a shell here, the nodes there.
    let command = format!("ipjob --mode cluster-only -- python3 {}", driver.display());
    let script = lab.script(
        "typed.sh",
        &format!(
            "{command} 2>refusal; echo refused with $?; line=$(sed -n 's/.*type: //p' refusal)\npython3 -c '{TERMINAL}' \"$line\"; echo then $?\n\
             ipjob --mode cluster-only --detach 2>detached; echo cells read \"$(cat detached)\""
        ),
    );
    let salloc = lab.shell(
        ALICE,
        "login",
        &format!(
            "salloc -N2 --ntasks-per-node=2 bash {} </dev/null; cat refusal",
            script.display()
        ),
    );
    let text = &salloc.text;
    assert!(text.contains("refused with 2"), "{text}");
    assert!(text.contains("login is not a node of job"), "{text}");
    assert!(
        text.contains(&format!("srun --overlap --pty -N1 -n1 {command}")),
        "{text}"
    );
    assert!(
        text.contains("driver job_1 (4, 'node1') (4, 'node2')"),
        "{text}"
    );
    assert!(text.contains("then 0"), "{text}");
    let (_, detached) = text.split_once("cells read ").expect("words");
    let hints = "\nhint: --jobid 1 starts the engines in the job and everything else here\nhint: --launcher local ";
    let (_, from_hints) = detached.split_once('\n').expect("hints");
    assert!(format!("\n{from_hints}").starts_with(hints), "{text}");
}

#[test]
fn an_empty_environment_an_array_and_a_step_of_its_own() {
    let lab = needed!(Lab::up(&[]));
    let driver = lab.script("driver.py", DRIVER);
    let driver = format!("ipjob --mode cluster-only -- python3 {}", driver.display());
    // The outer step's MPI type, distribution, labels and its one task must not reach the engines' step.
    let nested = lab.submit(
        &["-N2", "--ntasks-per-node=2"],
        &format!("exec srun -n1 -N1 --mpi=pmi2 --label {driver}"),
    );
    let empty = lab.submit(
        &["-N2", "--ntasks-per-node=1", "--export=NONE"],
        &format!("exec {driver}"),
    );
    let array = lab.submit(&["-n1", "--array=3-4"], &format!("exec {driver}"));

    let ended = nested.finish();
    assert_eq!(ended.code, 0, "{}", ended.output);
    let line = format!("driver job_{} (4, 'node1') (4, 'node2')", nested.id);
    assert!(ended.output.contains(&line), "{}", ended.output);
    let record = nested.assert_nothing_left();
    assert_eq!(record["engines"]["expected"], 4);
    let nodes: Vec<_> = record["engines"]["list"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|engine| &engine["node"])
        .collect();
    assert_eq!(nodes, ["node1", "node1", "node2", "node2"]);

    let ended = empty.finish();
    assert_eq!(ended.code, 0, "{}", ended.output);
    let line = format!("driver job_{} (2, 'node1') (2, 'node2')", empty.id);
    assert!(ended.output.contains(&line), "{}", ended.output);

    let ids = lab.shell(
        ALICE,
        "login",
        &format!("squeue -h -r --states=all -j {} -o %A", array.id),
    );
    let ids: std::collections::BTreeSet<&str> = ids.text.split_whitespace().collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
    for id in ids {
        let element = lab.job(id);
        let ended = element.finish();
        assert_eq!(ended.code, 0, "{}", ended.output);
        assert!(
            ended.output.contains(&format!("driver job_{id} (1, 'node")),
            "{}",
            ended.output
        );
        element.assert_nothing_left();
    }
}
