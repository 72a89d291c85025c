//! How this process was started, and what it may use.

use super::finding::Finding;
use crate::here::os::{limits, process};
use crate::here::site::{identity, topology};
use crate::plan::allocation::Allocation;
use crate::plan::bind::Rule;
use crate::plan::settings::{Launcher, Threads};
use crate::plan::share::{Machine, Node, Provision};
use crate::plan::task_place::TaskPlace;
use crate::plan::threads;
use crate::plan::topology::Vendor;
use nix::unistd::getppid;

/// Whether Slurm's signals reach us: only the batch script's own process gets them.
pub fn parent(findings: &mut Vec<Finding>) {
    let parent = getppid().as_raw().unsigned_abs();
    let name = process::name(parent);
    findings.push(if name.starts_with("slurmstepd") {
        Finding::ok("exec", "started by slurmstepd itself: Slurm's signals reach this process")
    } else {
        Finding::note(
            "exec",
            format!("started by {name} (pid {parent}), which gets Slurm's signals instead of this process"),
        )
        .advise("in a batch script write `exec ipjob ...`, as the templates do")
    });
}

/// The limit of open files and how many engines it holds.
pub fn open_files(engines: u32, findings: &mut Vec<Finding>) {
    let Ok((soft, hard)) = limits::open_files() else {
        findings.push(Finding::note("open files", "the limit cannot be read"));
        return;
    };
    let most = limits::most_engines(hard);
    let seen = format!("soft {soft}, hard {hard}: enough for {most} engines");
    findings.push(if most >= u64::from(engines) {
        Finding::ok("open files", seen)
    } else {
        Finding::problem(
            "open files",
            format!("{seen}, and the job has {engines} tasks"),
            "start fewer engines with -n, or ask for a higher limit (`ulimit -Hn`, LimitNOFILE of slurmd)",
        )
    });
}

/// Cores, threads and GPUs of each engine, as the job's environment tells.
pub fn shares(
    allocation: &Allocation,
    environment: &[(String, String)],
    findings: &mut Vec<Finding>,
) {
    let nodes = allocation.nodes.len();
    let per_node = per_node(allocation);
    let on_node = variable(environment, "SLURM_CPUS_ON_NODE");
    let on_node = on_node.and_then(|text| text.parse::<u32>().ok());
    let slurm = allocation.slurm.as_ref();
    let each = slurm.and_then(|slurm| slurm.cpus_of_each(allocation.engines));
    let cores = match (each, on_node) {
        (Some(cores), _) => format!("{cores} each"),
        (None, Some(cores)) => format!("{per_node} share the {cores} of a node"),
        (None, None) => "Slurm does not say".to_owned(),
    };
    findings.push(Finding::ok(
        "cores",
        format!("{} engines on {nodes} nodes: {cores}", allocation.engines),
    ));
    findings.push(threads(allocation, environment));
    gpus(allocation, environment, findings);
}

/// GPUs of each engine, and what `--bind gpu` would give; nothing where there is no job and no GPU.
pub fn gpus(
    allocation: &Allocation,
    environment: &[(String, String)],
    findings: &mut Vec<Finding>,
) {
    let get = |name: &str| variable(environment, name);
    let slurm = allocation.slurm.as_ref();
    if let Some(gpus) = slurm.and_then(|slurm| slurm.gpus_of_each(allocation.engines)) {
        let text = format!("{gpus} for each engine (--gpus-per-task)");
        findings.push(Finding::ok("gpus", text));
        return;
    }
    let counted = get("SLURM_GPUS_ON_NODE").map(|number| format!("{number} here"));
    let listed = || {
        let mut names = Vendor::ALL.into_iter().map(Vendor::variable);
        names.find_map(|name| Some(format!("{name}={}", get(name)?)))
    };
    let seen = || {
        let gpus = topology::here().ok()?.gpus;
        (slurm.is_none() && !gpus.is_empty()).then(|| format!("{} here", gpus.len()))
    };
    let per_node = per_node(allocation);
    match counted.or_else(listed).or_else(seen) {
        Some(gpus) if slurm.is_some() => findings.push(
            Finding::note(
                "gpus",
                format!(
                    "every engine sees all GPUs of its node ({gpus}), {per_node} engines on each"
                ),
            )
            .advise(
                "--bind gpu gives each its own and CPUs near it, --gpus-per-task lets Slurm do it",
            ),
        ),
        Some(gpus) => findings.push(
            Finding::note(
                "gpus",
                format!("every engine sees all GPUs of this machine ({gpus})"),
            )
            .advise("--bind gpu gives each its own and CPUs near it"),
        ),
        None if slurm.is_some() => {
            findings.push(Finding::ok("gpus", "none in this job"));
            return;
        }
        None => return,
    }
    let on_node = get("SLURM_CPUS_ON_NODE").filter(|_| slurm.is_some());
    let on_node = on_node.and_then(|text| text.parse::<u32>().ok());
    findings.push(binding(per_node, on_node, environment));
}

/// The value of a variable that is set and not empty.
fn variable<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let is_it = |(variable, value): &&(String, String)| variable == name && !value.is_empty();
    let found = environment.iter().find(is_it);
    found.map(|(_, value)| value.as_str())
}

/// The engines of each node.
fn per_node(allocation: &Allocation) -> u32 {
    let nodes = u32::try_from(allocation.nodes.len()).unwrap_or(u32::MAX);
    allocation.engines.div_ceil(nodes.max(1))
}

/// How many threads the engines' libraries use.
fn threads(allocation: &Allocation, environment: &[(String, String)]) -> Finding {
    let launcher = match allocation.slurm {
        Some(_) => Launcher::Srun,
        None => Launcher::Local,
    };
    let (cpus, engines) = (identity::cpus(), allocation.engines);
    let decided = threads::decide(
        Threads::Auto,
        environment,
        allocation,
        launcher,
        cpus,
        engines,
    );
    Finding::ok("threads", decided.to_string())
}

/// So many engines of a node are shown at the most.
const SHOWN: u32 = 16;

/// What `--bind gpu` would give to so many engines of this node.
fn binding(engines: u32, cpus: Option<u32>, environment: &[(String, String)]) -> Finding {
    let share = |machine: &Machine, index: u32| {
        let place = TaskPlace {
            index: Some(index),
            tasks: Some(engines),
            cpus,
            is_bound: false,
        };
        let node = Node {
            environment,
            place,
            machine,
        };
        Provision::of(None, Some(Rule::Gpu), &node)
    };
    let all = topology::machine(true, environment).map_err(|failure| failure.to_string());
    let all = all.and_then(|machine| {
        let shown = (0..engines.min(SHOWN)).map(|index| share(&machine, index));
        shown.collect::<Result<Vec<_>, _>>()
    });
    let shares = match all {
        Ok(shares) => shares,
        Err(why) => return Finding::note("bind", format!("--bind gpu would fail here: {why}")),
    };
    let unbound = shares.iter().find_map(|own| own.remark.clone());
    let shares = (0..).zip(&shares);
    let shares = shares.map(|(index, own): (u32, _)| format!("{index}: {}", own.share));
    let rest = if engines > SHOWN { " ..." } else { "" };
    let all: Vec<String> = shares.collect();
    let text = format!("--bind gpu would give here: {}{rest}", all.join("; "));
    match unbound {
        Some(why) => Finding::note("bind", format!("{text}; no CPUs: {why}")),
        None => Finding::ok("bind", text),
    }
}
