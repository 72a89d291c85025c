//! The cores and GPUs of a node, and which of them are near each other. PURE.

use super::cpus::Cpus;

/// What a node has, as far as this process may use it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// The cores whose CPUs this process may use, of each only those.
    pub cores: Vec<Core>,
    /// The GPUs, in the order in which their vendor's programs count them.
    pub gpus: Vec<Gpu>,
}

/// A core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// The package (socket) that it is in.
    pub package: u32,
    /// Its NUMA node.
    pub node: u32,
    /// The first CPU of those that share its last cache.
    pub cache: u32,
    /// Its CPUs: its hardware threads.
    pub cpus: Cpus,
}

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Who made it.
    pub vendor: Vendor,
    /// Its PCI address, `0000:41:00.0`.
    pub address: String,
    /// The CPUs near it; all of the node where the firmware does not tell.
    pub near: Cpus,
    /// The vendor's own name for it, where it has one: `GPU-5f1c...`.
    pub uuid: Option<String>,
}

/// Who made a GPU: each has variables of its own by which programs see fewer than there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vendor {
    /// NVIDIA: CUDA.
    Nvidia,
    /// AMD: `ROCm`.
    Amd,
    /// Intel: Level Zero.
    Intel,
}

impl Vendor {
    /// All of them; where a node has several, GPUs of the first are those that compute.
    pub const ALL: [Self; 3] = [Self::Nvidia, Self::Amd, Self::Intel];

    /// The variable that lists the GPUs that a program may use.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Self::Nvidia => "CUDA_VISIBLE_DEVICES",
            Self::Amd => "ROCR_VISIBLE_DEVICES",
            Self::Intel => "ZE_AFFINITY_MASK",
        }
    }

    /// Variables that count within what that one leaves: of one GPU that is left they must name no other than the first. HIP
    /// goes by all of these.
    #[must_use]
    pub fn within(self) -> &'static [&'static str] {
        match self {
            Self::Amd => &[
                "HIP_VISIBLE_DEVICES",
                "CUDA_VISIBLE_DEVICES",
                "GPU_DEVICE_ORDINAL",
            ],
            Self::Nvidia | Self::Intel => &[],
        }
    }
}

impl Topology {
    /// The CPUs of all cores.
    #[must_use]
    pub fn cpus(&self) -> Cpus {
        self.cores
            .iter()
            .flat_map(|core| core.cpus.iter())
            .collect()
    }

    /// The cores in the order in which neighbours are near each other.
    #[must_use]
    pub fn by_distance(&self) -> Vec<&Core> {
        let mut cores: Vec<&Core> = self.cores.iter().collect();
        cores.sort_by_key(|core| (core.package, core.node, core.cache, core.cpus.iter().next()));
        cores
    }
}
