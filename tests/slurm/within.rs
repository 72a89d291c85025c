//! A job that is submitted inside another one inherits its variables, and has what it asked for itself all the same.

use crate::support::{Lab, program};
use std::fs;
use std::process::Command;

/// Variables of the whole table that would each keep the step from starting, or change it.
const EXPORTED: &str = "export SLURM_CONSTRAINT=gpu SLURM_GRES=gpu:2 SLURM_RESV_PORTS=2 SLURM_TASK_PROLOG=/nowhere SLURM_HOSTFILE=/nowhere \
    SLURM_WAIT=1 SLURM_TIMELIMIT=1 SLURM_STDOUTMODE=none SLURM_EXIT_ERROR=9";

/// Tells how many GPUs each engine sees, and the tasks of its step.
const DRIVER: &str = "
import ipyparallel as ipp, os, socket
rc = ipp.Client(profile=os.environ['IPJOB_CLIENT_PROFILE'])
def told():
    import os
    gpus = os.environ.get('CUDA_VISIBLE_DEVICES')
    return len(gpus.split(',')) if gpus else 0, os.environ['SLURM_NTASKS']
print('DRIVER', rc[:].apply_sync(told), flush=True)
";

#[test]
fn a_job_inside_a_job_gets_what_it_has_itself() {
    let lab = needed!(Lab::up(&["--gpus", "2"]));
    let driver = lab.script("driver.py", DRIVER);
    let jobs = [
        ("-N1", "[(0, '1')]"),
        ("-n3", "[(0, '3'), (0, '3'), (0, '3')]"),
        ("-N1 -n2 --gres=gpu:2", "[(2, '2'), (2, '2')]"),
        ("-N1 -n1 --gpus=1", "[(1, '1')]"),
        ("-N1 -n2 --gpus-per-task=1", "[(1, '2'), (1, '2')]"),
    ];
    let inner = format!(
        "#!/bin/bash\n{EXPORTED}\nexec ipjob --mode cluster-only --mpi none -- python3 {}\n",
        driver.display()
    );
    let inner = lab.script("inner.sbatch", &inner);
    // In a step, as the terminal of a Jupyter that was started by one is.
    let submit: Vec<String> = jobs
        .iter()
        .map(|(options, _)| {
            format!(
                "sbatch --parsable --output=%j.out {options} {}",
                inner.display()
            )
        })
        .collect();
    let terminal = lab.script("terminal", &submit.join("\n"));
    let outer = lab.submit(
        &[
            "-N2",
            "-n4",
            "--ntasks-per-node=2",
            "-c2",
            "--gpus-per-task=1",
        ],
        &format!("srun -N1 -n1 bash {} >ids\n", terminal.display()),
    );
    let ended = outer.finish();
    assert_eq!(ended.code, 0, "{}", ended.output);
    let ids = fs::read_to_string(lab.home("ids")).expect("the jobs");
    let ids: Vec<&str> = ids.lines().collect();
    assert_eq!(ids.len(), jobs.len(), "{ids:?}");
    for (id, (options, told)) in ids.iter().zip(jobs) {
        let job = lab.job(id);
        let ended = job.finish();
        assert_eq!(ended.code, 0, "{options}: {}", ended.output);
        let line = format!("DRIVER {told}");
        assert!(ended.output.contains(&line), "{options}: {}", ended.output);
        // Submitted on a compute node, which is no way in for a laptop.
        let way = format!("laptop   ipjob connect LOGIN:{id}");
        assert!(ended.output.contains(&way), "{options}: {}", ended.output);
        let record = job.record().expect("a record");
        assert_eq!(record["job"]["signal_to"], "batch", "{options}");
    }
}

#[test]
fn the_doctor_counts_the_tasks_of_the_job() {
    let lab = needed!(Lab::up(&[]));
    let job = lab.submit(
        &["-N2", "-n4", "--ntasks-per-node=2"],
        "srun --overlap -N1 -n1 ipjob doctor",
    );
    let ended = job.finish();
    assert!(
        ended.output.contains("4 engines on 2 nodes"),
        "{}",
        ended.output
    );
}

#[test]
fn every_variable_of_the_installed_srun_has_a_decision() {
    let manual = needed!(program(&["/usr/share/man/man1"], &["srun.1.gz"]));
    let manual = Command::new("zcat").arg(manual).output().expect("zcat");
    let manual = String::from_utf8_lossy(&manual.stdout);
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/slurm.md"))
        .expect("the page");
    let begin = manual.find("INPUT ENVIRONMENT VARIABLES").expect("a list");
    let list = manual[begin..].split("OUTPUT ENVIRONMENT").next();
    let names = list.expect("a list").lines().filter_map(|line| {
        let name = line.strip_prefix("\\fB")?.split("\\fR").next()?;
        let name = name.split('=').next()?;
        let is_name = name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit());
        (is_name && name.contains('_')).then_some(name)
    });
    let names: Vec<&str> = names.collect();
    assert!(names.len() > 80, "{names:?}");
    for name in names {
        assert!(
            page.contains(&format!("`{name}`")),
            "srun reads {name}, of which nothing is decided"
        );
    }
}
