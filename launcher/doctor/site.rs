//! What of Slurm's version and of the site's configuration changes what a user of ipjob meets.

use super::finding::Finding;
use crate::here::os::memory;
use crate::plan::slurm::{Config, TRIED};
use std::time::Duration;

/// How long a stop takes at most by default (`--stop-timeout`).
const STOP: Duration = Duration::from_secs(15);

/// A line for each thing that matters, also where it is as usual: a ticket then tells it.
pub fn look(config: Option<&Config>, on_a_node: bool, findings: &mut Vec<Finding>) {
    let Some(config) = config else {
        findings.push(
            Finding::note("slurm", "no answer from `scontrol show config`")
                .advise("try again later: without slurmctld, no job and no step starts"),
        );
        return;
    };
    findings.extend([
        version(config),
        step_manager(config),
        oom_kill_step(config),
        kill_wait(config),
        mpi_default(config),
        namespace(config),
        salloc(config),
    ]);
    if on_a_node {
        findings.extend(cgroup(memory::version_here(), config));
    }
}

fn version(config: &Config) -> Finding {
    let tried = TRIED.join(", ");
    match config.version() {
        Some((version, Some(_))) => {
            Finding::ok("slurm", format!("{version}; ipjob was tested with {tried}"))
        }
        Some((version, None)) => Finding::note(
            "slurm",
            format!("{version}; ipjob was tested only with {tried}"),
        )
        .advise("where ipjob does not know Slurm's words, it repeats them and names no cause"),
        None => Finding::note("slurm", "its version is unknown"),
    }
}

fn step_manager(config: &Config) -> Finding {
    if config.has("SlurmctldParameters", "enable_stepmgr") {
        Finding::note(
            "step manager",
            "on for every job (SlurmctldParameters=enable_stepmgr): `squeue --steps` shows only batch and extern",
        )
        .advise("`scontrol show step JOB` shows them")
    } else {
        Finding::ok(
            "step manager",
            "off, unless a job asks for it (--stepmgr): `squeue --steps` shows steps",
        )
    }
}

fn oom_kill_step(config: &Config) -> Finding {
    // 24.11 and 26.05 have it among the words of TaskPluginParam.
    if config.has("TaskPluginParam", "OOMKillStep") {
        Finding::note(
            "OOMKillStep",
            "on: one task out of memory ends all of its step; the engines' step is started without that",
        )
        .advise("srun --oom-kill-step=0 does the same for your own steps")
    } else {
        Finding::ok("OOMKillStep", "off: a task out of memory ends alone")
    }
}

fn kill_wait(config: &Config) -> Finding {
    let Some(wait) = config.kill_wait() else {
        return Finding::note("KillWait", "Slurm does not say");
    };
    let seen = format!(
        "Slurm kills {} s after its SIGTERM; a stop takes at most {} s (--stop-timeout)",
        wait.as_secs(),
        STOP.as_secs()
    );
    if wait > STOP {
        Finding::ok("KillWait", seen)
    } else {
        Finding::note("KillWait", seen).advise(
            "after scancel ipjob kills what is left before Slurm does; `ipjob stop` and ipjob's own stop at the time limit take the time that they need",
        )
    }
}

fn mpi_default(config: &Config) -> Finding {
    Finding::ok(
        "MpiDefault",
        match config.get("MpiDefault") {
            Some(name) => {
                format!("{name}: engines with mpi4py start with it, unless --mpi names another")
            }
            None => "none: ipjob takes the type that fits the MPI library of mpi4py".to_owned(),
        },
    )
}

fn namespace(config: &Config) -> Finding {
    // JobContainerType up to 24.11, NamespaceType in 26.05.
    let plugin = config
        .get("NamespaceType")
        .or_else(|| config.get("JobContainerType"));
    match plugin {
        Some(plugin) => Finding::note(
            "namespace",
            format!("{plugin}: a job can have its own /tmp and /dev/shm, which end with it and are not those that an ssh login sees"),
        )
        .advise("keep what must last in your home directory; `srun --overlap --jobid=JOB --pty bash` is inside"),
        None => Finding::ok("namespace", "none: /tmp is the node's, for all jobs on it"),
    }
}

fn salloc(config: &Config) -> Finding {
    if config.has("LaunchParameters", "use_interactive_step") {
        Finding::ok(
            "salloc",
            "its shell is on the job's first node (use_interactive_step), where ipjob starts",
        )
    } else {
        Finding::ok(
            "salloc",
            "its shell stays where salloc was typed: there, start ipjob by `srun --overlap --pty -N1 -n1 ipjob ...`",
        )
    }
}

/// Of the node that this is.
fn cgroup(version: Option<u8>, config: &Config) -> Option<Finding> {
    let version = version?;
    let limits = if config.get("ConstrainRAMSpace") == Some("yes") {
        "Slurm limits a job's memory; ipjob names the limit when something runs out of it"
    } else {
        "Slurm does not limit a job's memory by it (ConstrainRAMSpace)"
    };
    let seen = format!("version {version}; {limits}");
    Some(if version == 1 {
        Finding::ok("cgroup", seen)
    } else {
        Finding::note("cgroup", seen).advise(
            "ipjob was tested with version 1 under Slurm; with version 2, a hint may only ask about memory",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let config = Config::read(text).expect("a configuration");
        let mut findings = Vec::new();
        look(Some(&config), false, &mut findings);
        let plain = |finding: &Finding| anstream::adapter::strip_str(&finding.line()).to_string();
        findings.iter().map(plain).collect()
    }

    #[test]
    fn each_setting_that_matters_is_told_with_what_follows() {
        let usual = lines(
            "KillWait = 30 sec\nSLURM_VERSION = 22.05.8\nJobContainerType = job_container/none\n",
        );
        assert!(
            usual.iter().all(|line| line.starts_with("ok ")),
            "{usual:#?}"
        );
        let other = lines(
            "KillWait = 5 sec\nLaunchParameters = use_interactive_step\nMpiDefault = pmix\nNamespaceType = namespace/linux\nSLURM_VERSION = 25.11.2\nSlurmctldParameters = enable_stepmgr\nTaskPluginParam = OOMKillStep\n",
        );
        for (line, (state, subject, part)) in other.iter().zip([
            ("note", "slurm", "25.11.2; ipjob was tested only with"),
            ("note", "step manager", "scontrol show step JOB"),
            ("note", "OOMKillStep", "ends all of its step"),
            (
                "note",
                "KillWait",
                "kills 5 s after its SIGTERM; a stop takes at most 15 s",
            ),
            ("ok", "MpiDefault", "pmix: engines"),
            ("note", "namespace", "namespace/linux: "),
            ("ok", "salloc", "first node"),
        ]) {
            let begin = format!("{state:<8}{subject:<13} ");
            assert!(line.starts_with(&begin) && line.contains(part), "{line}");
        }
        let mut silent = Vec::new();
        look(None, true, &mut silent);
        assert_eq!(silent.len(), 1);
    }

    #[test]
    fn the_control_groups_of_the_node_are_told_by_their_version() {
        let config = Config::read("ConstrainRAMSpace = yes").expect("a line");
        let of = |version| cgroup(version, &config).map(|finding| finding.state);
        assert_eq!(of(Some(1)), Some(State::Ok));
        assert_eq!(of(Some(2)), Some(State::Note));
        assert_eq!(of(None), None);
    }
}
