//! What the engines' step tells in its log: each task who it is and which MPI world it sees, srun how tasks ended.

use super::{CALM_PAUSE, PAUSE};
use crate::here::log::Log;
use crate::here::programs;
use crate::plan::report::{Line, read};
use crate::supervisor::event::Event;
use crate::supervisor::notice::{Notice, Sender};
use crate::supervisor::query;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long srun's own words are kept back: they overtake the last lines of the very task that they are about, which come
/// from its node by way of srun's other streams.
const OVERTAKING: Duration = Duration::from_millis(300);

/// How long squeue may take to tell what holds the nodes.
const ANSWER: Duration = Duration::from_secs(20);

/// Follows the log as long as the job lives: often until so many tasks have reported (and one of its world, where there is
/// to be one) or `limit` is over, then calmly.
pub fn watch(
    log: Log,
    job: Option<String>,
    expected: u32,
    world: bool,
    limit: Duration,
    sender: Sender,
) {
    tokio::spawn(async move {
        let begin = Instant::now();
        let mut awaits_world = world;
        let mut seen = BTreeSet::new();
        let mut offset = 0;
        while !sender.is_closed() {
            let (lines, next) = log.lines_from(offset);
            offset = next;
            for line in lines.iter().filter_map(|line| read(line)) {
                let notice = match line {
                    Line::Task(report) => {
                        seen.insert(report.rank);
                        Notice::EngineReported(report)
                    }
                    Line::World(world) => {
                        awaits_world = false;
                        Notice::Event(Event::World(world))
                    }
                    Line::Srun(words) => {
                        sleep(OVERTAKING).await;
                        Notice::Event(Event::SrunSaid(words))
                    }
                    Line::Waits(text) => {
                        let why = format!("{text}{}", holders(job.as_deref()).await);
                        Notice::Event(Event::SrunWaits(why))
                    }
                };
                let _ = sender.send(notice);
            }
            let complete = seen.len() >= expected as usize && !awaits_world;
            let calm = complete || begin.elapsed() > limit;
            sleep(if calm { CALM_PAUSE } else { PAUSE }).await;
        }
    });
}

/// Which steps of the job hold its nodes, to be read after srun's own words: `; the nodes are held by step 4.0 (hog) on
/// node[1-2]`.
async fn holders(job: Option<&str>) -> String {
    let unknown = "; `squeue --steps` shows the steps that hold the nodes".to_owned();
    let (Some(job), Ok(squeue)) = (job, programs::find("squeue", "Slurm's client programs")) else {
        return unknown;
    };
    let args = [
        "--steps",
        "--noheader",
        "--jobs",
        job,
        "--format",
        "%i %N %j",
    ]
    .map(str::to_owned);
    let Some(text) = query::output(squeue, args.to_vec(), Vec::new(), ANSWER).await else {
        return unknown;
    };
    let steps: Vec<String> = text.lines().filter_map(step).collect();
    if steps.is_empty() {
        return unknown;
    }
    format!("; the nodes are held by {}", steps.join(", "))
}

/// A step that can hold nodes, of a line `4.0 node[1-2] hog`: not the batch script, which takes none of its own, and not one
/// that waits itself.
fn step(line: &str) -> Option<String> {
    let mut words = line.trim().splitn(3, ' ');
    let (id, nodes, name) = (words.next()?, words.next()?, words.next()?);
    let (_, number) = id.rsplit_once('.')?;
    number
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| format!("step {id} ({}) on {nodes}", name.trim()))
}

#[cfg(test)]
mod tests {
    use super::step;

    #[test]
    fn steps_that_hold_nodes_are_named() {
        let named = |line| step(line).unwrap_or_default();
        assert_eq!(named("4.0 node[1-2] hog"), "step 4.0 (hog) on node[1-2]");
        assert_eq!(named("4.2 node1 a b "), "step 4.2 (a b) on node1");
        for line in [
            "4.batch node1 batch",
            "4.TBD node1 (null)",
            "",
            "4.extern node1 extern",
        ] {
            assert_eq!(named(line), "");
        }
    }
}
