//! The user's browser.

use crate::report::console::Console;
use std::process::{Command, Stdio};

/// The programs that open a page in whatever browser the user has.
const OPENERS: &[&str] = if cfg!(target_os = "macos") {
    &["open"]
} else {
    &["xdg-open", "wslview", "sensible-browser"]
};

/// Opens a page. The token in it is on a command line for a moment; whoever minds leaves --open out.
pub fn open(url: &str, console: &Console) {
    // Like every child it is reaped in supervisor::signals.
    let opened = OPENERS.iter().any(|opener| {
        which::which(opener).is_ok_and(|program| {
            Command::new(program)
                .arg(url)
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
}
