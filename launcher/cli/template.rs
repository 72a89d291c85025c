//! `ipjob template`: the batch scripts of sbatch/, filled in.

use super::print;
use crate::failure::{Failure, Outcome};
use crate::plan::ood;
use crate::plan::settings::Mode;
use crate::plan::template::{self, Filling};
use clap::{Args, ValueEnum};

/// What can be printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Template {
    /// A batch script with controller, engines and Jupyter
    Notebook,
    /// A batch script with controller and engines
    ClusterOnly,
    /// An app for Open OnDemand, as a shell script that writes its files: `ipjob template ood | sh -s DIRECTORY`
    Ood,
}

/// What is printed.
#[derive(Args, Debug)]
pub struct TemplateOptions {
    /// What to print.
    #[arg(value_enum, value_name = "MODE")]
    template: Template,

    #[command(flatten)]
    filling: FillingOptions,
}

/// What the script is filled in with.
#[derive(Args, Debug)]
pub struct FillingOptions {
    /// Number of nodes [default: 2].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    nodes: Option<u32>,

    /// Tasks per node; each becomes an engine [default: 4].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    ntasks_per_node: Option<u32>,

    /// Time limit in Slurm's format: minutes, HOURS:MINUTES:SECONDS, DAYS-HOURS [default: 01:00:00].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    time: Option<String>,

    /// Account (project) to charge.
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,

    /// Partition.
    #[arg(long, value_name = "PARTITION")]
    partition: Option<String>,

    /// Features that the nodes must have.
    #[arg(long, value_name = "FEATURES")]
    constraint: Option<String>,

    /// Generic resources on each node, such as gpu:4.
    #[arg(long, value_name = "GRES")]
    gres: Option<String>,

    /// Keep the job running when a node fails, so that engines without MPI continue on the other nodes.
    #[arg(long)]
    no_kill: bool,
}

impl FillingOptions {
    /// What was given of it.
    #[must_use]
    pub fn filling(&self) -> Filling {
        Filling {
            nodes: self.nodes,
            ntasks_per_node: self.ntasks_per_node,
            time: self.time.clone(),
            account: self.account.clone(),
            partition: self.partition.clone(),
            constraint: self.constraint.clone(),
            gres: self.gres.clone(),
            no_kill: self.no_kill,
        }
    }
}

/// Prints the script.
pub fn print_template(options: &TemplateOptions) -> Outcome<u8> {
    let filling = options.filling.filling();
    let mode = match options.template {
        Template::Notebook => Mode::Notebook,
        Template::ClusterOnly => Mode::ClusterOnly,
        Template::Ood if filling == Filling::default() => {
            return print(ood::script().as_bytes());
        }
        Template::Ood => {
            return Err(Failure::usage(
                "the template `ood` takes no options: its users fill in a form",
            )
            .hint("set the form's defaults in form.yml"));
        }
    };
    print(template::fill(mode, &filling)?.as_bytes())
}
