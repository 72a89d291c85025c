//! Which GPUs and CPUs each engine of a node gets (`--bind`). PURE.
//!
//! docs/design/bind.md explains the design.

use super::cpus::Cpus;
use super::task_place::TaskPlace;
use super::topology::{Core, Gpu, Topology, Vendor};
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The variable that tells CUDA to count GPUs by their PCI addresses, as all else does; left alone it begins with the fastest.
const CUDA_ORDER: (&str, &str) = ("CUDA_DEVICE_ORDER", "PCI_BUS_ID");

/// What an engine is bound to where it starts. As a word, which tasks are given: `gpu`, `own-gpus`, `cpu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// To its part of its node's GPUs, and to CPUs near them.
    Gpu,
    /// To the GPUs and CPUs that Slurm gave to its task alone: nothing is left to choose.
    OwnGpus,
    /// To its part of its node's CPUs.
    Cpu,
}

impl Rule {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Gpu, "gpu"),
        (Self::OwnGpus, "own-gpus"),
        (Self::Cpu, "cpu"),
    ];
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::ALL.iter().find(|(rule, _)| rule == self);
        out.write_str(word.map_or("", |(_, word)| word))
    }
}

impl FromStr for Rule {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|(_, word)| *word == text);
        found.map(|(rule, _)| *rule).ok_or("no such binding")
    }
}

/// An engine among those of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Which of them it is, from 0 on.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

impl Seat {
    /// The place that a task was told; else why it cannot be bound.
    pub fn of_task(place: TaskPlace) -> Result<Self, String> {
        match place {
            TaskPlace {
                index: Some(index),
                tasks: Some(of),
                ..
            } if index < of => Ok(Self { index, of }),
            _ => Err(
                "nothing says which of its node's engines this one is, nor how many there are"
                    .to_owned(),
            ),
        }
    }
}

/// What an engine is bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// Variables that it gets.
    pub set: Vec<(String, String)>,
    /// Variables that it does not get.
    pub dropped: Vec<String>,
    /// Its CPUs, where ipjob binds it to any.
    pub cpus: Option<Cpus>,
    /// Its GPUs, where it was bound to any.
    pub gpus: Option<Gpus>,
    /// Why it is not bound to CPUs, where that was asked for.
    pub remark: Option<String>,
}

/// GPUs as one vendor's variable lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpus {
    /// Whose they are.
    pub vendor: Vendor,
    /// The entries: `1`, `GPU-5f1c...`.
    pub list: Vec<String>,
}

impl Gpus {
    /// Reads `CUDA_VISIBLE_DEVICES=0,1`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (variable, text) = text.split_once('=')?;
        let vendor = Vendor::ALL
            .into_iter()
            .find(|vendor| vendor.variable() == variable)?;
        let list = entries(text);
        (!list.is_empty() && list.join(",") == text).then_some(Self { vendor, list })
    }
}

impl fmt::Display for Gpus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}={}", self.vendor.variable(), self.list.join(","))
    }
}

/// What this engine is bound to, of what its process may use and its variables name; else why it cannot be. `place` has the CPUs that Slurm
/// gave to the step on this node.
pub fn bind(
    rule: Rule,
    seat: Seat,
    environment: &[(String, String)],
    topology: &Topology,
    place: TaskPlace,
) -> Result<Bound, String> {
    let mut bound = Bound::default();
    let pools = match rule {
        Rule::Cpu => Vec::new(),
        Rule::Gpu | Rule::OwnGpus => pools(environment, topology)?,
    };
    if rule == Rule::OwnGpus {
        bound.gpus = pools.into_iter().next();
        return Ok(bound);
    }
    for pool in &pools {
        let own = Gpus {
            vendor: pool.vendor,
            list: share(&pool.list, seat).to_vec(),
        };
        let variable = pool.vendor.variable().to_owned();
        bound.set.push((variable, own.list.join(",")));
        if topology.gpus.iter().any(|gpu| gpu.vendor == pool.vendor) {
            let within = pool.vendor.within().iter();
            bound.dropped.extend(within.map(|name| (*name).to_owned()));
        }
        bound.gpus.get_or_insert(own);
    }
    let counts_by_speed = pools.iter().any(|pool| pool.vendor == Vendor::Nvidia);
    let (order, by_address) = CUDA_ORDER;
    if counts_by_speed && !environment.iter().any(|(name, _)| name == order) {
        bound.set.push((order.to_owned(), by_address.to_owned()));
    }
    match why_unconfined(topology, place) {
        _ if place.is_bound => bound.cpus = Some(topology.cpus()),
        Some(why) => bound.remark = Some(why),
        None => {
            let near: Vec<Option<Cpus>> = (0..seat.of)
                .map(|index| near(pools.first(), Seat { index, ..seat }, topology))
                .collect();
            bound.cpus = Some(cpus(seat, &near, topology));
        }
    }
    Ok(bound)
}

/// Why CPUs cannot be bound to, where Slurm lets the job use others' as well: which are its own is not known then, and other jobs may be bound
/// to the same. A site counts either cores or their threads as CPUs.
fn why_unconfined(topology: &Topology, place: TaskPlace) -> Option<String> {
    let cores = u32::try_from(topology.cores.len()).unwrap_or(u32::MAX);
    let own = place.cpus.filter(|own| *own < cores)?;
    Some(format!(
        "Slurm gave {own} CPUs to the job here, but does not confine it to them: it may use {}",
        topology.cpus()
    ))
}

/// The GPUs that may be taken here: what variables list, of the vendor whose GPUs are here; without a job all of these. Where no GPU is seen, as in
/// some containers, the variables alone count.
fn pools(environment: &[(String, String)], topology: &Topology) -> Result<Vec<Gpus>, String> {
    let listed = |name: &str| {
        let found = environment.iter().find(|(variable, _)| variable == name);
        found.map(|(_, text)| entries(text))
    };
    let here = |vendor: &Vendor| {
        topology
            .gpus
            .iter()
            .filter(|gpu| gpu.vendor == *vendor)
            .count()
    };
    let vendor = Vendor::ALL.into_iter().find(|vendor| here(vendor) > 0);
    let in_a_job = environment
        .iter()
        .any(|(name, value)| name == "SLURM_JOB_ID" && !value.is_empty());
    let pools: Vec<Gpus> = match vendor {
        Some(vendor) => {
            let mut names =
                std::iter::once(vendor.variable()).chain(vendor.within().iter().copied());
            let list = names.find_map(listed);
            if list.is_none() && in_a_job {
                return Err(format!(
                    "Slurm gave no GPU to the job here: {} is not set",
                    vendor.variable()
                ));
            }
            let list =
                list.unwrap_or_else(|| (0..here(&vendor)).map(|index| index.to_string()).collect());
            vec![those_here(Gpus { vendor, list }, topology)?]
        }
        None => Vendor::ALL
            .into_iter()
            .filter_map(|vendor| {
                let list = listed(vendor.variable())?;
                Some(Gpus { vendor, list })
            })
            .collect(),
    };
    let pools: Vec<Gpus> = pools
        .into_iter()
        .filter(|pool| !pool.list.is_empty())
        .collect();
    if pools.is_empty() {
        let variables = Vendor::ALL.map(Vendor::variable).join(", ");
        return Err(format!("it may use no GPU here ({variables})"));
    }
    Ok(pools)
}

/// Those of these that are here: as CUDA reads the list, those from the first on that is none do not count. What the others' entries name
/// depends on settings of their drivers, which count parts of a GPU as GPUs.
fn those_here(mut listed: Gpus, topology: &Topology) -> Result<Gpus, String> {
    if listed.vendor != Vendor::Nvidia {
        return Ok(listed);
    }
    // Which GPU a part belongs to is not told by `MIG-5e1b...`.
    let is_known = |entry: &String| {
        let all_have_names = topology.gpus.iter().all(|gpu| gpu.uuid.is_some());
        entry.parse::<usize>().is_ok() || (entry.contains("GPU-") && all_have_names)
    };
    let is_here =
        |entry: &String| !is_known(entry) || named(entry, listed.vendor, topology).is_some();
    let number = listed
        .list
        .iter()
        .take_while(|entry| is_here(entry))
        .count();
    if number == 0 && !listed.list.is_empty() {
        let gpus = (0..).zip(&topology.gpus);
        let all: Vec<String> = gpus
            .filter(|(_, gpu)| gpu.vendor == listed.vendor)
            .map(|(index, gpu): (u32, _)| format!("{index} at {}", gpu.address))
            .collect();
        return Err(format!(
            "{listed} names none of the GPUs here: {}",
            all.join(", ")
        ));
    }
    listed.list.truncate(number);
    Ok(listed)
}

/// The entries of such a list, as CUDA reads it: those from the first on that is none do not count. Slurm writes `NoDevFiles` for none.
fn entries(text: &str) -> Vec<String> {
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let is_name = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-/_".contains(c);
        (text.starts_with("GPU-") || text.starts_with("MIG-")) && text.chars().all(plain)
    };
    let is_entry = |text: &&str| text.split('.').all(is_number) || is_name(text);
    text.split(',')
        .map(str::trim)
        .take_while(is_entry)
        .map(str::to_owned)
        .collect()
}

/// The part of a list that is this engine's: as many entries for each as there are for all, or one for several in turns.
fn share(list: &[String], seat: Seat) -> &[String] {
    let (index, of) = (seat.index as usize, (seat.of as usize).max(1));
    let each = (list.len() / of).max(1);
    let first = (index * each) % list.len().max(1);
    list.get(first..first + each).unwrap_or_default()
}

/// The CPUs near an engine's GPUs that it may use; `None` where it has no GPUs, theirs are not known, or none of them may be used.
fn near(pool: Option<&Gpus>, seat: Seat, topology: &Topology) -> Option<Cpus> {
    let pool = pool?;
    let mut near = Cpus::default();
    for entry in share(&pool.list, seat) {
        near.extend(named(entry, pool.vendor, topology)?.near.iter());
    }
    let near = near.and(&topology.cpus());
    (!near.is_empty()).then_some(near)
}

/// The GPU that this entry names.
fn named<'a>(entry: &str, vendor: Vendor, topology: &'a Topology) -> Option<&'a Gpu> {
    let mut own = topology.gpus.iter().filter(|gpu| gpu.vendor == vendor);
    // `3`, of Intel's also `3.1`, a part of it.
    if let Ok(index) = entry.split('.').next()?.parse::<usize>() {
        own.nth(index)
    } else {
        // `GPU-5f1c` is enough where no other begins so; a part of one is `MIG-GPU-5f1c.../1/0`.
        let name = entry.strip_prefix("MIG-").unwrap_or(entry);
        let name = name.split('/').next()?;
        let is_it = |gpu: &&Gpu| {
            gpu.uuid
                .as_deref()
                .is_some_and(|uuid| uuid.starts_with(name))
        };
        own.find(is_it)
    }
}

/// The CPUs of one engine among those of its node, each with the CPUs near its GPUs: cores that are near the same engines are divided among
/// these, in the order in which they are near each other. An engine without any such has its part of the cores that are near to none, or
/// where there are none such, of all.
fn cpus(seat: Seat, near: &[Option<Cpus>], topology: &Topology) -> Cpus {
    let cores = topology.by_distance();
    let touches = |core: &Core, near: &Cpus| core.cpus.iter().any(|cpu| near.contains(cpu));
    let is_free = |core: &Core| !near.iter().flatten().any(|near| touches(core, near));
    let some_are_free = cores.iter().any(|core| is_free(core));
    let engines_of = |core: &Core| -> Vec<usize> {
        let is_near = |near: &Option<Cpus>| match near {
            Some(near) => touches(core, near),
            None => !some_are_free || is_free(core),
        };
        let all = near.iter().enumerate();
        all.filter(|(_, near)| is_near(near))
            .map(|(engine, _)| engine)
            .collect()
    };
    let mut regions: BTreeMap<Vec<usize>, Vec<&Core>> = BTreeMap::new();
    for core in cores {
        regions.entry(engines_of(core)).or_default().push(core);
    }
    let index = seat.index as usize;
    let mut own = Cpus::default();
    for (engines, cores) in regions
        .iter()
        .filter(|(engines, _)| engines.contains(&index))
    {
        own.extend(part(cores, index, engines).iter());
    }
    own
}

/// One engine's part of these cores, which are divided among these engines: whole cores, else single CPUs, else one for several.
fn part(cores: &[&Core], engine: usize, engines: &[usize]) -> Cpus {
    let of = engines.len().max(1);
    let place = engines.iter().position(|one| *one == engine).unwrap_or(0);
    let range = |length: usize| place * length / of..(place + 1) * length / of;
    if cores.len() >= of {
        let own = cores.get(range(cores.len())).unwrap_or_default();
        return own.iter().flat_map(|core| core.cpus.iter()).collect();
    }
    let cpus: Vec<u32> = cores.iter().flat_map(|core| core.cpus.iter()).collect();
    if cpus.len() >= of {
        let own = cpus.get(range(cpus.len())).unwrap_or_default();
        return own.iter().copied().collect();
    }
    let own = cpus.get(place % cpus.len().max(1));
    own.copied().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sample::variables;
    use proptest::prelude::*;

    /// A machine of such cores with two threads each, and GPUs near such CPUs.
    fn machine(cores: u32, near: &[Cpus]) -> Topology {
        let core = |number| Core {
            package: number / 8,
            node: number / 4,
            cache: number / 2 * 2,
            cpus: [number, number + cores].into_iter().collect(),
        };
        let gpu = |(index, near): (usize, &Cpus)| Gpu {
            vendor: Vendor::Nvidia,
            address: format!("0000:{index:02x}:00.0"),
            near: near.clone(),
            uuid: None,
        };
        Topology {
            cores: (0..cores).map(core).collect(),
            gpus: near.iter().enumerate().map(gpu).collect(),
        }
    }

    fn of(
        rule: Rule,
        index: u32,
        of: u32,
        set: &[(&str, &str)],
        machine: &Topology,
    ) -> Result<Bound, String> {
        let place = TaskPlace::default();
        bind(rule, Seat { index, of }, &variables(set), machine, place)
    }

    #[test]
    fn lists_of_gpus_are_read_as_cuda_reads_them() {
        for (text, number) in [
            ("0,1", 2),
            ("NoDevFiles", 0),
            ("", 0),
            ("-1", 0),
            ("0,-1,2", 1),
            ("GPU-5f1c2d3e", 1),
            ("MIG-GPU-5f1c/1/0,MIG-6a5b", 2),
            ("0.1,1.0", 2),
            ("0, 1", 2),
            ("$(id)", 0),
        ] {
            assert_eq!(entries(text).len(), number, "{text}");
        }
        for text in ["CUDA_VISIBLE_DEVICES=0,1", "ZE_AFFINITY_MASK=0.1"] {
            assert_eq!(Gpus::read(text).expect(text).to_string(), text);
        }
        for other in [
            "CUDA_VISIBLE_DEVICES=",
            "PATH=0",
            "0",
            "CUDA_VISIBLE_DEVICES=0,x",
        ] {
            assert_eq!(Gpus::read(other), None, "{other}");
        }
    }

    #[test]
    fn a_job_without_gpus_takes_none_of_others() {
        let near: Cpus = (0..8).collect();
        let machine = machine(8, &[near.clone(), near]);
        let job = ("SLURM_JOB_ID", "7");
        for set in [&[job][..], &[job, ("CUDA_VISIBLE_DEVICES", "NoDevFiles")]] {
            let why = of(Rule::Gpu, 0, 1, set, &machine).expect_err("none");
            assert!(why.contains("CUDA_VISIBLE_DEVICES"), "{why}");
        }
        let none = Topology::default();
        assert!(of(Rule::Gpu, 0, 1, &[], &none).is_err());
    }

    #[test]
    fn cuda_counts_by_address_unless_the_user_says_otherwise() {
        let machine = machine(8, &[Cpus::default()]);
        let order = |set: &[(&str, &str)]| {
            let bound = of(Rule::Gpu, 0, 1, set, &machine).expect("bound");
            bound
                .set
                .iter()
                .any(|(name, _)| name == "CUDA_DEVICE_ORDER")
        };
        assert!(order(&[]));
        assert!(!order(&[("CUDA_DEVICE_ORDER", "FASTEST_FIRST")]));
    }

    #[test]
    fn what_slurm_gave_to_one_task_is_left_alone() {
        let set = [("SLURM_JOB_ID", "7"), ("CUDA_VISIBLE_DEVICES", "2,3")];
        let bound = of(Rule::OwnGpus, 1, 4, &set, &machine(8, &[])).expect("bound");
        assert_eq!(
            bound.gpus.expect("GPUs").to_string(),
            "CUDA_VISIBLE_DEVICES=2,3"
        );
        assert_eq!((bound.set.len(), bound.cpus), (0, None));
    }

    #[test]
    fn the_cpus_that_a_launcher_has_bound_it_to_are_its_own() {
        let place = TaskPlace {
            cpus: Some(64),
            is_bound: true,
            ..TaskPlace::default()
        };
        let seat = Seat { index: 1, of: 2 };
        let bound = bind(Rule::Cpu, seat, &[], &machine(4, &[]), place);
        assert_eq!(bound.expect("bound").cpus, Some((0..8).collect()));
    }

    #[test]
    fn cpus_that_may_be_another_jobs_are_not_bound_to() {
        let machine = machine(8, &[]);
        let with = |cpus| {
            let place = TaskPlace {
                cpus,
                ..TaskPlace::default()
            };
            let seat = Seat { index: 0, of: 2 };
            bind(Rule::Cpu, seat, &[], &machine, place).expect("bound")
        };
        // Slurm counts threads or cores.
        for cpus in [None, Some(16), Some(8)] {
            assert_eq!(with(cpus).cpus.map(|cpus| cpus.len()), Some(8));
        }
        let bound = with(Some(4));
        assert_eq!(bound.cpus, None);
        assert!(bound.remark.expect("why").starts_with("Slurm gave 4 CPUs"));
    }

    proptest! {
        #[test]
        fn engines_share_no_cpu_unless_they_are_more_than_there_are(
            cores in 1..40_u32, engines in 1..24_u32,
            nodes in prop::collection::vec(0..12_u32, 0..6)
        ) {
            // Some of them are not in the job.
            let of_node = |node: u32| {
                let here = (4 * node..4 * node + 4).filter(|core| *core < cores);
                here.flat_map(|core| [core, core + cores]).collect()
            };
            let near: Vec<Cpus> = nodes.into_iter().map(of_node).collect();
            let machine = machine(cores, &near);
            let all = machine.cpus();
            let rule = if near.is_empty() { Rule::Cpu } else { Rule::Gpu };
            let mut seen = Cpus::default();
            let mut total = 0;
            let mut alone = true;
            for index in 0..engines {
                let bound = of(rule, index, engines, &[], &machine).expect("bound");
                let cpus = bound.cpus.expect("CPUs");
                prop_assert!(!cpus.is_empty());
                prop_assert_eq!(cpus.and(&all), cpus.clone());
                alone &= cpus.len() > 1;
                total += cpus.len();
                seen.extend(cpus.iter());
            }
            // Who is left with one CPU may share it.
            prop_assert!(total == seen.len() || !alone);
            if rule == Rule::Cpu {
                prop_assert!(engines as usize > all.len() || total == seen.len());
            }
        }
    }
}
