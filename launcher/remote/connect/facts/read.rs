//! What a record and a line of Slurm's queue mean for the machine.

use crate::plan::settings::Mode;
use crate::record::{PageUrl, Record, State};
use crate::remote::connect::endpoints::{ClientFile, Page, Reach};
use crate::remote::connect::event::{Phase, Queued, Seen};
use crate::remote::queue;
use crate::remote::target;
use jiff::Timestamp;

/// What a line of the queue means for a job that is waited for.
#[must_use]
pub fn in_queue(line: &queue::Line) -> Queued {
    let reason = line
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(" ({reason})"));
    match line.phase() {
        queue::Phase::Over => Queued::Gone(Some(line.state.clone())),
        queue::Phase::Waiting => {
            let start = line
                .start
                .and_then(|start| Timestamp::from_second(start).ok())
                .map_or_else(String::new, |start| {
                    format!(
                        ", expected to start {}",
                        start.strftime("%Y-%m-%d %H:%M UTC")
                    )
                });
            Queued::Waiting(format!(
                "the job is {}{reason}{start}",
                line.state.to_lowercase()
            ))
        }
        queue::Phase::Running => match line.state.as_str() {
            "COMPLETING" => Queued::Completing,
            "RUNNING" => Queued::Running(line.start.unwrap_or(0)),
            other => Queued::Waiting(format!("the job is {}{reason}", other.to_lowercase())),
        },
    }
}

/// What a record tells; or what is wrong with one that should be usable.
pub fn seen(record: &Record, client: Option<&str>) -> Result<Seen, String> {
    let phase = match *record.state {
        Some(State::Starting) => Phase::Starting,
        Some(State::Ready | State::Degraded) => Phase::Ready,
        Some(State::Stopping) => Phase::Stopping,
        Some(State::Ended) => Phase::Ended,
        None => return Err("it has no state".to_owned()),
    };
    let reach = match (phase, client) {
        (Phase::Ready, Some(client)) => Some(reach(record, client)?),
        _ => None,
    };
    let count = |number: Option<u32>| number.map_or("?".to_owned(), |number| number.to_string());
    let mut progress = format!(
        "engines {}/{}",
        count(*record.engines.registered),
        count(*record.engines.expected)
    );
    if let Some(moment) = record.timeline.last() {
        progress = format!("{progress}, {}", moment.event);
    }
    Ok(Seen {
        life: record
            .incarnation
            .id
            .as_deref()
            .unwrap_or_default()
            .to_owned(),
        phase,
        progress,
        reason: record.reason.as_deref().map(str::to_owned),
        exit: *record.exit,
        updated: record.updated.map_or(0, |updated| updated.0.as_second()),
        scheduled: record.job.id.is_some(),
        reach,
    })
}

fn reach(record: &Record, client: &str) -> Result<Reach, String> {
    let node = record.host.as_deref().filter(|host| target::is_plain(host));
    let node = node.ok_or("it does not name its host")?.to_owned();
    let ip = record.ip.map(|ip| ip.0);
    let client = ClientFile::read(client, ip)?;
    let page = if *record.mode == Some(Mode::ClusterOnly) {
        None
    } else {
        let page = record.url.as_ref().map(PageUrl::path);
        let (Some(ip), Some(port), Some(page), Some(token)) =
            (ip, *record.port, page, record.token.as_deref())
        else {
            return Err(format!(
                "it does not say where Jupyter is ({})",
                if record.faults.is_empty() {
                    "fields are missing".to_owned()
                } else {
                    format!("strange: {}", record.faults.join(", "))
                }
            ));
        };
        Some(Page::new(ip, port.get(), page, token)?)
    };
    Ok(Reach { node, page, client })
}
