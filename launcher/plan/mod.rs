//! What will be started, as data. PURE: nothing here knows a clock, a file, a process or tokio, so that every decision can
//! be tested without them (a check in `make check` keeps it so).
//!
//! `Settings` (what was asked) and `Here` (what this machine offers) go in; a [`Plan`] comes out: services in their order
//! of start, each with its argv, its environment, its log, what it waits for, when it is ready and how it is stopped.

pub mod allocation;
pub mod bind;
pub mod cluster_file;
pub mod connection;
pub mod cpus;
pub mod curve;
pub mod engine_list;
pub mod engines;
pub mod environment;
pub mod exit;
pub mod fnv;
#[cfg(test)]
mod fuzz;
pub mod heartbeat;
pub mod het;
pub mod hostlist;
pub mod idle;
pub mod incarnation;
pub mod job;
pub mod jupyter_args;
pub mod last_words;
pub mod name;
pub mod ood;
pub mod profile;
pub mod ranks;
pub mod rendezvous;
pub mod request;
#[cfg(test)]
pub mod sample;
pub mod secrets;
pub mod service;
pub mod service_args;
pub mod services;
pub mod settings;
pub mod share;
pub mod slurm;
pub mod task_lines;
pub mod task_place;
pub mod template;
pub mod text;
pub mod threads;
pub mod topology;
pub mod version;
pub mod wiring;
pub mod world;

use crate::failure::Outcome;
use allocation::Allocation;
use connection::Keys;
use core::net::Ipv4Addr;
use incarnation::Incarnation;
use profile::Profile;
pub use secrets::Secrets;
use service::Service;
use services::Unforked;
use settings::{EngineStart, Launcher, Mode, Respawn, Settings};
use share::{Machine, Shares};
use std::path::PathBuf;
use version::Version;
use wiring::Start;
pub use world::{WantedWorld, World};

/// What this machine offers, found before anything is planned.
#[derive(Clone, Debug)]
pub struct Here {
    /// `ipcontroller` as found on PATH.
    pub ipcontroller: PathBuf,
    /// The Python of `ipcontroller`, where that is a script whose first line names one, of an ipyparallel that is known here: then it
    /// can be handed sockets, and starts without its pauses.
    pub eager_python: Option<PathBuf>,
    /// `ipengine` as found on PATH.
    pub ipengine: PathBuf,
    /// The Python of a script whose first line names it: a process that runs that is the engine itself.
    pub ipengine_python: Option<PathBuf>,
    /// The Python that `ipengine` runs with, where its first line tells and engines are to be forked.
    pub engine_python: Option<PathBuf>,
    /// What that of engines that are started one by one prints when it starts, where anything.
    pub python_prints: Option<String>,
    /// `srun` and what it needs, with that launcher.
    pub srun: Option<Srun>,
    /// `mpiexec` and what it needs, with that launcher.
    pub mpiexec: Option<Mpiexec>,
    /// The ranks that ipjob was started as, with that launcher.
    pub ranks: Option<Ranks>,
    /// The address that the controller binds.
    pub address: Ipv4Addr,
    /// Where clients are told that it is, beside its address.
    pub location: String,
    /// The address that Jupyter binds.
    pub jupyter_address: Ipv4Addr,
    /// The version of ipyparallel that `ipcontroller` belongs to.
    pub ipyparallel: Version,
    /// The Jupyter program, in notebook mode.
    pub jupyter: Option<Jupyter>,
    /// The driver's program as found on PATH, when a COMMAND was given.
    pub driver: Option<PathBuf>,
    /// What in the controller's own configuration shapes the wiring, with its file.
    pub shaping_config: Option<String>,
    /// Whether the server of a hub's user runs us.
    pub in_hub: bool,
    /// Whether we are root: Jupyter then needs --allow-root.
    pub root: bool,
    /// What this process may use of the machine.
    pub machine: Machine,
    /// The variables of our own environment, by name and text; what is no Unicode in a value is replaced.
    pub environment: Vec<(String, String)>,
    /// This program, where the system tells.
    pub program: Option<PathBuf>,
    /// The directory of this program, where PATH does not lead to it.
    pub own_directory: Option<PathBuf>,
    /// Where Jupyter's runtime directory will be, on a disk of this node that takes sockets; `None` where there is no place for it.
    pub sockets: Option<PathBuf>,
    /// Whether `XDG_RUNTIME_DIR` is an existing directory of ours.
    pub runtime_dir_is_ours: bool,
    /// The Python package `ipjob` of ipcontroller's Python.
    pub package: Option<Version>,
}

impl Here {
    /// Whether engines form one MPI world.
    #[must_use]
    pub fn makes_a_world(&self) -> bool {
        let srun = self
            .srun
            .as_ref()
            .is_some_and(|srun| srun.mpi != World::None);
        let mpiexec = self.mpiexec.as_ref().is_some_and(|mpiexec| mpiexec.world);
        srun || mpiexec || self.ranks.as_ref().is_some_and(|ranks| ranks.world)
    }
}

/// What the launcher `srun` works with.
#[derive(Clone, Debug)]
pub struct Srun {
    /// `srun` as found on PATH.
    pub program: PathBuf,
    /// `scancel` as found on PATH: it asks a step to end, which srun itself can't.
    pub scancel: PathBuf,
    /// This program, which every task runs through.
    pub ipjob: PathBuf,
    /// Whether engines form one MPI world, and the type of it where srun must be told.
    pub mpi: World,
    /// The types that this srun offers, for messages.
    pub mpi_types: Vec<String>,
    /// Why engines that could be one MPI world are none.
    pub unfit: Option<String>,
}

/// What the launcher `mpiexec` works with.
#[derive(Clone, Debug)]
pub struct Mpiexec {
    /// The program as found on PATH.
    pub program: PathBuf,
    /// This program, which every rank runs through.
    pub ipjob: PathBuf,
    /// Whether engines form one MPI world.
    pub world: bool,
}

/// What the launcher `ranks` works with.
#[derive(Clone, Debug)]
pub struct Ranks {
    /// How many there are.
    pub size: u32,
    /// Whether engines form one MPI world.
    pub world: bool,
    /// Whether they could and would, and nothing offered them one.
    pub unoffered: bool,
    /// Variables that an earlier start left in the shell.
    pub leftovers: Vec<String>,
}

/// A Jupyter program and the family of option names it understands.
#[derive(Clone, Debug)]
pub struct Jupyter {
    /// The program as found on PATH.
    pub program: PathBuf,
    /// Whether it is the classic Notebook (below 7), whose options are `NotebookApp.*`.
    pub classic: bool,
    /// Its Python, where it is a script whose first line names one: then it can be handed a socket.
    pub python: Option<PathBuf>,
}

/// What can be told of the settings without a look at the machine.
pub fn check(settings: &Settings) -> Outcome<()> {
    if let (Some(expected), Some(minimum)) = (settings.engines, settings.min_engines) {
        engines::check_minimum(expected, minimum)?;
    }
    service_args::check_controller(&settings.controller_args)?;
    service_args::check_engines(&settings.engine_args)?;
    match settings.mode {
        Mode::Notebook => jupyter_args::check(&settings.arguments),
        Mode::ClusterOnly => Ok(()),
    }
}

/// The launcher that was asked for, or else the one that fits the allocation.
#[must_use]
pub fn launcher(settings: &Settings, allocation: &Allocation, several_ranks: bool) -> Launcher {
    let fitting = if several_ranks {
        Launcher::Ranks
    } else if allocation.slurm.is_some() {
        Launcher::Srun
    } else {
        Launcher::Local
    };
    settings.launcher.unwrap_or(fitting)
}

/// Everything that will be started, in the order of start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What was asked.
    pub settings: Settings,
    /// What we were given.
    pub allocation: Allocation,
    /// Which life of ipjob this is.
    pub incarnation: Incarnation,
    /// Where files go.
    pub profile: Profile,
    /// What only this job's own processes may know.
    pub secrets: Secrets,
    /// The version of ipyparallel, for messages and the record.
    pub ipyparallel: Version,
    /// Whether ipyparallel's own tools can know the cluster: they do it by the Python package `ipjob`.
    pub is_listed: bool,
    /// How engines are started.
    pub launcher: Launcher,
    /// The MPI world that engines are expected to see; `None` without MPI.
    pub world: Option<WantedWorld>,
    /// How the start goes.
    pub start: Start,
    /// Whether all that passes the controller's ports is encrypted.
    pub encrypted: bool,
    /// The address that the controller binds.
    pub address: Ipv4Addr,
    /// Where clients are told that it is, beside its address.
    pub location: String,
    /// The address that Jupyter binds.
    pub jupyter_address: Ipv4Addr,
    /// How many engines are expected.
    pub engines: u32,
    /// The fewest engines that are accepted when the time is up.
    pub minimum: u32,
    /// Services in the order of start; they are stopped in the reverse order.
    pub services: Vec<Service>,
    /// How engines come to be.
    pub creation: services::Creation,
    /// What is so of those that were to be forks and are none.
    pub unforked: Unforked,
    /// What forks all engines in the place of their service's own processes.
    pub fork: Option<service::Process>,
    /// What is run once the job is ready.
    pub on_ready: Option<services::OnReady>,
    /// Which engines are started again by themselves when they end.
    pub respawn: Respawn,
    /// How single engines of the engines' step are started again, where they can be.
    pub replacement: Option<services::Replacement>,
    /// How the other ranks start their engines, with the launcher `ranks`.
    pub order: Option<rendezvous::Order>,
    /// What engines are given of their nodes.
    pub shares: Shares,
    /// This program, which `ipjob ssh` runs on the job's nodes; `None` where its path is not known.
    pub program: Option<PathBuf>,
    /// Whether the server of a hub's user runs us: its users have no other way in.
    pub in_hub: bool,
    /// What a person is told about the plan, for example that --allow-root was added.
    pub remarks: Vec<String>,
    /// What a person should look at, beforehand.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Decides what will be started.
    pub fn new(
        settings: Settings,
        allocation: Allocation,
        incarnation: Incarnation,
        secrets: Secrets,
        here: &Here,
    ) -> Outcome<Self> {
        let profile = Profile::new(&settings.ipython_dir, &settings.profile)
            .in_life(allocation.restart)
            .with_sockets(here.sockets.clone());
        let launcher = launcher(&settings, &allocation, here.ranks.is_some());
        let respawn = engines::respawn(&settings, launcher, here, &allocation)?;
        let together = engines::end_together(launcher, here);
        engines::check_idle(&settings, launcher)?;
        let counted = engines::count(&settings, &allocation, launcher)?;
        let (engines, minimum) = (counted.expected, counted.minimum);
        let config = here.shaping_config.as_deref();
        let (start, remark) = wiring::start(settings.starting, &settings.controller_args, config)?;
        let mut remarks: Vec<String> = remark.into_iter().chain(counted.remark).collect();
        let encrypted = curve::decide(settings.curve, &here.ipyparallel)?;
        let context = services::Context {
            settings: &settings,
            allocation: &allocation,
            here,
            secrets: &secrets,
            profile: &profile,
            incarnation: &incarnation,
            start,
            encrypted,
            engines,
            minimum,
            heartbeat: heartbeat::of(&settings.controller_args, here, engines),
            nanny: counted.nanny,
            threads: None,
            bind: None,
            signals_ours: engines::signals_ours(&settings, launcher, here),
        };
        let (context, shares) = services::shares(context, launcher)?;
        let creation = services::creation(&context, launcher);
        let python = creation.python();
        let (engine_service, order) = services::engines(&context, launcher, python, &shares.own)?;
        let unforked = services::unforked(&context, python.is_some(), &mut remarks)?;
        let fork = python
            .filter(|_| launcher == Launcher::Local)
            .map(|python| services::fork(&context, python.to_owned()));
        let on_ready = services::on_ready(&context);
        let replacement = services::replacement(&context, launcher, together);
        let mut services = vec![
            services::controller(&context, python.is_some()),
            engine_service,
        ];
        match settings.mode {
            Mode::Notebook => services.push(services::jupyter(&context, &mut remarks)?),
            Mode::ClusterOnly if settings.arguments.is_empty() => {}
            Mode::ClusterOnly => services.push(services::driver(&context)?),
        }
        let world = world::wanted(&settings, here, engines);
        remarks.extend(world::meaningless(&settings.mpi, launcher));
        if here.ranks.as_ref().is_some_and(|ranks| ranks.unoffered) {
            remarks.push(ranks::no_world_offered());
        }
        let unfit = here.srun.as_ref().and_then(|srun| srun.unfit.clone());
        let out_of_reach = (here.in_hub && settings.mode == Mode::Notebook).then(|| {
            format!(
                "this runs in a JupyterHub server, and the hub leads no browser to the Jupyter of --mode notebook: use the engines from this \
                 server's own notebooks, with ipp.Client(profile={:?}); there `%load_ext ipjob` starts them without a second Jupyter, and \
                 in a terminal --mode cluster-only does",
                profile.name.as_str()
            )
        });
        let warnings = unfit.into_iter().chain(out_of_reach);
        let warnings = warnings.chain(shares.unbound()).collect();
        Ok(Self {
            ipyparallel: here.ipyparallel.clone(),
            is_listed: here.package.is_some(),
            secrets,
            settings,
            allocation,
            incarnation,
            profile,
            launcher,
            world,
            start,
            encrypted,
            address: here.address,
            location: here.location.clone(),
            jupyter_address: here.jupyter_address,
            engines,
            minimum,
            services,
            creation,
            unforked,
            fork,
            on_ready,
            respawn,
            replacement,
            order,
            shares,
            remarks,
            warnings,
            program: here.program.clone(),
            in_hub: here.in_hub,
        })
    }

    /// What both connection files carry.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        Keys {
            signing: self.secrets.key.reveal(),
            server: self.encrypted.then_some(self.secrets.curve.public.reveal()),
        }
    }

    /// Whether engines were to be forks by the user's own word, so that it matters to him if they are none.
    #[must_use]
    pub fn asks_for_forks(&self) -> bool {
        self.settings.engine_start == EngineStart::Fork
    }

    /// The service of that name, where the plan has one.
    #[must_use]
    pub fn service(&self, name: name::Name) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }
}
