//! What stands in ipcontroller's own configuration files about ports and connection files.

use crate::plan::settings::Settings;
use crate::plan::wiring;
use std::fs;
use std::path::{Path, PathBuf};

/// The first setting that shapes the wiring, with its file: `IPController.engine_ports in /home/me/.../ipcontroller_config.py`.
#[must_use]
pub fn shaping(settings: &Settings, ipcontroller: &Path) -> Option<String> {
    let profile = settings
        .ipython_dir
        .join(format!("profile_{}", settings.profile));
    // application.py of IPython: the profile's own, that of the environment's prefix, the system's.
    let prefix = fs::canonicalize(ipcontroller)
        .ok()
        .and_then(|program| Some(program.parent()?.parent()?.join("etc/ipython")));
    let directories = [
        Some(profile),
        prefix,
        Some(PathBuf::from("/usr/local/etc/ipython")),
        Some(PathBuf::from("/etc/ipython")),
    ];
    directories.into_iter().flatten().find_map(|directory| {
        of_file(
            &directory.join("ipcontroller_config.py"),
            wiring::shaping_setting,
        )
        .or_else(|| {
            of_file(
                &directory.join("ipcontroller_config.json"),
                wiring::shaping_json,
            )
        })
    })
}

fn of_file(path: &Path, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    let setting = read(&fs::read_to_string(path).ok()?)?;
    Some(format!("{setting} in {}", path.display()))
}
