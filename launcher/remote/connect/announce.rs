//! What people and programs are told once the tunnel can be used, and the page that is opened for them.

use super::endpoints::{Endpoint, Page, Reach};
use super::notice::Notice;
use super::ports::LocalPorts;
use super::profile::MARKER;
use super::ready::Ready;
use crate::cli::connect::TunnelOptions;
use crate::failure::{Failure, Outcome};
use crate::here::os::files;
use crate::report::console::Console;
use crate::report::output;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

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

/// What there is to tell of a job that is reached by these ports, or directly.
#[must_use]
pub fn ready(
    job: &str,
    profile: &str,
    client_file: Option<PathBuf>,
    reach: &Reach,
    ports: &LocalPorts,
) -> Ready {
    let local = |address, port: u16| ports.of(&Endpoint { address, port }).unwrap_or(port);
    let page = reach.page.as_ref();
    let client = &reach.client;
    let named = client.ports.iter();
    Ready {
        job: job.to_owned(),
        node: reach.node.clone(),
        profile: profile.to_owned(),
        client_file,
        url: page.map(|page| url(page, ports)),
        token: page.map(|page| page.token.clone()),
        port: page.map(|page| local(page.endpoint.address, page.endpoint.port)),
        client_ports: named
            .map(|(name, port)| (name.clone(), local(client.address, *port)))
            .collect(),
    }
}

/// Tells it in the form that was asked for.
pub fn tell(ready: &Ready, how: How, options: &TunnelOptions, console: &Console) -> Outcome<()> {
    if (options.json || options.print) && !output::data_is_private() {
        console.warning(
            "stdout is a file that others can read, and Jupyter's token is written to it: set `umask 077` before you create it",
        );
    }
    if options.json {
        let text = serde_json::to_string(ready).unwrap_or_default();
        return output::data(format!("{text}\n").as_bytes());
    }
    let url = ready.url.clone();
    let python = [
        "import ipyparallel as ipp".to_owned(),
        format!("rc = ipp.Client(profile={:?})", ready.profile),
    ];
    if options.print {
        let lines: Vec<String> = url.into_iter().chain(python).collect();
        return output::data(format!("{}\n", lines.join("\n")).as_bytes());
    }
    let more = match how {
        How::First | How::Stays => "",
        How::Again => ", restarted: engines are empty and the token is new",
        How::Joined => ", connected already",
    };
    console.step(&format!(
        "ready: job {}, profile {}{more}",
        ready.job, ready.profile
    ));
    let mut below = url.map_or_else(Vec::new, |url| jupyter(ready, &url));
    for (head, line) in ["python   ", "         "].into_iter().zip(python) {
        below.push(format!("{head}{line}"));
    }
    if ready.client_file.is_some() {
        below.push(match how {
            How::First | How::Again => "Ctrl-C ends the tunnel; the job keeps running".to_owned(),
            How::Stays | How::Joined => format!(
                "`ipjob connect --disconnect {}` ends the tunnel; the job keeps running",
                ready.profile
            ),
        });
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

/// In which case it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// For the first time, at a terminal.
    First,
    /// An earlier life of the job was announced.
    Again,
    /// By a tunnel that stays in the background.
    Stays,
    /// Another connect has made the tunnel.
    Joined,
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
    files::replace(file, leading_to(url).as_bytes()).map_err(|error| {
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
