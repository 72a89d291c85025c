use super::*;

fn read(pairs: &[(&str, &str)]) -> Outcome<Option<Rank>> {
    let environment: Vec<_> = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Rank::read(&environment, "vm.1f.77.4242")
}

const STEP: &[(&str, &str)] = &[
    ("SLURM_JOB_ID", "13"),
    ("SLURM_CLUSTER_NAME", "lab"),
    ("SLURM_STEP_ID", "0"),
    ("SLURM_STEP_NUM_TASKS", "6"),
    ("SLURM_PROCID", "4"),
    ("SLURM_LAUNCH_NODE_IPADDR", "10.77.0.11"),
    ("SLURM_SRUN_COMM_PORT", "40001"),
];

#[test]
fn a_step_of_several_tasks_is_ranks() {
    let rank = read(STEP).expect("readable").expect("a rank");
    assert_eq!((rank.number, rank.size, rank.world), (4, 6, false));
    assert_eq!(rank.key, "lab.13.0.0 10.77.0.11 40001");
    let name = rank.meeting();
    assert!(
        name.starts_with(".ipjob-meeting-lab.13.0.0_10.77.0.11_40001-"),
        "{name}"
    );
}

#[test]
fn what_runs_once_is_no_rank() {
    let batch: &[(&str, &str)] = &[
        ("SLURM_JOB_ID", "13"),
        ("SLURM_NTASKS", "6"),
        ("SLURM_PROCID", "0"),
    ];
    let interactive: &[(&str, &str)] = &[
        ("SLURM_JOB_ID", "13"),
        ("SLURM_STEP_ID", "4294967290"),
        ("SLURM_STEP_NUM_TASKS", "6"),
        ("SLURM_PROCID", "0"),
    ];
    let shell: &[(&str, &str)] = &[
        ("SLURM_JOB_ID", "13"),
        ("SLURM_STEP_ID", "0"),
        ("SLURM_STEP_NUM_TASKS", "1"),
        ("SLURM_PROCID", "0"),
        ("PMI_RANK", "0"),
        ("PMI_SIZE", "1"),
    ];
    let below_ipjob = [STEP, &[(INCARNATION_VARIABLE, "lab.13.0.77")]].concat();
    for environment in [&[], batch, interactive, shell, &below_ipjob] {
        assert_eq!(read(environment), Ok(None), "{environment:?}");
    }
}

#[test]
fn mpiexec_on_one_host_is_told_by_its_process() {
    let hydra: &[(&str, &str)] = &[
        ("PMI_RANK", "2"),
        ("PMI_SIZE", "3"),
        ("MPI_LOCALNRANKS", "3"),
    ];
    let rank = read(hydra).expect("readable").expect("a rank");
    assert_eq!(rank.key, "vm.1f.77.4242");
    assert!(rank.world);
    // Inside an outer step, whose variables all of its processes have.
    let nested = [STEP, hydra].concat();
    let rank = read(&nested).expect("readable").expect("a rank");
    assert_eq!((rank.number, rank.size), (2, 3));
    assert!(rank.key.ends_with(" vm.1f.77.4242"), "{}", rank.key);
}

#[test]
fn ranks_on_several_hosts_need_a_name() {
    let hydra: &[(&str, &str)] = &[
        ("PMI_RANK", "2"),
        ("PMI_SIZE", "6"),
        ("MPI_LOCALNRANKS", "3"),
    ];
    let failure = read(hydra).expect_err("nothing tells them apart");
    assert!(failure.hints[0].contains(MEETING_VARIABLE), "{failure}");
    for (name, value) in [
        (MEETING_VARIABLE, "x"),
        ("PMIX_NAMESPACE", "prterun-a-77@1"),
    ] {
        let named = [hydra, &[(name, value)]].concat();
        let rank = read(&named).expect("readable").expect("a rank");
        assert!(rank.key.ends_with(value), "{}", rank.key);
    }
}

#[test]
fn two_starts_never_meet() {
    let key = |pairs: &[(&str, &str)]| {
        let rank = read(&[pairs, STEP].concat()).expect("readable");
        rank.expect("a rank").meeting()
    };
    let own = key(&[]);
    for other in [
        ("SLURM_STEP_ID", "1"),
        ("SLURM_JOB_ID", "14"),
        ("SLURM_RESTART_COUNT", "1"),
        ("SLURM_CLUSTER_NAME", "other"),
        ("SLURM_SRUN_COMM_PORT", "40002"),
    ] {
        assert_ne!(key(&[other]), own, "{other:?}");
    }
}

#[test]
fn garbage_is_refused_by_name() {
    for (name, rank, size) in [("PMI_RANK", "x", "3"), ("PMI_RANK", "3", "3")] {
        let failure = read(&[("PMI_RANK", rank), ("PMI_SIZE", size)]).expect_err(rank);
        assert!(failure.message.contains(name), "{failure}");
    }
}
