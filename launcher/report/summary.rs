//! What a person needs next, once the job is ready.

use crate::plan::Plan;
use crate::plan::connection;
use crate::plan::profile::ProfileName;
use crate::plan::settings::Mode;
use crate::record::Record;
use std::fmt::Write;

/// The lines below `ready`; `client_file` is the clients' connection file, and `login` the host by which a
/// laptop comes in. Jupyter's token and path are shown only to a person at a terminal: a job's log may be read by others.
#[must_use]
pub fn lines(
    plan: &Plan,
    record: &Record,
    client_file: &str,
    terminal: bool,
    login: Option<&str>,
) -> Vec<String> {
    let mut lines = Vec::new();
    let record_path = plan.profile.record();
    if let (Mode::Notebook, Some(url)) = (plan.settings.mode, record.url.as_ref()) {
        if terminal {
            lines.push(format!("jupyter  {url}"));
        } else {
            let place = url.split("?token=").next().unwrap_or_default();
            let (shown, what) = match place.split_once(&plan.secrets.path) {
                Some((server, _)) => (server, "its path and the token are"),
                None => (place, "the token is"),
            };
            lines.push(format!("jupyter  {shown}"));
            lines.push(format!(
                "         {what} in {} (\"token\"; \"url\" is the whole address)",
                record_path.display()
            ));
        }
    }
    let [import, client] = python(&plan.profile.name);
    lines.push(format!("python   {import}"));
    lines.push(format!("         {client}"));
    if !plan.in_hub {
        lines.extend(laptop(plan, record, client_file, login));
    }
    lines.push(format!("record   {}", record_path.display()));
    lines.push(format!("logs     {}", plan.profile.log_dir().display()));
    lines
}

/// What a Python program needs to reach the engines.
#[must_use]
pub fn python(profile: &ProfileName) -> [String; 2] {
    [
        "import ipyparallel as ipp".to_owned(),
        format!("rc = ipp.Client(profile={:?})", profile.as_str()),
    ]
}

/// How a laptop gets to a job's services: by ipjob there, or by one ssh with every port in it.
fn laptop(plan: &Plan, record: &Record, client_file: &str, login: Option<&str>) -> Vec<String> {
    let Some(slurm) = &plan.allocation.slurm else {
        return Vec::new();
    };
    let jupyter = record.ip.zip(*record.port);
    let jupyter = jupyter.map(|(ip, port)| (ip.0.to_string(), port.get()));
    let hub = connection::for_clients(client_file).unwrap_or_default();
    let ports = hub.1.into_iter().map(|port| (hub.0.clone(), port));
    let all: Vec<(String, u16)> = jupyter.into_iter().chain(ports).collect();
    let forwards: String = all.iter().fold(String::new(), |mut text, (ip, port)| {
        let _ = write!(text, " -L {port}:{ip}:{port}");
        text
    });
    let node = slurm.submit_host.as_deref().filter(|_| login.is_none());
    let login = login.unwrap_or("LOGIN");
    // What listens on the node's loopback address is reached from the node itself.
    let end = if all.iter().any(|(ip, _)| ip.starts_with("127.")) {
        format!("-J {login} {}", plan.incarnation.host)
    } else {
        login.to_owned()
    };
    let mut lines = vec![
        format!("laptop   ipjob connect {login}:{}", slurm.job.name()),
        format!("         without ipjob there: ssh -N{forwards} {end}"),
    ];
    if let Some(node) = node {
        lines.push(format!(
            "         replace LOGIN with a login node: {node}, where the job was submitted, is a node of this Slurm"
        ));
    }
    lines
}
