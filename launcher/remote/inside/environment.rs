//! The environment of a session: the job's, as its engines have it. PURE.

use crate::plan::environment::{CLIENT_PROFILE_VARIABLE, is_leftover};
use crate::plan::incarnation::{INCARNATION_VARIABLE, SERVICE_VARIABLE};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// Variables by their names. Values need not be text.
pub type Variables = BTreeMap<OsString, OsString>;

/// What holds on the node of the session, whatever the job's process has elsewhere or for itself: Slurm has set it for the session's step.
const OF_NODE: &[&str] = &[
    "CUDA_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "ROCR_VISIBLE_DEVICES",
    "SLURMD_NODENAME",
    "SLURM_CPUS_ON_NODE",
    "SLURM_GPUS_ON_NODE",
    "SLURM_TOPOLOGY_ADDR",
    "SLURM_TOPOLOGY_ADDR_PATTERN",
    "ZE_AFFINITY_MASK",
];

/// What sshd sets for the session alone.
const OF_SSH: &[&str] = &[
    "DISPLAY",
    "HOME",
    "LOGNAME",
    "MAIL",
    "SHELL",
    "SSH_AUTH_SOCK",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "TERM",
    "USER",
    "XAUTHORITY",
];

/// What tells a task of a step who it is: none of it holds for what is typed in a session, and srun would take some of it for options.
const OF_TASK: &[&str] = &[
    "SLURM_DISTRIBUTION",
    "SLURM_GTIDS",
    "SLURM_LABELIO",
    "SLURM_LAUNCH_NODE_IPADDR",
    "SLURM_LOCALID",
    "SLURM_MPI_TYPE",
    "SLURM_NODEID",
    "SLURM_PROCID",
    "SLURM_TASK_PID",
    "SLURM_UMASK",
    "SRUN_DEBUG",
];
const OF_TASK_PREFIXES: &[&str] = &[
    "SLURM_CPU_BIND",
    "SLURM_MEM_BIND",
    "SLURM_SRUN_COMM_",
    "SLURM_STEP",
];

/// What was true of a process alone: where it is, how deep its shell.
const OF_PROCESS: &[&str] = &[
    "HOSTNAME",
    "OLDPWD",
    "PWD",
    "SSH_ORIGINAL_COMMAND",
    "_",
    INCARNATION_VARIABLE,
    SERVICE_VARIABLE,
];

/// The environment of a session. `job` is that of a process of the job on this node, or nothing where there is none; `step` that of the
/// session's step, `own` what sshd has given; `profile` is the job's profile with the IPython directory that has it.
#[must_use]
pub fn of_session(
    job: Option<Variables>,
    step: &Variables,
    own: &Variables,
    profile: (&str, &OsStr),
) -> Variables {
    let mut session = job.unwrap_or_else(|| step.clone());
    session.retain(|name, _| name.to_str().is_none_or(|name| !is_alien(name)));
    for (from, names) in [(step, OF_NODE), (own, OF_SSH)] {
        for name in names {
            if let Some(value) = from.get(OsStr::new(name)) {
                session.insert(name.into(), value.clone());
            }
        }
    }
    let (name, ipython_dir) = profile;
    session.insert(CLIENT_PROFILE_VARIABLE.into(), name.into());
    session.insert("IPYTHONDIR".into(), ipython_dir.into());
    session
}

/// Whether a variable of the job's process is not the session's.
fn is_alien(name: &str) -> bool {
    is_leftover(name)
        || [OF_TASK, OF_PROCESS, OF_SSH].concat().contains(&name)
        || OF_TASK_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    #[test]
    fn a_session_has_what_the_engines_have_and_is_no_task() {
        let job = variables(&[
            ("PATH", "/env/bin:/bin"),
            ("BASH_FUNC_module%%", "() { :\n}"),
            ("SLURM_JOB_ID", "7"),
            ("SLURM_NTASKS", "8"),
            ("SLURM_PROCID", "3"),
            ("SLURM_STEP_ID", "0"),
            ("SLURM_CPU_BIND_TYPE", "none"),
            ("PMI_RANK", "3"),
            ("JUPYTERHUB_API_TOKEN", "x"),
            ("IPJOB_INCARNATION", "lab.7.0.x"),
            ("CUDA_VISIBLE_DEVICES", "1"),
            ("SSH_CLIENT", "10.0.0.1 1 2"),
            ("PWD", "/scratch"),
            ("HOSTNAME", "n1"),
        ]);
        let step = variables(&[
            ("PATH", "/bin"),
            ("SLURM_NTASKS", "1"),
            ("SLURMD_NODENAME", "n2"),
            ("CUDA_VISIBLE_DEVICES", "0,1"),
            ("AT_LOGIN", "1"),
        ]);
        let own = variables(&[
            ("PATH", "/usr/bin"),
            ("TERM", "xterm"),
            ("HOME", "/h"),
            ("LANG", "C"),
        ]);
        let expected = variables(&[
            ("BASH_FUNC_module%%", "() { :\n}"),
            ("CUDA_VISIBLE_DEVICES", "0,1"),
            ("HOME", "/h"),
            ("IPJOB_CLIENT_PROFILE", "job_7"),
            ("IPYTHONDIR", "/h/.ipython"),
            ("PATH", "/env/bin:/bin"),
            ("SLURMD_NODENAME", "n2"),
            ("SLURM_JOB_ID", "7"),
            ("SLURM_NTASKS", "8"),
            ("TERM", "xterm"),
        ]);
        let profile = ("job_7", OsStr::new("/h/.ipython"));
        assert_eq!(of_session(Some(job), &step, &own, profile), expected);
        let without = of_session(None, &step, &own, profile);
        let told = |name: &str| {
            without
                .get(OsStr::new(name))
                .and_then(|value| value.to_str())
        };
        assert_eq!(told("AT_LOGIN"), Some("1"));
        assert_eq!(told("PATH"), Some("/bin"));
    }
}
