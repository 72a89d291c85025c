//! `ipjob doctor`: what would go wrong here, and what to do about it. It looks, tries in small steps, and changes nothing.
//!
//! docs/design/doctor.md explains the design.

mod facts;
mod finding;
mod jobs;
mod logs;
mod mpi;
mod nodes;
mod process;
mod report;
mod secrets;
mod site;
mod software;
mod step;

pub use nodes::probe;

use crate::cli::doctor::DoctorOptions;
use crate::failure::{Failure, Outcome};
use crate::here::site::{address, identity, scontrol};
use crate::plan::allocation::Allocation;
use crate::plan::slurm::Slurm;
use crate::report::output;
use crate::run;
use finding::{Finding, State};

/// Looks at everything, prints a line for each, and tells the exit code.
pub fn run(options: &DoctorOptions) -> Outcome<u8> {
    let environment = run::environment();
    let ipython_dir = options.ipython_dir()?;
    let to_stdout = options
        .report
        .as_deref()
        .is_some_and(|file| file.as_os_str() == report::STDOUT);
    let mut sheet = Sheet {
        is_shown: !to_stdout,
        ..Sheet::default()
    };
    let slurm = match scontrol::job(&environment) {
        Ok(slurm) => slurm,
        Err(failure) => {
            sheet.add(vec![Finding::problem(
                "job",
                failure.to_string(),
                failure.hints.join("; "),
            )]);
            None
        }
    };
    let host = identity::host();
    let here = slurm.filter(|slurm| slurm.node_of(&host).is_some());
    sheet.add(vec![job(here.as_ref(), &host)]);
    let mut found = Vec::new();
    let software = software::look(here.is_some(), &mut found);
    sheet.add(found);
    let config = software.slurm.then(scontrol::config).flatten();
    if software.slurm {
        let mut found = Vec::new();
        site::look(config.as_ref(), here.is_some(), &mut found);
        sheet.add(found);
    }
    let allocation = here.map_or_else(identity::this_machine, |slurm| {
        Allocation::of_job(slurm, identity::this_machine().engines)
    });
    let in_a_job = allocation.slurm.is_some();
    let mut found = Vec::new();
    process::open_files(allocation.engines, &mut found);
    if in_a_job {
        process::parent(&mut found);
        process::shares(&allocation, &environment, &mut found);
    } else {
        process::gpus(&allocation, &environment, &mut found);
    }
    sheet.add(found);
    let mut steps_work = false;
    if let (true, Some(srun)) = (in_a_job, &software.srun) {
        let mut found = Vec::new();
        steps_work = nodes::overlap(srun, &mut found);
        sheet.add(found);
        if steps_work {
            let mut found = Vec::new();
            let address = match &options.address {
                Some(text) => address::chosen(text, "--address"),
                None => run::own_address(&allocation, &environment),
            };
            nodes::look(srun, &allocation.nodes, address, &ipython_dir, &mut found);
            sheet.add(found);
        }
    }
    if let Some(ipengine) = &software.ipengine {
        let nodes = if steps_work {
            allocation.nodes.len()
        } else {
            0
        };
        let mut found = Vec::new();
        mpi::look(
            ipengine,
            software.srun.as_deref(),
            &options.mpi,
            nodes,
            &mut found,
        );
        sheet.add(found);
    }
    if let Some(file) = &options.report {
        let seen = report::Seen {
            sheet: &sheet.lines(),
            ipengine: software.ipengine.as_deref(),
            config: config.as_ref(),
            allocation: &allocation,
            environment: &environment,
            ipython_dir: &ipython_dir,
        };
        if let Some(path) = report::write(file, &seen)? {
            output::line(&format!(
                "report  {} (0600; read it before you send it: logs hold what your code printed)",
                path.display()
            ));
        }
    }
    Ok(if sheet.has_problem() {
        Failure::missing("").exit_code()
    } else {
        0
    })
}

/// The job that this is on a node of.
fn job(here: Option<&Slurm>, host: &str) -> Finding {
    match here {
        Some(slurm) => {
            let nodes = slurm.nodes.join(", ");
            Finding::ok("job", format!("{} on {nodes} (this is {host})", slurm.job))
        }
        None => Finding::note("job", format!("{host} is not a node of one of your Slurm jobs"))
            .advise("inside an allocation the doctor also tries steps, MPI, addresses and the profile directory"),
    }
}

/// What was found, printed as it comes: some of it takes seconds.
#[derive(Default)]
struct Sheet {
    is_shown: bool,
    findings: Vec<Finding>,
}

impl Sheet {
    fn add(&mut self, findings: Vec<Finding>) {
        for finding in findings.iter().filter(|_| self.is_shown) {
            output::line(&finding.line());
        }
        self.findings.extend(findings);
    }

    fn lines(&self) -> Vec<String> {
        self.findings
            .iter()
            .map(|finding| anstream::adapter::strip_str(&finding.line()).to_string())
            .collect()
    }

    fn has_problem(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.state == State::Problem)
    }
}
