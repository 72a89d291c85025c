//! What people and programs are told once the tunnel can be used.

use super::endpoints::{Page, Reach};
use super::ports::LocalPorts;
use super::profile::MARKER;
use crate::cli::connect::ConnectOptions;
use crate::failure::Outcome;
use crate::report::console::Console;
use crate::report::output;
use std::path::PathBuf;

/// What there is to tell.
pub struct Ready<'a> {
    /// The job.
    pub job: &'a str,
    /// The name for `ipp.Client(profile=...)`.
    pub profile: &'a str,
    /// The local client file; `None` where the job's own is at hand.
    pub client_file: Option<PathBuf>,
    /// The job's side.
    pub reach: &'a Reach,
    /// The laptop's.
    pub ports: &'a LocalPorts,
    /// Whether an earlier life of the job was announced.
    pub again: bool,
}

/// Jupyter's page as a browser here opens it.
#[must_use]
pub fn url(page: &Page, ports: &LocalPorts) -> String {
    let place = match ports.of(&page.endpoint) {
        // By its number: of a name a browser may ask [::1] first.
        Some(local) => format!("127.0.0.1:{local}"),
        None => format!("{}:{}", page.endpoint.address, page.endpoint.port),
    };
    format!("http://{place}{}?token={}", page.path, page.token)
}

/// Tells it in the form that was asked for.
pub fn tell(ready: &Ready, options: &ConnectOptions, console: &Console) -> Outcome<()> {
    if (options.json || options.print) && !output::data_is_private() {
        console.warning(
            "stdout is a file that others can read, and Jupyter's token is written to it: set `umask 077` before you create it",
        );
    }
    if options.json {
        return output::data(format!("{}\n", json(ready)).as_bytes());
    }
    let url = ready.reach.page.as_ref().map(|page| url(page, ready.ports));
    let python = [
        "import ipyparallel as ipp".to_owned(),
        format!("rc = ipp.Client(profile={:?})", ready.profile),
    ];
    if options.print {
        let lines: Vec<String> = url.into_iter().chain(python).collect();
        return output::data(format!("{}\n", lines.join("\n")).as_bytes());
    }
    let restarted = if ready.again {
        ", restarted: engines are empty and the token is new"
    } else {
        ""
    };
    console.step(&format!(
        "ready: job {}, profile {}{restarted}",
        ready.job, ready.profile
    ));
    let mut below = url.map_or_else(Vec::new, |url| jupyter(ready, &url));
    for (head, line) in ["python   ", "         "].into_iter().zip(python) {
        below.push(format!("{head}{line}"));
    }
    if ready.client_file.is_some() {
        below.push("Ctrl-C ends the tunnel; the job keeps running".to_owned());
    }
    console.below(&below);
    Ok(())
}

/// Jupyter's address; its secret parts only where nobody else reads them.
fn jupyter(ready: &Ready, url: &str) -> Vec<String> {
    if output::words_are_private() {
        return vec![format!("jupyter  {url}")];
    }
    let server = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let place = ready
        .client_file
        .as_ref()
        .and_then(|file| Some(file.parent()?.parent()?.join(MARKER)));
    let place = place.map_or_else(
        || "the job's record".to_owned(),
        |path| path.display().to_string(),
    );
    vec![
        format!("jupyter  {server}"),
        "         others can read the file that this is written to, so its path and the token"
            .to_owned(),
        format!("         are only in {place} (\"url\")"),
    ]
}

/// The same for programs: one object on one line.
fn json(ready: &Ready) -> serde_json::Value {
    let page = ready.reach.page.as_ref();
    let client = &ready.reach.client;
    let local = |address, port: u16| {
        ready
            .ports
            .of(&super::endpoints::Endpoint { address, port })
            .unwrap_or(port)
    };
    let ports: serde_json::Map<String, serde_json::Value> = client
        .ports
        .iter()
        .map(|(name, port)| (name.clone(), local(client.address, *port).into()))
        .collect();
    serde_json::json!({
        "job": ready.job,
        "node": ready.reach.node,
        "profile": ready.profile,
        "client_file": ready.client_file,
        "url": page.map(|page| url(page, ready.ports)),
        "token": page.map(|page| &page.token),
        "port": page.map(|page| local(page.endpoint.address, page.endpoint.port)),
        "client_ports": ports,
    })
}
