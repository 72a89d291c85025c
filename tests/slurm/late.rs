//! Engines that come too late: does the message say why, and which?

use crate::support::Lab;

#[test]
fn a_step_that_waits_is_told_with_the_step_that_holds_the_nodes() {
    // Slurm 22.05 has no step manager and passes over the word.
    let manager = "SlurmctldParameters=enable_stepmgr";
    let lab = needed!(Lab::up(&[
        "--slurm-conf",
        manager,
        "--slurm-conf",
        "PrologFlags=Contain"
    ]));
    // With --overlap, as ipjob asks for it, a step gets its place at once: a site's own srun may know no such thing.
    let plain = lab.script(
        "plain-srun",
        "#!/bin/bash\nfor arg; do [ \"$arg\" = --overlap ] || args+=(\"$arg\"); done\nexec srun \"${args[@]}\"\n",
    );
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=1"],
        &format!(
            "mkfifo held\nexec 3<>held\nsrun --job-name=hog --output=held sh -c 'echo; exec tail -f /dev/null' &\nread <&3\nexec ipjob --mode cluster-only --mpi none --launcher-command {} --start-timeout 25s",
            plain.display()
        ),
    );
    let holder = format!("the nodes are held by step {}.0 (hog) on node[1-2]", job.id);
    let line = job.wait_line(&holder);
    assert!(line.contains("warning: srun"), "{line}");
    let ended = job.finish();
    assert_eq!(ended.code, 3, "{}", ended.output);
    let cause = ended.output.lines().find(|line| line.starts_with("cause:"));
    assert!(
        cause.is_some_and(|line| line.contains(&holder)),
        "{}",
        ended.output
    );
    let record = job.assert_nothing_left();
    let warnings = record["warnings"].as_array().expect("a list");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn engines_that_never_register_are_named_with_their_nodes_and_last_lines() {
    let lab = needed!(Lab::up(&[]));
    let wrapper = lab.script(
        "wrapper",
        "#!/bin/sh\n[ $((SLURM_PROCID % 2)) = 0 ] && exec \"$@\"\necho \"no licence for $SLURM_PROCID\"\nexec tail -f /dev/null\n",
    );
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=2"],
        &format!(
            "exec ipjob --mode cluster-only --mpi none --engine-wrapper {} --start-timeout 30s",
            wrapper.display()
        ),
    );
    let ended = job.finish();
    let text = &ended.output;
    assert_eq!(ended.code, 3, "{text}");
    assert!(text.contains("error: 2 of 4 engines registered"), "{text}");
    let record = job.assert_nothing_left();
    let pid = |rank: usize| &record["engines"]["list"][rank]["pid"];
    let hint = format!(
        "not registered: engine 1 (rank 1 on node1, pid {}), engine 3 (rank 3 on node2, pid {})",
        pid(1),
        pid(3)
    );
    assert!(text.contains(&hint), "{hint}\n{text}");
    for line in ["| 1: no licence for 1", "| 3: no licence for 3"] {
        assert!(text.contains(line), "{text}");
    }
}
