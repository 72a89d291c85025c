//! `ipjob template`: the batch scripts of sbatch/, filled in.

use super::print;
use crate::failure::Outcome;
use crate::plan::settings::Mode;
use crate::plan::template::{self, Filling};
use clap::Args;

/// What the script is filled in with.
#[derive(Args, Debug)]
pub struct TemplateOptions {
    /// What the job is for.
    #[arg(value_enum, value_name = "MODE")]
    mode: Mode,

    /// Nodes of the job [default: 2].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    nodes: Option<u32>,

    /// Tasks on each node, of which each becomes an engine [default: 4].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    ntasks_per_node: Option<u32>,

    /// The time limit as Slurm writes it: minutes, HOURS:MINUTES:SECONDS, DAYS-HOURS [default: 01:00:00].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    time: Option<String>,

    /// The account (project) that pays.
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,

    /// The partition.
    #[arg(long, value_name = "PARTITION")]
    partition: Option<String>,

    /// Features that the nodes must have.
    #[arg(long, value_name = "FEATURES")]
    constraint: Option<String>,

    /// Other resources of each node, such as gpu:4.
    #[arg(long, value_name = "GRES")]
    gres: Option<String>,

    /// Let the job survive the death of a node, so that engines without MPI go on on the others.
    #[arg(long)]
    no_kill: bool,
}

/// Prints the script.
pub fn print_template(options: &TemplateOptions) -> Outcome<u8> {
    let filling = Filling {
        nodes: options.nodes,
        ntasks_per_node: options.ntasks_per_node,
        time: options.time.clone(),
        account: options.account.clone(),
        partition: options.partition.clone(),
        constraint: options.constraint.clone(),
        gres: options.gres.clone(),
        no_kill: options.no_kill,
    };
    print(template::fill(options.mode, &filling)?.as_bytes())
}
