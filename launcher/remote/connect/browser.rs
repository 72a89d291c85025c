//! The user's browser.

use super::notice::Notice;
use crate::failure::{Failure, Outcome};
use crate::here::os::files;
use crate::report::console::Console;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

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
