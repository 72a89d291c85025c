//! `ipjob status`: how jobs are, as a table or as JSON, once or again and again.

use super::find::{Found, Search};
use super::job_state::State;
use super::jobs::{self, Job};
use super::target::{Target, place};
use crate::cli::jobs::StatusOptions;
use crate::failure::Outcome;
use crate::here::os::local_time;
use crate::here::os::text::printable;
use crate::plan::profile::ProfileName;
use crate::record::{AbsPath, Engine, OrNull, Text};
use crate::report::output;
use crate::report::table::{self, Cell};
use crate::report::timeline;
use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::thread;

/// Columns of a chart.
const CHART_COLUMNS: usize = 80;

/// So many engines are shown with what they are bound to.
const MOST_BOUND: usize = 32;

/// Shows the jobs.
pub fn run(options: &StatusOptions) -> Outcome<u8> {
    let target = Target::read(options.target.as_deref().unwrap_or_default())?;
    let place = place(target.host.as_ref());
    let mut search = Search::begin(target.host.as_ref(), target.job.as_ref())?;
    let mut found = search.found()?;
    let mut before = None;
    loop {
        let jobs = jobs::chosen(&found, target.job.as_ref(), &place)?;
        let shown = show(options, &found, &jobs, target.job.is_some(), &place)?;
        // A terminal tells when it was looked last: what hangs on the way hides what has changed since. A log has a table for what is new, and
        // a program counts on a line for each look.
        match options.watch.filter(|_| !options.json) {
            Some(every) if output::data_is_watched() => {
                let clock = local_time::clock(Timestamp::now());
                let every = every.as_secs_f64();
                output::screen(&format!(
                    "{shown}\nas of {clock}, updated every {every} s\n"
                ))?;
            }
            _ if options.json || before.as_ref() != Some(&shown) => {
                output::data(&output::painted(&shown))?;
            }
            _ => {}
        }
        before = Some(shown);
        let over = jobs.iter().all(|job| job.state.is_over());
        let Some(every) = options.watch.filter(|_| !over || target.job.is_none()) else {
            return Ok(0);
        };
        thread::sleep(every);
        found = search.again()?;
    }
}

fn show(
    options: &StatusOptions,
    found: &Found,
    jobs: &[Job],
    one: bool,
    place: &str,
) -> Outcome<String> {
    let rows: Vec<Row> = jobs.iter().map(|job| Row::of(job, found.now)).collect();
    if options.json {
        let text = match options.watch {
            Some(_) => serde_json::to_string(&rows),
            None => serde_json::to_string_pretty(&rows),
        };
        let text = text.map_err(|error| output::cannot_print(&error.into()))?;
        return Ok(text + "\n");
    }
    if rows.is_empty() {
        return Ok(format!("no ipjob jobs found on {place}\n"));
    }
    let cells: Vec<[Cell; 10]> = rows.iter().map(Row::cells).collect();
    let headings = [
        "JOB", "NAME", "PROFILE", "STATE", "MODE", "NODES", "ENGINES", "LEFT", "WHERE", "NOTE",
    ];
    let mut text = table::text(headings, &cells);
    for row in rows.iter().filter(|_| one) {
        text += &row.details();
    }
    if options.timeline {
        text += &charts(jobs);
    }
    Ok(text)
}

/// The course of each start, under the job's name where there are several.
fn charts(jobs: &[Job]) -> String {
    let mut text = String::new();
    for job in jobs {
        let lines = job
            .record()
            .map(|record| timeline::chart(record, CHART_COLUMNS))
            .unwrap_or_default();
        text.push_str(&["\n", &job.name(), "\n"].concat());
        for line in lines {
            text += &line;
            text.push('\n');
        }
    }
    text
}

/// A job as it is shown. Field names are those of `--json`.
#[derive(Debug, Serialize)]
struct Row {
    job: Option<String>,
    cluster: Option<String>,
    profile: Option<ProfileName>,
    state: &'static str,
    note: Option<String>,
    mode: Option<String>,
    nodes: Option<usize>,
    engines: Option<Engines>,
    deadline: Option<String>,
    left_s: Option<i64>,
    host: Option<String>,
    record: Option<String>,
    log: Option<AbsPath>,
    restarts: BTreeMap<&'static str, u32>,
    warnings: Vec<String>,
    bound: Vec<Bound>,
    slurm: Option<Slurm>,
    #[serde(skip)]
    name: String,
    #[serde(skip)]
    style: Style,
}

#[derive(Debug, Serialize)]
struct Engines {
    registered: u32,
    expected: u32,
    /// Engines that others started.
    guests: u32,
}

impl fmt::Display for Engines {
    /// `4/4`, and with guests `4/4+2`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.registered, self.expected)?;
        match self.guests {
            0 => Ok(()),
            guests => write!(out, "+{guests}"),
        }
    }
}

/// An engine that ipjob has bound to GPUs or CPUs.
#[derive(Debug, Serialize)]
struct Bound {
    engine: u32,
    node: String,
    gpus: Option<String>,
    cpus: Option<String>,
    /// Whether it sees these and no others; null before it has told.
    confirmed: Option<bool>,
}

impl Bound {
    fn of(engine: &Engine) -> Option<Self> {
        let text = |told: &OrNull<Text>| told.as_ref().map(Text::to_string);
        let (gpus, cpus) = (text(&engine.gpus), text(&engine.cpus));
        (gpus.is_some() || cpus.is_some()).then(|| Self {
            engine: engine.id,
            node: engine.node.to_string(),
            gpus,
            cpus,
            confirmed: *engine.confirmed,
        })
    }

    /// `bound    engine 3 on node1: CUDA_VISIBLE_DEVICES=1, CPUs 8-15`
    fn line(&self) -> String {
        let cpus = self.cpus.as_ref().map(|cpus| format!("CPUs {cpus}"));
        let all: Vec<String> = self.gpus.iter().cloned().chain(cpus).collect();
        let told = match self.confirmed {
            Some(true) => "",
            Some(false) => " (it sees others)",
            None => " (not confirmed)",
        };
        format!(
            "bound    engine {} on {}: {}{told}",
            self.engine,
            self.node,
            all.join(", ")
        )
    }
}

#[derive(Debug, Serialize)]
struct Slurm {
    id: String,
    name: String,
    state: String,
    reason: Option<String>,
    start: Option<String>,
}

impl Row {
    fn of(job: &Job, now: Timestamp) -> Self {
        let record = job.record();
        let line = job.line.as_ref();
        let nodes = record
            .map(|record| record.job.nodes.len())
            .filter(|nodes| *nodes > 0);
        let deadline = job.deadline();
        let waits = job.state == State::Pending;
        let host = record.and_then(|record| record.host.as_ref());
        let engines = record.and_then(|record| {
            let engines = &record.engines;
            let now = |count| if job.state.is_over() { 0 } else { count };
            Some(Engines {
                registered: now((*engines.registered)?),
                expected: (*engines.expected)?,
                // Records of earlier versions do not tell.
                guests: now(engines.guests.unwrap_or_default()),
            })
        });
        Self {
            name: job.name(),
            job: job.id.as_ref().map(|id| id.name().to_owned()),
            cluster: job.cluster.clone(),
            profile: job.profile.clone(),
            state: job.state.word(),
            note: job.note.clone(),
            mode: record.and_then(|record| Some(record.mode.as_ref()?.to_string())),
            nodes: nodes.or_else(|| {
                line?
                    .node_count
                    .and_then(|count| usize::try_from(count).ok())
            }),
            engines: engines.filter(|_| !waits),
            deadline: deadline.map(|time| time.to_string()),
            left_s: deadline.map(|time| time.duration_since(now).as_secs().max(0)),
            host: host
                .map(Text::to_string)
                .or_else(|| line?.nodes.clone())
                .filter(|_| !waits),
            record: job.trace.record_path.clone(),
            log: record.and_then(|record| (*record.log).clone()),
            restarts: record
                .map(|record| record.restarts.all().collect())
                .unwrap_or_default(),
            warnings: record
                .map(|record| record.warnings.iter().map(Text::to_string).collect())
                .unwrap_or_default(),
            bound: record
                .map(|record| record.engines.list.iter().filter_map(Bound::of).collect())
                .unwrap_or_default(),
            slurm: line.map(|line| Slurm {
                id: line.shown.clone(),
                name: line.name.clone(),
                state: line.state.clone(),
                reason: line.reason.clone(),
                start: line
                    .start
                    .and_then(|seconds| Timestamp::from_second(seconds).ok())
                    .map(|time| time.to_string()),
            }),
            style: style(job.state),
        }
    }

    fn cells(&self) -> [Cell; 10] {
        let or_dash = |text: Option<String>| Cell::from(text.unwrap_or_else(|| "-".to_owned()));
        let engines = self.engines.as_ref();
        [
            Cell::from(self.name.clone()),
            or_dash(self.slurm.as_ref().map(|slurm| slurm.name.clone())),
            or_dash(self.profile.as_ref().map(ProfileName::to_string)),
            Cell::styled(self.state, self.style),
            or_dash(self.mode.clone()),
            or_dash(self.nodes.map(|nodes| nodes.to_string())),
            or_dash(engines.map(Engines::to_string)),
            or_dash(self.left_s.map(clock)),
            or_dash(self.host.clone()),
            Cell::from(self.note.clone().unwrap_or_default()),
        ]
    }

    /// What does not fit into a line.
    fn details(&self) -> String {
        let mut lines = Vec::new();
        lines.extend(
            self.record
                .as_ref()
                .map(|record| format!("record   {record}")),
        );
        lines.extend(self.log.as_deref().map(|log| format!("log      {log}")));
        let restarts: Vec<String> = self
            .restarts
            .iter()
            .filter(|(_, times)| **times > 0)
            .map(|(service, times)| format!("{service} {times}"))
            .collect();
        if !restarts.is_empty() {
            lines.push(format!("restarts {}", restarts.join(", ")));
        }
        lines.extend(self.bound.iter().take(MOST_BOUND).map(Bound::line));
        if let Some(more) = self
            .bound
            .len()
            .checked_sub(MOST_BOUND)
            .filter(|more| *more > 0)
        {
            lines.push(format!("bound    {more} more, which the record has"));
        }
        lines.extend(
            self.warnings
                .iter()
                .map(|warning| format!("warning  {warning}")),
        );
        let printable: Vec<String> = lines.iter().map(|line| printable(line) + "\n").collect();
        printable.concat()
    }
}

fn style(state: State) -> Style {
    let color = match state {
        State::Ready => AnsiColor::Green,
        State::Pending | State::Starting | State::Stopping => AnsiColor::Cyan,
        State::Degraded | State::Unknown => AnsiColor::Yellow,
        State::Dead => AnsiColor::Red,
        State::Ended => return Style::new().dimmed(),
    };
    color.on_default()
}

/// Seconds as Slurm writes a time: `1-02:03:04`, `2:03:04`, `3:04`.
#[must_use]
pub fn clock(seconds: i64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (hours, minutes, seconds) = (rest / 3600, rest / 60 % 60, rest % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{seconds:02}"),
        (0, _) => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{days}-{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::clock;

    #[test]
    fn time_is_written_as_slurm_writes_it() {
        for (seconds, text) in [
            (0, "0:00"),
            (184, "3:04"),
            (7384, "2:03:04"),
            (93_784, "1-02:03:04"),
        ] {
            assert_eq!(clock(seconds), text);
        }
    }
}
