//! Whether the host that the job was submitted on is a way in for a laptop. A terminal in an earlier job is on a compute node.

use super::notice::{Notice, Sender};
use super::{file_thread, query};
use crate::here::site::programs;
use crate::plan::slurm::{Slurm, short};
use std::time::Duration;

/// Asks Slurm whether the host is one of its nodes, unless it is one of the job's own: a notice tells if it is.
pub fn look(slurm: &Slurm, sender: Sender) {
    let Some(host) = slurm.submit_host.clone() else {
        return;
    };
    if slurm.node_named(&host).is_some() {
        let _ = sender.send(Notice::SubmittedOnNode);
        return;
    }
    // PATH may have places that do not answer.
    file_thread::spawn(async move {
        let Ok(scontrol) = programs::find("scontrol", "Slurm's client programs") else {
            return;
        };
        // Slurm's name of a node is the host's without its domain, where the site has not given it another.
        let args = ["--oneliner", "show", "node", short(&host)].map(str::to_owned);
        let limit = Duration::from_secs(60);
        let told = query::output(scontrol, args.to_vec(), Vec::new(), limit).await;
        if told.is_some_and(|text| text.starts_with("NodeName=")) {
            let _ = sender.send(Notice::SubmittedOnNode);
        }
    });
}
