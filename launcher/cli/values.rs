//! Values of options, read from text.

use crate::plan::job;
use crate::plan::name::Name;
use crate::plan::profile::ProfileName;
use crate::plan::settings::{Frontend, Mpi, PortRange, Preload, Threads};
use jiff::SignedDuration;
use std::time::Duration;

/// The longest time that an option takes: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The shortest time without use after which a job may end: looks at it are a second apart.
const SHORTEST_IDLE: Duration = Duration::from_secs(2);

/// The most threads of an engine: more than any machine has CPUs, and less than any library refuses.
const MOST_THREADS: u32 = 65_536;

/// Ports that ipcontroller takes from its range (ipyparallel 7 to 9, without deeper broadcast schedulers).
const CONTROLLER_PORTS: u32 = 18;

/// `--start-timeout`: of one service, or of the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartLimit {
    /// The service; `None` for the whole.
    pub service: Option<Name>,
    /// The limit.
    pub time: Duration,
}

/// Reads `90`, `90s`, `1m 30s`, `2h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let parsed = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => text
            .parse::<SignedDuration>()
            .ok()
            .and_then(|time| Duration::try_from(time).ok())
            .ok_or("expected a time such as 90, 90s, 3m or 1h30m")?,
    };
    if parsed.is_zero() {
        return Err("expected a time longer than 0".to_owned());
    }
    if parsed > LONGEST {
        return Err("expected at most a year".to_owned());
    }
    Ok(parsed)
}

/// Reads `auto`, `off`, `numpy,scipy.linalg`.
pub fn preload(text: &str) -> Result<Preload, String> {
    let is_name = |name: &str| {
        let mut parts = name.split('.');
        parts.all(|part| {
            let begins = part.starts_with(|c: char| c.is_alphabetic() || c == '_');
            begins && part.chars().all(|c| c.is_alphanumeric() || c == '_')
        })
    };
    match text.trim() {
        "auto" => Ok(Preload::Auto),
        "off" => Ok(Preload::Modules(Vec::new())),
        text => {
            let modules: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
            match modules.iter().find(|name| !is_name(name)) {
                Some(name) => Err(format!(
                    "{name:?} is not the name of a module: expected `auto`, `off`, or names such as numpy,scipy.linalg"
                )),
                None => Ok(Preload::Modules(modules)),
            }
        }
    }
}

/// Reads a job as Slurm writes it.
pub fn job(text: &str) -> Result<String, String> {
    if job::is_number(text) || job::element(text).is_some() {
        return Ok(text.to_owned());
    }
    Err("expected a job such as 7 or 6_2".to_owned())
}

/// Reads a time without use: a shorter one could not be distinguished from the pauses of work.
pub fn idle(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|time| {
        if time < SHORTEST_IDLE {
            return Err("expected at least 2 s".to_owned());
        }
        Ok(time)
    })
}

/// Reads `3m` or `engines=3m`.
pub fn start_limit(text: &str) -> Result<StartLimit, String> {
    let Some((word, time)) = text.split_once('=') else {
        return Ok(StartLimit {
            service: None,
            time: duration(text)?,
        });
    };
    let service = Name::ALL
        .into_iter()
        .find(|name| name.word() == word.trim() && *name != Name::Driver)
        .ok_or_else(|| format!("{word:?} is not a service (controller, engines or jupyter)"))?;
    Ok(StartLimit {
        service: Some(service),
        time: duration(time)?,
    })
}

/// Reads `8000-9999`, or one port.
pub fn port_range(text: &str) -> Result<PortRange, String> {
    let port = |text: &str| {
        text.trim()
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("{:?} is not a port (1-65535)", text.trim()))
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(format!(
            "the range is reversed: did you mean {last}-{first}?"
        ));
    }
    Ok(PortRange { first, last })
}

/// Reads the controller's range of ports: a smaller one would make it take the rest at random, with a line in its log.
pub fn controller_ports(text: &str) -> Result<PortRange, String> {
    let range = port_range(text)?;
    let ports = u32::from(range.last - range.first) + 1;
    if ports < CONTROLLER_PORTS {
        return Err(format!(
            "the controller needs {CONTROLLER_PORTS} ports, but this range has {ports}"
        ));
    }
    Ok(range)
}

/// Reads a program of another machine: a plain path or name, as it goes to a shell there.
pub fn remote_program(text: &str) -> Result<String, String> {
    let plain = |char: char| char.is_ascii_alphanumeric() || "._@+-/".contains(char);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err("expected a path of letters, digits and ._@+-/".to_owned())
}

/// Reads the name of a node.
pub fn node(text: &str) -> Result<String, String> {
    let plain = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    if !text.is_empty() && !text.starts_with(['-', '.']) && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err("expected the name of a node".to_owned())
}

/// Reads the name of a profile.
pub fn profile_name(text: &str) -> Result<ProfileName, String> {
    ProfileName::new(text).map_err(|fault| format!("it {fault}"))
}

/// Reads a front end: one of three words, or a path.
pub fn frontend(text: &str) -> Result<Frontend, String> {
    match text {
        "lab" => Ok(Frontend::Lab),
        "notebook" => Ok(Frontend::Notebook),
        "server" => Ok(Frontend::Server),
        path if path.contains('/') => std::path::absolute(path)
            .map(Frontend::Program)
            .map_err(|error| error.to_string()),
        _ => Err("expected lab, notebook, server, or the path of a program".to_owned()),
    }
}

/// Reads `auto`, `none`, or a type of `srun --mpi`.
pub fn mpi(text: &str) -> Result<Mpi, String> {
    match text {
        "auto" => Ok(Mpi::Auto),
        "none" => Ok(Mpi::Off),
        name if !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) =>
        {
            Ok(Mpi::Type(name.to_owned()))
        }
        _ => Err("expected auto, none, or a type of `srun --mpi=list`".to_owned()),
    }
}

/// Reads `auto`, `off`, or a number of threads.
pub fn threads(text: &str) -> Result<Threads, String> {
    match text {
        "auto" => Ok(Threads::Auto),
        "off" => Ok(Threads::Off),
        _ => text
            .parse()
            .ok()
            .filter(|number| (1..=MOST_THREADS).contains(number))
            .map(Threads::Number)
            .ok_or_else(|| format!("expected auto, off, or a number from 1 to {MOST_THREADS}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("3m"), Ok(Duration::from_secs(180)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["", "0", "-5s", "soon", "99999999999999999999", "99999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(idle("2"), Ok(Duration::from_secs(2)));
        assert!(idle("1s").is_err());
    }

    #[test]
    fn limits_of_services_are_told_from_the_whole() {
        assert_eq!(start_limit("2m").map(|l| l.service), Ok(None));
        assert_eq!(
            start_limit("engines=2m").map(|l| l.service),
            Ok(Some(Name::Engines))
        );
        assert!(start_limit("engine=2m").is_err());
        assert!(start_limit("engines=").is_err());
    }

    #[test]
    fn ranges_are_checked() {
        assert_eq!(
            port_range("8000-9999"),
            Ok(PortRange {
                first: 8000,
                last: 9999
            })
        );
        assert_eq!(
            port_range("8000"),
            Ok(PortRange {
                first: 8000,
                last: 8000
            })
        );
        for wrong in ["9000-8000", "0-10", "70000", "a-b", "", "1-", "-1"] {
            assert!(port_range(wrong).is_err(), "{wrong}");
            assert!(controller_ports(wrong).is_err(), "{wrong}");
        }
        assert!(controller_ports("8000-8016").is_err());
        assert!(controller_ports("8000-8017").is_ok());
    }
}

#[cfg(test)]
mod fuzz {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_are_read_whatever_their_units(hours in 0..50_u64, minutes in 0..60_u64, seconds in 1..60_u64) {
            let time = Duration::from_secs(hours * 3600 + minutes * 60 + seconds);
            for text in [
                format!("{hours}h {minutes}m {seconds}s"),
                format!("{hours}h{minutes}m{seconds}s"),
                time.as_secs().to_string(),
                format!("{}s", time.as_secs()),
            ] {
                prop_assert_eq!(duration(&text), Ok(time), "{}", text);
            }
        }

        #[test]
        fn ranges_are_read_as_they_are_shown(first in 1..=u16::MAX, more in any::<u16>()) {
            let range = PortRange { first, last: first.saturating_add(more) };
            prop_assert_eq!(port_range(&range.to_string()), Ok(range));
        }

        #[test]
        fn no_word_is_taken_for_more_than_it_is(text in "\\PC{0,20}|[0-9hms .-]{0,12}|(engines|jupyter|driver)=[0-9a-z]{0,6}|[0-9-]{0,12}") {
            if let Ok(time) = duration(&text) {
                prop_assert!(!time.is_zero() && time <= LONGEST);
            }
            if let Ok(limit) = start_limit(&text) {
                prop_assert!(limit.time <= LONGEST && limit.service != Some(Name::Driver));
            }
            if let Ok(range) = port_range(&text) {
                prop_assert!(range.first > 0 && range.first <= range.last);
            }
            if let Ok(Mpi::Type(name)) = mpi(&text) {
                prop_assert!(!name.contains(char::is_whitespace));
            }
        }
    }
}
