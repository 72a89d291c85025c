//! Looking around: the programs, versions, addresses and worlds of this machine that a plan needs.

use crate::failure::{Failure, Outcome};
use crate::here::profile::{controller_config, directory, socket_directory};
use crate::here::site::{address, hub, identity, mpi, packages, programs, topology, versions};
use crate::plan::allocation::Allocation;
use crate::plan::ranks::Rank;
use crate::plan::settings::{Bind, EngineStart, Frontend, Launcher, Mode, Mpi, Nanny, Settings};
use crate::plan::{self, Here, Jupyter, Mpiexec, Ranks, Srun, version};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Finds what the plan needs of this machine.
pub async fn look(
    settings: &Settings,
    allocation: &Allocation,
    environment: Vec<(String, String)>,
    rank: Option<&Rank>,
) -> Outcome<Here> {
    directory::working_directory()?;
    let limit = settings.start.whole;
    if let Some(rank) = rank {
        super::rank::check_address(rank, settings, allocation.slurm.is_some())?;
    }
    let ipcontroller = programs::find("ipcontroller", "ipyparallel")?;
    let ipengine = programs::find("ipengine", "ipyparallel")?;
    let python = packages::python_of(&ipengine);
    // First, as it takes the longest. In what a wrapper makes around it another Python may start.
    let has_nannies = settings.nanny != Nanny::Off && settings.engine_wrapper.is_empty();
    let started = python
        .as_deref()
        .filter(|_| has_nannies)
        .and_then(versions::Start::of);
    let ipyparallel = versions::of(&ipcontroller, "ipyparallel", limit).await?;
    version::check_ipyparallel(&ipyparallel)?;
    // 7 has other names for what is done, and other ports.
    let eager_python = (ipyparallel.major() >= 8)
        .then(|| packages::python_of(&ipcontroller))
        .flatten();
    let jupyter = match settings.mode {
        Mode::Notebook => Some(find_jupyter(&settings.frontend, limit).await?),
        Mode::ClusterOnly => None,
    };
    let driver = match (settings.mode, settings.arguments.first()) {
        (Mode::ClusterOnly, Some(program)) => Some(programs::find_driver(program)?),
        _ => None,
    };
    let sockets = match settings.mode {
        Mode::Notebook => socket_directory::choose()?,
        Mode::ClusterOnly => None,
    };
    let launcher = plan::launcher(settings, allocation, rank.is_some());
    let ipengine_python = python.clone();
    let engine_python = python.filter(|_| settings.engine_start != EngineStart::Exec);
    let srun = match launcher {
        Launcher::Srun => Some(find_srun(settings, allocation, &ipengine)?),
        _ => None,
    };
    let mpiexec = match launcher {
        Launcher::Mpiexec => Some(find_mpiexec(settings, &ipengine)?),
        _ => None,
    };
    let ranks = rank.map(|rank| {
        let world = |offered| mpi::plain_world(&settings.mpi, &ipengine, offered);
        Ranks {
            size: rank.size,
            world: world(rank.world),
            unoffered: !rank.world && settings.mpi == Mpi::Auto && world(true),
            leftovers: rank.leftovers.clone(),
        }
    });
    let address = match &settings.address {
        Some(text) => address::chosen(text, "--address")?,
        // Nobody comes from another node.
        None if launcher == Launcher::Local => Ipv4Addr::LOCALHOST,
        None => own_address(allocation, &environment)?,
    };
    let jupyter_address = match &settings.jupyter_address {
        Some(text) => address::chosen(text, "--jupyter-address")?,
        None => address,
    };
    let location = address::Location::of(address);
    let shaping_config = controller_config::shaping(settings, &ipcontroller);
    let python_prints = match started {
        Some(start) => start.printed(limit).await,
        None => None,
    };
    let location = location.found().await;
    let binds = matches!(settings.bind, Bind::Gpu | Bind::Cpu);
    let package = packages::installed(&ipcontroller, "ipjob");
    Ok(Here {
        srun,
        mpiexec,
        ranks,
        address,
        location,
        jupyter_address,
        eager_python,
        ipengine_python,
        ipcontroller,
        ipengine,
        engine_python,
        python_prints,
        ipyparallel,
        jupyter,
        driver,
        shaping_config,
        in_hub: hub::serves_us(&environment),
        root: nix::unistd::geteuid().is_root(),
        machine: topology::machine(binds, &environment)?,
        environment,
        program: std::env::current_exe().ok(),
        own_directory: directory_off_the_path(),
        sockets,
        runtime_dir_is_ours: identity::owns_xdg_runtime_dir(),
        package,
    })
}

/// Finds srun and decides the MPI world of its step.
fn find_srun(settings: &Settings, allocation: &Allocation, ipengine: &Path) -> Outcome<Srun> {
    let command = settings.launcher_command.as_deref().unwrap_or("srun");
    let without = |failure: Failure| {
        failure.hint("--launcher local starts the engines on this machine only, without Slurm; `unset SLURM_JOB_ID` removes a leftover variable")
    };
    let program = programs::find_slurms(command).map_err(without)?;
    let scancel = programs::find_slurms("scancel").map_err(without)?;
    let inside_a_step = allocation
        .slurm
        .as_ref()
        .is_some_and(|slurm| slurm.step.is_some());
    let decided = mpi::world(&settings.mpi, ipengine, &program, inside_a_step)?;
    Ok(Srun {
        program,
        scancel,
        ipjob: own_program()?,
        mpi: decided.world,
        mpi_types: decided.types,
        unfit: decided.unfit,
    })
}

/// Finds mpiexec, or what stands for it.
fn find_mpiexec(settings: &Settings, ipengine: &Path) -> Outcome<Mpiexec> {
    let command = settings.launcher_command.as_deref().unwrap_or("mpiexec");
    Ok(Mpiexec {
        program: programs::find_mpiexec(command)?,
        ipjob: own_program()?,
        world: mpi::plain_world(&settings.mpi, ipengine, true),
    })
}

/// This program, for what starts it on other nodes.
fn own_program() -> Outcome<PathBuf> {
    std::env::current_exe()
        .map_err(|error| Failure::missing("ipjob cannot find its own program").because(error))
}

/// Where this program lies, if who types its name would not find it.
fn directory_off_the_path() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let hidden = programs::find(env!("CARGO_PKG_NAME"), "").is_err();
    program.parent().filter(|_| hidden).map(Path::to_owned)
}

/// The address that the other nodes and the login node reach; without a scheduler the loopback address.
pub fn own_address(allocation: &Allocation, environment: &[(String, String)]) -> Outcome<Ipv4Addr> {
    let Some(slurm) = &allocation.slurm else {
        return Ok(Ipv4Addr::LOCALHOST);
    };
    let host = identity::host();
    let own = slurm.node_of(&host);
    let submit_host = environment
        .iter()
        .filter(|(name, _)| name == "SLURM_SUBMIT_HOST")
        .map(|(_, host)| host.clone());
    let peers: Vec<String> = slurm
        .nodes
        .iter()
        .filter(|node| Some(node.as_str()) != own)
        .take(1)
        .cloned()
        .chain(submit_host)
        .collect();
    address::towards(&peers)
}

/// Finds the front end and which family of options it understands.
async fn find_jupyter(frontend: &Frontend, limit: Duration) -> Outcome<Jupyter> {
    let program = match frontend {
        Frontend::Lab => programs::find("jupyter-lab", "jupyterlab")?,
        Frontend::Notebook => programs::find("jupyter-notebook", "notebook")?,
        Frontend::Server => programs::find("jupyter-server", "jupyter_server")?,
        Frontend::Program(path) => programs::find(&path.to_string_lossy(), "jupyterlab")?,
    };
    let classic =
        may_be_classic(&program) && versions::of(&program, "notebook", limit).await?.major() < 7;
    Ok(Jupyter {
        python: packages::python_of(&program),
        program,
        classic,
    })
}

/// Only `jupyter-notebook` can be the classic one.
fn may_be_classic(program: &Path) -> bool {
    program
        .file_name()
        .is_some_and(|name| name == "jupyter-notebook")
}
