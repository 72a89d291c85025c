//! Who and where we are, and random numbers to tell one life from the next.

use crate::failure::{Failure, Outcome};
use crate::here::os::process;
use crate::here::os::secure_path;
use crate::plan::Secrets;
use crate::plan::allocation::Allocation;
use crate::plan::curve::Pair;
use crate::plan::incarnation::Incarnation;
use crate::plan::slurm::Slurm;
use crate::plan::text::Text;
use crate::record::SignalTo;
use std::fmt::Write;
use std::path::Path;

/// Random bytes from the kernel.
pub fn random<const N: usize>() -> Outcome<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::missing("the kernel gives no random numbers").because(error))?;
    Ok(bytes)
}

/// `N` random bytes as hexadecimal digits.
pub fn random_hex<const N: usize>() -> Outcome<String> {
    Ok(random::<N>()?
        .iter()
        .fold(String::with_capacity(2 * N), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }))
}

/// The key, the token (unless it is given) and the key pair of a job, 256 random bits each, and the path of its Jupyter, 64 bits.
pub fn secrets(given: Option<Text>) -> Outcome<Secrets> {
    Ok(Secrets {
        key: Text::Secret(random_hex::<32>()?),
        token: given.map_or_else(token, Ok)?,
        path: format!("/{}/", random_hex::<8>()?),
        curve: Pair::of(random()?),
    })
}

/// A new token of Jupyter's.
pub fn token() -> Outcome<Text> {
    Ok(Text::Secret(random_hex::<32>()?))
}

/// The name of this host; `localhost` where the kernel has none.
#[must_use]
pub fn host() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// A new incarnation for this process.
pub fn incarnation(allocation: &Allocation) -> Outcome<Incarnation> {
    let pid = std::process::id();
    Ok(Incarnation {
        id: format!(
            "{}.{}.{}.{}",
            allocation.cluster,
            allocation.job_name(),
            allocation.restart,
            random_hex::<8>()?
        ),
        host: host(),
        boot: process::boot_id(),
        pid,
        pid_start: process::stat(pid).map_or(0, |stat| stat.start),
    })
}

/// Whether Slurm's daemon has started this process itself: as a task, or as the batch script.
#[must_use]
pub fn is_started_by_slurm() -> bool {
    let parent = nix::unistd::getppid().as_raw().unsigned_abs();
    process::name(parent).starts_with("slurmstepd")
}

/// What `scancel` must name for its signal to reach this process: `batch`, or a step such as `12.0`. `None` where another
/// program started us, a script that did not `exec` or mpiexec: then Slurm's signals reach that one.
#[must_use]
pub fn signalled_as(slurm: &Slurm) -> Option<SignalTo> {
    if slurm.from_outside || !is_started_by_slurm() {
        return None;
    }
    Some(match &slurm.step {
        None => SignalTo::batch(),
        Some(step) => SignalTo::ours(format!("{}.{step}", slurm.job.number())),
    })
}

/// This machine as an allocation.
#[must_use]
pub fn this_machine() -> Allocation {
    Allocation::this_machine(&host(), cpus(), free_memory())
}

/// The CPUs that this process may use: those that it is bound to, or fewer where a control group gives it less of their time.
#[must_use]
pub fn cpus() -> u32 {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cpus).unwrap_or(1)
}

/// The memory that programs can still get, in bytes.
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Whether `XDG_RUNTIME_DIR` names an existing directory that is ours alone: that of a login session leaks into jobs.
#[must_use]
pub fn owns_xdg_runtime_dir() -> bool {
    std::env::var_os("XDG_RUNTIME_DIR")
        .is_some_and(|path| secure_path::own(Path::new(&path)).is_ok())
}
