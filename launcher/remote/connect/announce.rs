//! What people and programs are told once the tunnel can be used, and the page that is opened for them.

use super::endpoints::{Page, Reach};
use super::notice::Notice;
use super::ports::LocalPorts;
use super::profile::MARKER;
use crate::cli::connect::ConnectOptions;
use crate::failure::{Failure, Outcome};
use crate::here::os::files;
use crate::report::console::Console;
use crate::report::output;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

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

/// The programs that open a page in whatever browser the user has.
const OPENERS: &[&str] = if cfg!(target_os = "macos") {
    &["open"]
} else {
    &["xdg-open", "wslview", "sensible-browser"]
};

/// How long a browser may take to begin.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens a page by way of a file that leads there: the address has the token in it, and a browser's command line, which everybody
/// on the machine can read, stays as long as the browser. Tells whether that was begun.
pub fn open(url: &str, file: &Path, console: &Console) -> Outcome<bool> {
    files::private_file(file, leading_to(url).as_bytes()).map_err(|error| {
        Failure::missing(format!("{} cannot be written", file.display())).because(error)
    })?;
    // Like every child it is reaped in here::os::signals.
    let opened = OPENERS.iter().any(|opener| {
        which::which(opener).is_ok_and(|program| {
            Command::new(program)
                .arg(format!("file://{}", file.display()))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .is_ok()
        })
    });
    if !opened {
        console.warning(&format!(
            "no browser is opened: none of {} is on PATH; open the address yourself",
            OPENERS.join(", ")
        ));
    }
    Ok(opened)
}

/// Gives the browser time to read the page, where nothing else keeps us: on the login node itself. A signal asks for the end at once.
pub async fn wait_until_read(notices: &mut UnboundedReceiver<Notice>) {
    let asked = async { while !matches!(notices.recv().await, Some(Notice::Stop(_)) | None) {} };
    let _ = timeout(PATIENCE, asked).await;
}

/// A page that leads to another, whose address is plain (`reach::Page`).
fn leading_to(url: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"refresh\" content=\"0; url={url}\">\n<title>Jupyter</title>\n\
         <p><a href=\"{url}\">Jupyter</a></p>\n"
    )
}
