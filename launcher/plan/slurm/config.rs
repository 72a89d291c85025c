//! Slurm's configuration as `scontrol show config` prints it. PURE.

use core::time::Duration;

/// The versions of Slurm on which ipjob is tested.
pub const TRIED: [&str; 3] = ["22.05", "24.11", "26.05"];

/// What the site has configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    lines: Vec<(String, String)>,
}

impl Config {
    /// Reads its lines, `KillWait                = 30 sec`; `None` for what is no configuration.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let line = |line: &str| {
            let (name, value) = line.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        };
        let lines: Vec<_> = text.lines().filter_map(line).collect();
        (!lines.is_empty()).then_some(Self { lines })
    }

    /// All lines, as names and values.
    pub fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.lines.iter();
        lines.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What is configured by this name; `None` where that is nothing, in the words of any version: `none`, `(null)`,
    /// `(null type)`, `job_container/none`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.lines().find(|(found, _)| *found == name)?;
        let is_none = value.rsplit('/').next() == Some("none");
        (!is_none && !value.is_empty() && !value.starts_with("(null")).then_some(value)
    }

    /// Whether a list of words has this one: `enable_stepmgr` in `SlurmctldParameters`.
    #[must_use]
    pub fn has(&self, name: &str, word: &str) -> bool {
        let list = self.get(name).unwrap_or_default();
        list.split(',')
            .any(|found| found.eq_ignore_ascii_case(word))
    }

    /// How long Slurm waits between its signal to a job that it ends and the kill.
    #[must_use]
    pub fn kill_wait(&self) -> Option<Duration> {
        let seconds = self.get("KillWait")?.split(' ').next()?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    }

    /// Slurm's version, `24.11.5`, and which of those that ipjob was tried with it is.
    #[must_use]
    pub fn version(&self) -> Option<(&str, Option<&'static str>)> {
        let version = self.get("SLURM_VERSION")?;
        let is_it = |tried: &&&str| {
            let rest = version.strip_prefix(**tried);
            rest.is_some_and(|rest| !rest.starts_with(|char: char| char.is_ascii_digit()))
        };
        Some((version, TRIED.iter().find(is_it).copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_read_in_the_form_of_each_version() {
        let of_22 = "Configuration data as of 2026-11-27T05:03:12\nJobContainerType        = job_container/none\nKillOnBadExit           = 0\nKillWait                = 30 sec\nMpiDefault              = none\nSLURM_VERSION           = 22.05.8\nSlurmctldParameters     = (null)\n\nCgroup Support Configuration:\nConstrainRAMSpace       = no\n";
        let config = Config::read(of_22).expect("a configuration");
        assert_eq!(config.kill_wait(), Some(Duration::from_secs(30)));
        for name in [
            "MpiDefault",
            "JobContainerType",
            "SlurmctldParameters",
            "NamespaceType",
        ] {
            assert_eq!(config.get(name), None, "{name}");
        }
        assert_eq!(config.get("ConstrainRAMSpace"), Some("no"));
        assert_eq!(config.version(), Some(("22.05.8", Some("22.05"))));

        let of_26 = "KillWait                = 5 sec\nMpiDefault              = (null)\nNamespaceType           = namespace/linux\nSLURM_VERSION           = 26.05.5\nSlurmctldParameters     = enable_configless,enable_stepmgr\n";
        let config = Config::read(of_26).expect("a configuration");
        assert_eq!(config.get("MpiDefault"), None);
        assert_eq!(config.get("NamespaceType"), Some("namespace/linux"));
        assert!(config.has("SlurmctldParameters", "enable_stepmgr"));
        assert!(!config.has("SlurmctldParameters", "enable"));
        assert_eq!(config.version(), Some(("26.05.5", Some("26.05"))));
        for (version, tried) in [
            ("22.050.1", None),
            ("25.11.0-rc1", None),
            ("24.11-pre", Some("24.11")),
        ] {
            let config = Config::read(&format!("SLURM_VERSION = {version}"));
            assert_eq!(config.expect("a line").version(), Some((version, tried)));
        }
    }

    #[test]
    fn the_versions_that_ipjob_was_tried_with_are_those_of_its_tests() {
        let list = include_str!("../../../tests/lab/slurm-versions");
        let versions: Vec<&str> = list
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_ascii_whitespace().next())
            .collect();
        assert_eq!(TRIED[..], versions);
    }

    #[test]
    fn what_is_no_configuration_tells_nothing() {
        assert_eq!(
            Config::read("slurm_load_ctl_conf error: Unable to contact slurm controller"),
            None
        );
        let config = Config::read("KillWait = soon").expect("a line");
        assert_eq!((config.kill_wait(), config.version()), (None, None));
    }
}
