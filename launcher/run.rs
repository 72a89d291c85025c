//! The main command: options -> allocation -> plan -> supervisor -> exit code.

mod detach;
mod discover;
mod own_step;
mod rank;

use crate::cli::options::RunOptions;
use crate::cli::variables::unknown_variables;
use crate::failure::{About, Failure, Outcome};
use crate::here::os::guard;
use crate::here::os::signals::Signals;
use crate::here::os::time_limited::{LOOK, insist};
use crate::here::os::{limits, stray_processes, subreaper};
use crate::here::profile::directory::{self, Directory};
use crate::here::profile::lock;
use crate::here::profile::rendezvous::Leader;
use crate::here::site::{given_token, identity, scontrol, step_numbers, stepd};
use crate::plan::allocation::Allocation;
use crate::plan::incarnation::Incarnation;
use crate::plan::profile::{Profile, ProfileName};
use crate::plan::ranks::Rank;
use crate::plan::secrets::Secrets;
use crate::plan::settings::{Launcher, Mode, Settings};
use crate::plan::slurm::Slurm;
use crate::plan::text::Text;
use crate::plan::{self, Plan, het};
use crate::report::console::Console;
use crate::report::dry_run;
use crate::report::front::Front;
use crate::supervisor;
use crate::supervisor::event::End;

pub use discover::own_address;
pub use own_step::become_it;

/// Clusters that get names of their own in one IPython directory.
const MOST_CLUSTERS: u32 = 1000;

/// Runs the job and tells the exit code.
pub fn run(options: &RunOptions, console: &mut Console) -> Outcome<u8> {
    if options.detached {
        return detach::behind(options, console);
    }
    let environment = environment();
    let rank = rank::recognise(options, &environment)?;
    if options.detach && !options.dry_run {
        return detach::before(options, rank.as_ref(), console);
    }
    match rank {
        Some(rank) if rank.number > 0 => rank::follow(options, environment, rank, console),
        Some(rank) if rank.needs_guard && !guard::stands() => {
            event_loop()?.block_on(async { guard::run(Signals::catch()?).await })
        }
        first => {
            become_subreaper(console);
            let end = event_loop()?.block_on(lead(
                options,
                environment,
                first.as_ref(),
                None,
                console,
            ))?;
            Ok(tell(&end, console))
        }
    }
}

/// Shows what the job failed of, and tells its exit code.
fn tell(end: &End, console: &Console) -> u8 {
    if let Some(failure) = &end.failure {
        console.failure(failure);
    }
    end.code
}

/// Runs the job as the only ipjob, or as the first of several ranks.
async fn lead(
    options: &RunOptions,
    environment: Vec<(String, String)>,
    rank: Option<&Rank>,
    mut front: Option<&mut Front>,
    console: &mut Console,
) -> Outcome<End> {
    for remark in unknown_variables(&environment) {
        console.warning(&remark);
    }
    // Caught before a program is started or a file is written, so that a request to stop never leaves one.
    let mut signals = Signals::catch()?;
    if let Some(front) = &mut front {
        front.watch().map_err(|error| {
            Failure::missing("the ipjob in front of this one cannot be watched").because(error)
        })?;
    }
    // Once: a pipe gives the token to nobody who looks for a name again.
    let secrets = identity::secrets(given_token(options)?)?;
    let mut meeting = None;
    let outcome = loop {
        let planned = signals
            .unless_asked(plan(
                options,
                environment.clone(),
                secrets.clone(),
                rank,
                &mut meeting,
            ))
            .await;
        let plan = match planned {
            Ok(Ok(plan)) => plan,
            Ok(Err(failure)) => break Err(failure),
            Err(by) => {
                console.step(&format!("stopping: {by}"));
                break Ok(End::orderly(by));
            }
        };
        if options.dry_run {
            console.still();
            break dry_run::print(&plan).map(|()| End::orderly("a dry run"));
        }
        break match prepare(&plan, console) {
            // Another one has taken it since we looked: we look again.
            Err(failure)
                if failure.about == Some(About::InUse) && is_free_to_name(options, rank) =>
            {
                continue;
            }
            Err(failure) => Err(failure),
            Ok(directory) => {
                carry_out(&plan, &directory, signals, meeting.as_mut(), front, console).await
            }
        };
    };
    if let Some(meeting) = meeting {
        match outcome {
            Ok(_) => drop(insist(LOOK, || meeting.close())),
            Err(_) => meeting.refuse(),
        }
    }
    outcome
}

/// The token of a file of the user's, where there is a Jupyter that takes it.
fn given_token(options: &RunOptions) -> Outcome<Option<Text>> {
    let file = options.jupyter_token_file.as_deref();
    file.filter(|_| options.mode == Some(Mode::Notebook))
        .map(given_token::read)
        .transpose()
}

/// What will be started, from the options and what is found here; ranks are called to the `meeting` before anything slow.
async fn plan(
    options: &RunOptions,
    environment: Vec<(String, String)>,
    secrets: Secrets,
    rank: Option<&Rank>,
    meeting: &mut Option<Leader>,
) -> Outcome<Plan> {
    let allocation = allocation(options, &environment, rank)?;
    let mut settings = options.settings(allocation.job_name())?;
    // Before anything is looked for, so that nobody installs programs only to learn of a wrong word.
    plan::check(&settings)?;
    let incarnation = identity::incarnation(&allocation)?;
    let met = rank.filter(|_| !options.dry_run);
    *meeting = rank::call(&settings, met, &incarnation)?;
    let mut remark = None;
    if options.profile.is_none() {
        (settings.profile, remark) = free_name(&settings, &incarnation);
    }
    let here = discover::look(&settings, &allocation, environment, rank).await?;
    let mut plan = Plan::new(settings, allocation, incarnation, secrets, &here)?;
    plan.remarks.extend(remark);
    Ok(plan)
}

/// Makes all that the plan needs before anything is started.
fn prepare(plan: &Plan, console: &Console) -> Outcome<Directory> {
    if let Some(limit) = limits::raise_open_files(plan.engines)? {
        console.step(&format!(
            "the limit of open files was raised to {limit} for the services"
        ));
    }
    step_numbers::skip(plan);
    directory::prepare(&plan.profile, &plan.incarnation, plan.secrets.key.reveal())
}

/// Runs the plan to its end.
async fn carry_out(
    plan: &Plan,
    directory: &Directory,
    signals: Signals,
    meeting: Option<&mut Leader>,
    mut front: Option<&mut Front>,
    console: &mut Console,
) -> Outcome<End> {
    if let Some(front) = &mut front {
        front.open_log(plan, console).inspect_err(|_| {
            directory::clear(&plan.profile, plan.secrets.key.reveal());
            directory.lock.ended();
        })?;
    }
    supervisor::run(plan, directory, signals, meeting, front, console).await
}

/// Whether the profile's name is ipjob's to choose again; other ranks were called already.
fn is_free_to_name(options: &RunOptions, rank: Option<&Rank>) -> bool {
    options.profile.is_none() && rank.is_none()
}

/// The first name that no other cluster of the job, or of a home directory that others share, has; and why it is not the first of all.
fn free_name(settings: &Settings, own: &Incarnation) -> (ProfileName, Option<String>) {
    let mut why = None;
    for name in (1..MOST_CLUSTERS).map(|n| settings.profile.nth(n)) {
        let lock = Profile::new(&settings.ipython_dir, &name).lock();
        match lock::look(&lock, own) {
            Err(failure) if failure.about == Some(About::InUse) => {
                why.get_or_insert(failure.message);
            }
            _ => {
                let remark = why.map(|why| format!("{why}; this one's profile is {name}"));
                return (name, remark);
            }
        }
    }
    (settings.profile.clone(), None)
}

/// The loop that everything runs in.
pub fn event_loop() -> Outcome<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| Failure::missing("the event loop cannot be made").because(error))
}

/// Orphans of the tree become our children, so that none escapes the last sweep. Without it (an emulator that lacks the call)
/// all that still carries our incarnation is found, which is every program that does not clean its environment.
///
/// What runs below us already is not of the tree.
fn become_subreaper(console: &Console) {
    stray_processes::note_strangers();
    if let Err(error) = subreaper::become_one() {
        console.warning(&format!(
            "orphans cannot be adopted here ({error}): a program that clears its environment may be left running at the end"
        ));
    }
}

/// Our environment as text; what is no Unicode is nothing that ipjob reads.
pub fn environment() -> Vec<(String, String)> {
    let mut environment = std::env::vars_os()
        .filter_map(|(name, value)| {
            Some((
                name.into_string().ok()?,
                value.to_string_lossy().into_owned(),
            ))
        })
        .collect();
    stepd::without_outer_step(&mut environment);
    environment
}

/// What we were given: the Slurm job whose node this is, or this node of it alone where local engines were asked for; else this machine.
fn allocation(
    options: &RunOptions,
    environment: &[(String, String)],
    rank: Option<&Rank>,
) -> Outcome<Allocation> {
    let mut this_machine = identity::this_machine();
    if let Some(rank) = rank {
        this_machine = this_machine.of_ranks(rank.size);
    }
    let launcher = options.launcher().unwrap_or(Launcher::Srun);
    if options.jobid.is_some() && (rank.is_some() || launcher != Launcher::Srun) {
        return Err(Failure::usage(
            "--jobid works with one ipjob and --launcher srun only: the engines run in a step of that job",
        ));
    }
    if options.uses_this_machine_alone() {
        // Variables that are left over from another job, or from one that has ended, are of no matter here.
        let job = scontrol::job(environment).ok().flatten();
        let runs_here = |slurm: &Slurm| {
            let runs = slurm
                .asked
                .as_ref()
                .is_some_and(|asked| !asked.given.is_empty());
            runs && slurm.node_of(&identity::host()).is_some()
        };
        return Ok(match job.filter(runs_here) {
            Some(slurm) => this_machine.within(slurm),
            None => this_machine,
        });
    }
    let slurm = match (&options.jobid, rank) {
        (Some(job), _) => Some(scontrol::job_from_outside(job)?),
        // They know their number, and all of them would ask.
        (None, Some(_)) => Slurm::read(environment)?,
        (None, None) => scontrol::job(environment)?,
    };
    let Some(slurm) = slurm else {
        return Ok(this_machine);
    };
    let host = identity::host();
    if !slurm.from_outside && slurm.node_of(&host).is_none() {
        let mut failure = Failure::usage(format!(
            "{host} is not a node of job {}: its nodes are {}",
            slurm.job,
            slurm.nodes.join(", ")
        ));
        // In a step, what --detach leaves behind would be killed; and a cell cannot type there.
        if !options.detached {
            failure = failure.hint(format!(
                "salloc leaves the shell on the login node here; type: {}",
                inside_the_job()
            ));
        }
        return Err(failure
            .hint(format!(
                "--jobid {} starts the engines in the job and everything else here",
                slurm.job
            ))
            .hint("--launcher local starts engines on this machine alone"));
    }
    let components = het::named(&options.srun_args, environment)?;
    let slurm = slurm.with_engines_in(components);
    let job = Allocation::of_job(slurm, this_machine.engines);
    Ok(match rank {
        Some(rank) => job.of_ranks(rank.size),
        None => job,
    })
}

/// The line that runs this very command on the job's first node.
fn inside_the_job() -> String {
    let words: Vec<String> = std::env::args()
        .map(|word| dry_run::quoted(&word))
        .collect();
    format!("srun --overlap --pty -N1 -n1 {}", words.join(" "))
}
