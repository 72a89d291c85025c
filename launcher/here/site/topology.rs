//! The cores and GPUs of this node, from what the kernel and the drivers tell of them.
//!
//! docs/design/bind.md explains the design.

use crate::failure::{Failure, Outcome};
use crate::here::os::affinity;
use crate::here::site::identity;
use crate::plan::cpus::Cpus;
use crate::plan::share::Machine;
use crate::plan::task_place::TaskPlace;
use crate::plan::topology::{Core, Gpu, Topology, Vendor};
use nix::unistd::{AccessFlags, access, getppid};
use std::fs;
use std::path::{Path, PathBuf};

/// What is here, of the CPUs those that this process may use.
pub fn here() -> Outcome<Topology> {
    let allowed = affinity::own().map_err(|error| {
        Failure::missing("the CPUs that this process may use are not known").because(error)
    })?;
    Ok(read(Path::new("/"), &allowed))
}

/// What this process may use of its machine; where engines are to be bound also which CPUs these are, and which GPUs are here.
pub fn machine(binds: bool, environment: &[(String, String)]) -> Outcome<Machine> {
    Ok(Machine {
        cpus: identity::cpus(),
        topology: binds.then(here).transpose()?,
        is_bound: binds && is_bound(environment),
    })
}

/// Whether what started this process, which is a task or a rank, has bound it to fewer CPUs than it has here itself: than Slurm gave to the
/// step, or than the starter may use.
fn is_bound(environment: &[(String, String)]) -> bool {
    let Ok(own) = affinity::own() else {
        return false;
    };
    if let Some(step) = TaskPlace::read(environment).cpus {
        let tree = Tree(PathBuf::from("/"));
        let online = tree.cpus("sys/devices/system/cpu/online");
        // A node may have fewer than Slurm was told.
        return own.len() < step as usize && online.is_some_and(|online| online != own);
    }
    let starter = affinity::of(getppid());
    starter.is_ok_and(|starter| own.len() < starter.len() && own.and(&starter) == own)
}

/// What is here, below `root`: `/`, unless another machine's files lie elsewhere. Of the cores those count whose CPUs are `allowed`.
#[must_use]
pub fn read(root: &Path, allowed: &Cpus) -> Topology {
    let tree = Tree(root.to_owned());
    Topology {
        cores: tree.cores(allowed),
        gpus: tree.gpus(),
    }
}

/// The files that tell of a machine.
struct Tree(PathBuf);

impl Tree {
    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    fn text(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.path(path)).ok()?;
        Some(text.trim().to_owned())
    }

    fn number(&self, path: &str) -> Option<u32> {
        self.text(path)?.parse().ok()
    }

    fn cpus(&self, path: &str) -> Option<Cpus> {
        Cpus::read(&self.text(path)?)
    }

    /// The names in a directory, sorted; none where there is no such directory.
    fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path))
            .into_iter()
            .flatten()
            .flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    fn cores(&self, allowed: &Cpus) -> Vec<Core> {
        let nodes = self.nodes();
        let mut cores: Vec<Core> = Vec::new();
        for cpu in allowed.iter() {
            if cores.iter().any(|core| core.cpus.contains(cpu)) {
                continue;
            }
            let of_cpu = |file: &str| format!("sys/devices/system/cpu/cpu{cpu}/{file}");
            let alone: Cpus = std::iter::once(cpu).collect();
            let siblings = self.cpus(&of_cpu("topology/thread_siblings_list"));
            let siblings = siblings.filter(|cpus| cpus.contains(cpu)).unwrap_or(alone);
            let sharing = self.cpus(&of_cpu("cache/index3/shared_cpu_list"));
            let node = nodes.iter().find(|(_, cpus)| cpus.contains(cpu));
            cores.push(Core {
                package: self
                    .number(&of_cpu("topology/physical_package_id"))
                    .unwrap_or(0),
                node: node.map_or(0, |(node, _)| *node),
                cache: sharing.and_then(|cpus| cpus.iter().next()).unwrap_or(0),
                cpus: siblings.and(allowed),
            });
        }
        cores
    }

    /// The NUMA nodes with their CPUs.
    fn nodes(&self) -> Vec<(u32, Cpus)> {
        let directory = "sys/devices/system/node";
        let node = |name: String| {
            let number = name.strip_prefix("node")?.parse().ok()?;
            Some((number, self.cpus(&format!("{directory}/{name}/cpulist"))?))
        };
        self.names(directory).into_iter().filter_map(node).collect()
    }

    fn gpus(&self) -> Vec<Gpu> {
        let mut gpus = self.of_nvidia();
        gpus.extend(self.of_amd());
        gpus.extend(self.of_intel());
        gpus
    }

    /// NVIDIA's driver has a directory for each GPU, by its PCI address, which is the order of `CUDA_DEVICE_ORDER=PCI_BUS_ID`. Of those that a
    /// control group forbids CUDA counts none.
    fn of_nvidia(&self) -> Vec<Gpu> {
        let directory = "proc/driver/nvidia/gpus";
        let gpu = |address: String| {
            let told = self.text(&format!("{directory}/{address}/information"))?;
            let field = |name: &str| {
                let line = told.lines().find_map(|line| line.strip_prefix(name))?;
                Some(line.trim_start_matches(':').trim().to_owned())
            };
            let minor: u32 = field("Device Minor")?.parse().ok()?;
            self.may_use(&format!("dev/nvidia{minor}")).then(|| Gpu {
                vendor: Vendor::Nvidia,
                near: self.near(&address),
                // A GPU that nobody has used yet may show question marks.
                uuid: field("GPU UUID")
                    .filter(|uuid| uuid.starts_with("GPU-") && !uuid.contains('?')),
                address,
            })
        };
        self.names(directory).into_iter().filter_map(gpu).collect()
    }

    /// AMD's compute driver lists all that computes, CPUs among them, in the order in which its programs count; what a control group forbids cannot be read.
    fn of_amd(&self) -> Vec<Gpu> {
        let directory = "sys/class/kfd/kfd/topology/nodes";
        let mut nodes: Vec<u32> = self
            .names(directory)
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect();
        nodes.sort_unstable();
        let gpu = |node: u32| {
            let properties = self.text(&format!("{directory}/{node}/properties"))?;
            let property = |name: &str| -> Option<u32> {
                let lines = properties.lines().map(|line| line.split_once(' '));
                let found = lines.flatten().find(|(known, _)| *known == name);
                found?.1.trim().parse().ok()
            };
            property("simd_count").filter(|count| *count > 0)?;
            let minor = property("drm_render_minor").filter(|minor| *minor > 0)?;
            let (location, domain) = (property("location_id")?, property("domain").unwrap_or(0));
            let (bus, device, function) = (location >> 8, (location >> 3) & 0x1f, location & 7);
            let address = format!("{domain:04x}:{bus:02x}:{device:02x}.{function}");
            self.may_use(&format!("dev/dri/renderD{minor}"))
                .then(|| Gpu {
                    vendor: Vendor::Amd,
                    near: self.near(&address),
                    uuid: None,
                    address,
                })
        };
        nodes.into_iter().filter_map(gpu).collect()
    }

    /// Intel's GPUs that compute show no picture (class 0380); those of desktops do.
    fn of_intel(&self) -> Vec<Gpu> {
        let directory = "sys/bus/pci/devices";
        let gpu = |address: String| {
            let of_device = |file: &str| format!("{directory}/{address}/{file}");
            let is = |file: &str, start: &str| {
                self.text(&of_device(file))
                    .is_some_and(|text| text.starts_with(start))
            };
            let is_it = is("vendor", "0x8086") && is("class", "0x0380");
            let drm = self.names(&of_device("drm"));
            let render = drm.iter().find(|name| name.starts_with("renderD"))?;
            (is_it && self.may_use(&format!("dev/dri/{render}"))).then(|| Gpu {
                vendor: Vendor::Intel,
                near: self.near(&address),
                uuid: None,
                address: address.clone(),
            })
        };
        self.names(directory).into_iter().filter_map(gpu).collect()
    }

    fn near(&self, address: &str) -> Cpus {
        let directory = format!("sys/bus/pci/devices/{address}");
        self.cpus(&format!("{directory}/local_cpulist"))
            .unwrap_or_default()
    }

    /// Whether a device may be used: its permissions, and the control group's, which the kernel asks here as well.
    fn may_use(&self, device: &str) -> bool {
        let both = AccessFlags::R_OK | AccessFlags::W_OK;
        access(&self.path(device), both).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::bind::{Rule, Seat, bind};
    use crate::plan::sample::variables;
    use tempfile::TempDir;

    /// A machine's files, as its kernel shows them.
    struct Machine {
        tree: TempDir,
        cores: u32,
    }

    impl Machine {
        /// A machine of so many cores with two threads each, of which so many share a package, a NUMA node and a last cache. Linux numbers
        /// first one thread of each core, then the others.
        fn new(cores: u32, [package, node, cache]: [u32; 3]) -> Self {
            let tree = tempfile::tempdir().expect("a directory");
            let machine = Self { tree, cores };
            let both = |first: u32, count: u32| {
                let last = first + count - 1;
                format!("{first}-{last},{}-{}\n", first + cores, last + cores)
            };
            for cpu in 0..2 * cores {
                let core = cpu % cores;
                let directory = format!("sys/devices/system/cpu/cpu{cpu}");
                let write = |file: &str, text: &str| {
                    machine.write(&format!("{directory}/{file}"), text);
                };
                let siblings = format!("{core},{}\n", core + cores);
                write("topology/thread_siblings_list", &siblings);
                let package = format!("{}\n", core / package);
                write("topology/physical_package_id", &package);
                let sharing = both(core / cache * cache, cache);
                write("cache/index3/shared_cpu_list", &sharing);
            }
            for number in 0..cores / node {
                let file = format!("sys/devices/system/node/node{number}/cpulist");
                machine.write(&file, &both(number * node, node));
            }
            machine
        }

        fn write(&self, file: &str, text: &str) {
            let path = self.tree.path().join(file);
            fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            fs::write(path, text).expect("written");
        }

        fn pci(&self, address: &str, vendor: &str, class: &str, near: &str) {
            for (file, text) in [
                ("vendor", vendor),
                ("class", class),
                ("local_cpulist", near),
            ] {
                let file = format!("sys/bus/pci/devices/{address}/{file}");
                self.write(&file, &format!("{text}\n"));
            }
        }

        /// A GPU of NVIDIA's, with what driver 535 tells of it.
        fn nvidia(&self, address: &str, minor: u32, near: &str) {
            self.pci(address, "0x10de", "0x030200", near);
            let information = format!(
                "Model: \t\t NVIDIA A100-SXM4-40GB\nIRQ:   \t\t 262\nGPU UUID: \t GPU-{minor}c8b1f6e-0d6c-8a0f-1d2e-3f4a5b6c7d8e\n\
                 Video BIOS: \t 92.00.45.00.03\nBus Type: \t PCIe\nBus Location: \t {address}\nDevice Minor: \t {minor}\nGPU Excluded:\t No\n"
            );
            self.write(
                &format!("proc/driver/nvidia/gpus/{address}/information"),
                &information,
            );
            self.write(&format!("dev/nvidia{minor}"), "");
        }

        /// A node of AMD's compute driver: a GPU or a die of one; without a location the CPUs of a NUMA node.
        fn kfd(&self, node: u32, location: u32, near: &str) {
            let simds = if location == 0 { 0 } else { 440 };
            let minor = if location == 0 { 0 } else { 124 + node };
            let properties = format!(
                "cpu_cores_count {}\nsimd_count {simds}\nmem_banks_count 1\nlocation_id {location}\ndomain 0\ndrm_render_minor {minor}\n",
                if location == 0 { 32 } else { 0 }
            );
            self.write(
                &format!("sys/class/kfd/kfd/topology/nodes/{node}/properties"),
                &properties,
            );
            if location > 0 {
                let address = format!("0000:{:02x}:00.0", location >> 8);
                self.pci(&address, "0x1002", "0x038000", near);
                self.write(&format!("dev/dri/renderD{minor}"), "");
            }
        }

        fn all(&self) -> Cpus {
            (0..2 * self.cores).collect()
        }

        /// What so many engines are bound to: the GPUs and the CPUs of each.
        fn bound(
            &self,
            rule: Rule,
            engines: u32,
            allowed: &Cpus,
            environment: &[(&str, &str)],
        ) -> Vec<(String, String)> {
            let topology = read(self.tree.path(), allowed);
            let environment = variables(environment);
            let of_one = |index| {
                let seat = Seat { index, of: engines };
                let place = TaskPlace::default();
                let bound = bind(rule, seat, &environment, &topology, place).expect("bound");
                let gpus = bound.gpus.map(|gpus| gpus.to_string()).unwrap_or_default();
                let cpus = bound.cpus.map(|cpus| cpus.to_string()).unwrap_or_default();
                (gpus, cpus)
            };
            (0..engines).map(of_one).collect()
        }
    }

    fn table(rows: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = |(gpus, cpus): &(&str, &str)| ((*gpus).to_owned(), (*cpus).to_owned());
        rows.iter().map(own).collect()
    }

    /// Two EPYC 7402 with four NUMA nodes each and four A100, as of JUWELS Booster: the first GPU is near the fourth node.
    fn four_a100() -> Machine {
        let machine = Machine::new(48, [24, 6, 3]);
        for (minor, (bus, near)) in [
            ("03", "18-23,66-71"),
            ("44", "6-11,54-59"),
            ("84", "42-47,90-95"),
            ("c4", "30-35,78-83"),
        ]
        .into_iter()
        .enumerate()
        {
            let minor = u32::try_from(minor).expect("small");
            machine.nvidia(&format!("0000:{bus}:00.0"), minor, near);
        }
        // What shows the console's picture is no GPU here.
        machine.pci("0000:62:00.0", "0x1a03", "0x030000", "0-95");
        machine
    }

    #[test]
    fn engines_of_a_node_with_four_gpus_have_one_each_and_the_cores_of_its_numa_node() {
        let machine = four_a100();
        let all = machine.all();
        let four = [
            ("CUDA_VISIBLE_DEVICES=0", "18-23,66-71"),
            ("CUDA_VISIBLE_DEVICES=1", "6-11,54-59"),
            ("CUDA_VISIBLE_DEVICES=2", "42-47,90-95"),
            ("CUDA_VISIBLE_DEVICES=3", "30-35,78-83"),
        ];
        assert_eq!(machine.bound(Rule::Gpu, 4, &all, &[]), table(&four));
        // Two share one, and each has cores of its own.
        let eight = machine.bound(Rule::Gpu, 8, &all, &[]);
        assert_eq!(
            eight[0],
            table(&[("CUDA_VISIBLE_DEVICES=0", "18-20,66-68")])[0]
        );
        assert_eq!(
            eight[4],
            table(&[("CUDA_VISIBLE_DEVICES=0", "21-23,69-71")])[0]
        );
        let two = [
            ("CUDA_VISIBLE_DEVICES=0,1", "6-11,18-23,54-59,66-71"),
            ("CUDA_VISIBLE_DEVICES=2,3", "30-35,42-47,78-83,90-95"),
        ];
        assert_eq!(machine.bound(Rule::Gpu, 2, &all, &[]), table(&two));
        // What Slurm gave to the job is what they take from, by number or by name.
        let job = [("SLURM_JOB_ID", "7"), ("CUDA_VISIBLE_DEVICES", "3,1")];
        let given = [
            ("CUDA_VISIBLE_DEVICES=3", "30-35,78-83"),
            ("CUDA_VISIBLE_DEVICES=1", "6-11,54-59"),
        ];
        assert_eq!(machine.bound(Rule::Gpu, 2, &all, &job), table(&given));
        let named = [(
            "CUDA_VISIBLE_DEVICES",
            "GPU-2c8b1f6e,MIG-GPU-0c8b1f6e-0d6c-8a0f-1d2e-3f4a5b6c7d8e/1/0",
        )];
        let cpus: Vec<String> = machine
            .bound(Rule::Gpu, 2, &all, &named)
            .into_iter()
            .map(|(_, cpus)| cpus)
            .collect();
        assert_eq!(cpus, ["42-47,90-95", "18-23,66-71"]);
        // With none of the CPUs near them there are those of the job.
        let far = Cpus::read("0-5,48-53").expect("CPUs");
        let two_far = [
            ("CUDA_VISIBLE_DEVICES=0,1", "0-2,48-50"),
            ("CUDA_VISIBLE_DEVICES=2,3", "3-5,51-53"),
        ];
        assert_eq!(machine.bound(Rule::Gpu, 2, &far, &[]), table(&two_far));
    }

    #[test]
    fn a_gpu_that_a_control_group_forbids_is_not_counted() {
        let machine = four_a100();
        fs::remove_file(machine.tree.path().join("dev/nvidia0")).expect("removed");
        let job = [("SLURM_JOB_ID", "7"), ("CUDA_VISIBLE_DEVICES", "0")];
        let bound = machine.bound(Rule::Gpu, 1, &machine.all(), &job);
        assert_eq!(bound, table(&[("CUDA_VISIBLE_DEVICES=0", "6-11,54-59")]));
    }

    #[test]
    fn the_dies_of_mi250s_have_the_cores_of_their_numa_nodes_less_those_that_a_site_keeps() {
        // An EPYC 7A53 with four MI250X, as of LUMI-G: the first two dies are near the last NUMA node but none.
        let machine = Machine::new(64, [64, 16, 8]);
        let nodes = ["0-15,64-79", "16-31,80-95", "32-47,96-111", "48-63,112-127"];
        for node in 0..4 {
            machine.kfd(node, 0, "");
        }
        for (die, (bus, near)) in [
            (0xc1, 3),
            (0xc6, 3),
            (0xc9, 1),
            (0xce, 1),
            (0xd1, 0),
            (0xd6, 0),
            (0xd9, 2),
            (0xde, 2),
        ]
        .into_iter()
        .enumerate()
        {
            let node = u32::try_from(die).expect("small") + 4;
            machine.kfd(node, bus << 8, nodes[near]);
        }
        // The system has the first core of each cache.
        let allowed: Cpus = machine.all().iter().filter(|cpu| cpu % 8 != 0).collect();
        // Slurm sets all variables of GPUs where it does not know whose they are.
        let job = [
            ("SLURM_JOB_ID", "7"),
            ("ROCR_VISIBLE_DEVICES", "0,1,2,3,4,5,6,7"),
            ("CUDA_VISIBLE_DEVICES", "0,1,2,3,4,5,6,7"),
        ];
        let eight = [
            ("ROCR_VISIBLE_DEVICES=0", "49-55,113-119"),
            ("ROCR_VISIBLE_DEVICES=1", "57-63,121-127"),
            ("ROCR_VISIBLE_DEVICES=2", "17-23,81-87"),
            ("ROCR_VISIBLE_DEVICES=3", "25-31,89-95"),
            ("ROCR_VISIBLE_DEVICES=4", "1-7,65-71"),
            ("ROCR_VISIBLE_DEVICES=5", "9-15,73-79"),
            ("ROCR_VISIBLE_DEVICES=6", "33-39,97-103"),
            ("ROCR_VISIBLE_DEVICES=7", "41-47,105-111"),
        ];
        assert_eq!(machine.bound(Rule::Gpu, 8, &allowed, &job), table(&eight));
        // HIP counts by these within what ROCR_VISIBLE_DEVICES leaves: `3` of one would be none.
        let topology = read(machine.tree.path(), &allowed);
        let seat = Seat { index: 3, of: 8 };
        let bound = bind(
            Rule::Gpu,
            seat,
            &variables(&job),
            &topology,
            TaskPlace::default(),
        );
        let bound = bound.expect("bound");
        assert_eq!(
            bound.set,
            [("ROCR_VISIBLE_DEVICES".to_owned(), "3".to_owned())]
        );
        assert!(
            bound
                .dropped
                .iter()
                .any(|name| name == "CUDA_VISIBLE_DEVICES")
        );
    }

    #[test]
    fn eight_gpus_at_two_sockets_divide_the_cores_of_theirs() {
        // Two Xeon 8480C with eight H100, a DGX.
        let machine = Machine::new(112, [56, 56, 56]);
        let (first, second) = ("0-55,112-167", "56-111,168-223");
        for (minor, bus) in [0x1b, 0x43, 0x52, 0x61, 0x9d, 0xc3, 0xd1, 0xdf_u32]
            .into_iter()
            .enumerate()
        {
            let near = if minor < 4 { first } else { second };
            let minor = u32::try_from(minor).expect("small");
            machine.nvidia(&format!("0000:{bus:02x}:00.0"), minor, near);
        }
        let bound = machine.bound(Rule::Gpu, 8, &machine.all(), &[]);
        let cpus: Vec<&str> = bound.iter().map(|(_, cpus)| cpus.as_str()).collect();
        assert_eq!(
            cpus,
            [
                "0-13,112-125",
                "14-27,126-139",
                "28-41,140-153",
                "42-55,154-167",
                "56-69,168-181",
                "70-83,182-195",
                "84-97,196-209",
                "98-111,210-223",
            ]
        );
        let (gpus, cpus) = &machine.bound(Rule::Cpu, 2, &machine.all(), &[])[1];
        assert_eq!((gpus.as_str(), cpus.as_str()), ("", second));
    }

    #[test]
    fn an_h100_of_a_virtual_machine_is_shared_as_it_was_there() {
        // A line for each file that was read there: its path and its text.
        let files = include_str!("../../../tests/machines/h100-in-a-virtual-machine");
        let tree = tempfile::tempdir().expect("a directory");
        let machine = Machine { tree, cores: 16 };
        for line in files.lines() {
            let (file, text) = line.split_once(' ').expect("a path and a text");
            let text = text.replace("\\t", "\t").replace("\\n", "\n");
            machine.write(file, &format!("{text}\n"));
        }
        let all: Cpus = (0..16).collect();
        let topology = read(machine.tree.path(), &all);
        assert_eq!(topology.cores.len(), 16, "no core has two threads");
        let gpu = &topology.gpus[0];
        assert_eq!((topology.gpus.len(), &gpu.near), (1, &all));
        assert_eq!(gpu.address, "0000:00:06.0");
        // What its engines saw, of CUDA and of the kernel.
        let two = [
            ("CUDA_VISIBLE_DEVICES=0", "0-7"),
            ("CUDA_VISIBLE_DEVICES=0", "8-15"),
        ];
        assert_eq!(machine.bound(Rule::Gpu, 2, &all, &[]), table(&two));
        let eight = machine.bound(Rule::Gpu, 8, &all, &[]);
        assert_eq!(eight[7], table(&[("CUDA_VISIBLE_DEVICES=0", "14-15")])[0]);
        let cpus: Vec<String> = machine
            .bound(Rule::Cpu, 3, &all, &[])
            .into_iter()
            .map(|(_, cpus)| cpus)
            .collect();
        assert_eq!(cpus, ["0-4", "5-9", "10-15"]);
        for named in [
            "GPU-5f1c2d3e",
            "0,7",
            "MIG-5e1b0c2d-0a1b-4c2d-8e3f-001122334455",
        ] {
            let job = [("CUDA_VISIBLE_DEVICES", named)];
            let (gpus, cpus) = &machine.bound(Rule::Gpu, 1, &all, &job)[0];
            // CUDA counts none from the first on that is not there.
            let first = named.split(',').next().unwrap_or_default();
            let wanted = format!("CUDA_VISIBLE_DEVICES={first}");
            assert_eq!((gpus, cpus.as_str()), (&wanted, "0-15"));
        }
        for other in ["7", "GPU-6a", "7,0"] {
            let job = variables(&[("CUDA_VISIBLE_DEVICES", other)]);
            let seat = Seat { index: 0, of: 1 };
            let why = bind(Rule::Gpu, seat, &job, &topology, TaskPlace::default());
            let wanted = format!(
                "CUDA_VISIBLE_DEVICES={other} names none of the GPUs here: 0 at 0000:00:06.0"
            );
            assert_eq!(why, Err(wanted));
        }
    }

    #[test]
    fn this_machine_has_cores() {
        let topology = here().expect("known");
        assert_eq!(topology.cpus(), affinity::own().expect("known"));
    }
}
