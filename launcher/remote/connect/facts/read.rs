//! What a record and a line of Slurm's queue mean for the machine.

use crate::remote::connect::endpoints::{ClientFile, Page, Reach};
use crate::remote::connect::event::{Phase, Queued, Seen};
use crate::remote::queue;
use crate::remote::sight::Sight;
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
pub fn seen(sight: &Sight, client: Option<&str>) -> Result<Seen, String> {
    let phase = match sight.state.as_deref() {
        Some("starting") => Phase::Starting,
        Some("ready" | "degraded") => Phase::Ready,
        Some("stopping") => Phase::Stopping,
        Some("ended") => Phase::Ended,
        _ => return Err("it has no state".to_owned()),
    };
    let reach = match (phase, client) {
        (Phase::Ready, Some(client)) => Some(reach(sight, client)?),
        _ => None,
    };
    let count = |number: Option<u32>| number.map_or("?".to_owned(), |number| number.to_string());
    let mut progress = format!(
        "engines {}/{}",
        count(sight.registered),
        count(sight.expected)
    );
    if let Some((_, event)) = sight.timeline.last() {
        progress = format!("{progress}, {event}");
    }
    Ok(Seen {
        life: sight.incarnation.clone().unwrap_or_default(),
        phase,
        progress,
        reason: sight.reason.clone(),
        exit: sight.exit,
        updated: sight.updated.map_or(0, Timestamp::as_second),
        scheduled: sight.job.is_some(),
        reach,
    })
}

fn reach(sight: &Sight, client: &str) -> Result<Reach, String> {
    let node = sight
        .host
        .clone()
        .filter(|host| target::is_plain(host))
        .ok_or("it does not tell its host")?;
    let client = ClientFile::read(client, sight.ip)?;
    let page = if sight.mode.as_deref() == Some("cluster-only") {
        None
    } else {
        let (Some(ip), Some(port), Some(page), Some(token)) =
            (sight.ip, sight.port, &sight.page, &sight.token)
        else {
            return Err(format!(
                "it does not tell where Jupyter is ({})",
                if sight.faults.is_empty() {
                    "fields are missing".to_owned()
                } else {
                    format!("strange: {}", sight.faults.join(", "))
                }
            ));
        };
        Some(Page::new(ip, port, page, token)?)
    };
    Ok(Reach { node, page, client })
}
