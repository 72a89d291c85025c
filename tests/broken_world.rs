//! Does ipjob tell what is wrong, once and with the way out, when its options or the world are broken, and leave nothing?

mod controller;
mod directories;
mod engines;
mod environment;
mod jupyter;
mod leftovers;
mod neighbours;
mod options;
mod programs;
mod signals;

use crate::support::{Job, Place};

/// A cluster of two engines without Jupyter.
const CLUSTER: &[&str] = &["--mode", "cluster-only", "-n", "2"];

/// A notebook with one engine.
const NOTEBOOK: &[&str] = &["--mode", "notebook", "-n", "1"];

/// A limit for a start that does not come: long enough for the fakes to have done all that they do.
const LIMIT: &str = "5s";

/// Starts ipjob with these variables besides the place's own.
fn start(place: &Place, variables: &[(&str, &str)], args: &[&[&str]]) -> Job {
    let mut command = place.ipjob(args.concat());
    command.envs(variables.iter().copied());
    Job::spawn(place, "job_local", command)
}
