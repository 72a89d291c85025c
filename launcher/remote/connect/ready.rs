//! What people and programs need to use a job through a tunnel: what `--json` prints, and what the tunnel's marker keeps for others. PURE.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A job that can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The job.
    pub job: String,
    /// The node that its services run on.
    pub node: String,
    /// The name for `ipp.Client(profile=...)`.
    pub profile: String,
    /// The local client file; `None` where the job's own is at hand.
    pub client_file: Option<PathBuf>,
    /// Jupyter's page on the laptop; `None` without Jupyter.
    pub url: Option<String>,
    /// Jupyter's token.
    pub token: Option<String>,
    /// Jupyter's port on the laptop.
    pub port: Option<u16>,
    /// The ports of the client file on the laptop.
    pub client_ports: BTreeMap<String, u16>,
}
