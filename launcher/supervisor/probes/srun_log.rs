//! What the engines' step tells in its log: each task who it is and which MPI world it sees, srun how tasks ended.

use super::{CALM_PAUSE, PAUSE};
use crate::here::os::log::{Log, MOST_AT_ONCE};
use crate::here::os::own_time::OwnTime;
use crate::here::site::programs;
use crate::plan::services::STEP_NAME;
use crate::plan::task_lines::{Line, read};
use crate::supervisor::event::Event;
use crate::supervisor::notice::{Notice, Sender};
use crate::supervisor::{file_thread, query};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How long srun's own words are kept back: they overtake the last lines of the very task that they are about, which come
/// from its node by way of srun's other streams.
const OVERTAKING: Duration = Duration::from_millis(300);

/// How long a step may be without a task before Slurm is asked whether it was created: srun says that it waits for its place, but
/// with Slurm 22.05 only when something has changed.
const PLACE: Duration = Duration::from_secs(10);

/// How long Slurm may take to tell what holds the nodes.
const ANSWER: Duration = Duration::from_secs(20);

/// What is expected of a step.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// How many tasks report.
    pub tasks: u32,
    /// Whether one of them tells of an MPI world.
    pub world: bool,
    /// How long that may take.
    pub limit: Duration,
}

/// Follows the log as long as the job lives: often until all has come that is expected or its limit is over, then calmly. `job` is
/// the Slurm job whose steps may be in the way.
pub fn watch(log: Log, job: Option<String>, expected: Expected, sender: Sender) -> JoinHandle<()> {
    file_thread::spawn(async move {
        let begin = OwnTime::now();
        let mut awaits_world = expected.world;
        let mut awaits_place = job.as_deref();
        let mut not_forked = false;
        let mut unbound = false;
        let mut seen = BTreeSet::new();
        let mut offset = 0;
        while !sender.is_closed() {
            let (lines, next) = log.lines_from(offset);
            // What counts stands behind a flood of other lines.
            let behind = next.saturating_sub(offset) > MOST_AT_ONCE / 2;
            offset = next;
            let mut have_come = false;
            for line in lines.iter().filter_map(|line| read(line)) {
                let notice = match line {
                    Line::Task(report) => {
                        seen.insert(report.rank);
                        awaits_place = None;
                        Notice::EngineReported(report)
                    }
                    Line::World(world) => {
                        awaits_world = false;
                        Notice::Event(Event::World(world))
                    }
                    Line::NotForked(told) => {
                        // Other nodes will have the same to tell.
                        if std::mem::replace(&mut not_forked, true) {
                            continue;
                        }
                        Notice::NotForked(told)
                    }
                    Line::NotImported(told) => Notice::NotImported(told),
                    Line::Sees(sight) => Notice::EngineSees(sight),
                    Line::Unbound(told) => {
                        if std::mem::replace(&mut unbound, true) {
                            continue;
                        }
                        Notice::Unbound(told)
                    }
                    Line::Rest(rest) => Notice::NodeTold(rest),
                    Line::Srun(words) => {
                        // All of these lines were read before: one pause is for all of them.
                        if !std::mem::replace(&mut have_come, true) {
                            sleep(OVERTAKING).await;
                        }
                        Notice::Event(Event::SrunSaid(words))
                    }
                    Line::Waits(text) => {
                        let steps = match awaits_place.take() {
                            Some(job) => steps(job).await,
                            None => None,
                        };
                        Notice::Event(Event::SrunWaits(format!("{text}{}", held(steps))))
                    }
                };
                let _ = sender.send(notice);
            }
            if begin.elapsed() > PLACE
                && let Some(job) = awaits_place.take()
                && let Some(steps) = steps(job).await
                && !steps.iter().any(|step| step.name == STEP_NAME)
            {
                let seconds = PLACE.as_secs();
                let text = format!("srun has waited {seconds} s for room for the engines' step");
                let why = format!("{text}{}", held(Some(steps)));
                let _ = sender.send(Notice::Event(Event::SrunWaits(why)));
            }
            let complete = seen.len() >= expected.tasks as usize && !awaits_world;
            let calm = complete || begin.elapsed() > expected.limit;
            sleep(if calm && !behind { CALM_PAUSE } else { PAUSE }).await;
        }
    })
}

/// A step as Slurm tells it.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    id: String,
    nodes: String,
    name: String,
}

/// The steps of a job that can hold nodes; `None` where Slurm does not say. With a step manager (newer Slurm) steps are known
/// on the job's first node only: scontrol asks there, `squeue --steps` does not.
async fn steps(job: &str) -> Option<Vec<Step>> {
    let scontrol = programs::find_slurms("scontrol").ok()?;
    let args = ["--oneliner", "show", "step", job].map(str::to_owned);
    let text = query::output(scontrol, args.to_vec(), Vec::new(), ANSWER).await?;
    // The batch script is a step too: without a line there was no answer.
    text.contains("StepId=")
        .then(|| text.lines().filter_map(Step::read).collect())
}

/// What holds the nodes, to be read after srun's words: `; the nodes are held by step 4.0 (hog) on node[1-2]`.
fn held(steps: Option<Vec<Step>>) -> String {
    let Some(steps) = steps else {
        return "; `scontrol show step` shows the steps that hold the nodes".to_owned();
    };
    if steps.is_empty() {
        return "; no other step of the job holds the nodes: does this one ask for more than the job has?".to_owned();
    }
    let names: Vec<String> = steps
        .iter()
        .map(|step| format!("step {} ({}) on {}", step.id, step.name, step.nodes))
        .collect();
    format!("; the nodes are held by {}", names.join(", "))
}

impl Step {
    /// A line of scontrol's; `None` for the batch script, which takes no place of its own, and for what waits itself (`TBD`).
    fn read(line: &str) -> Option<Self> {
        // A name may have spaces.
        let between = |begin, end| Some(line.split_once(begin)?.1.split_once(end)?.0.to_owned());
        let id = between("StepId=", " ")?;
        let (_, number) = id.rsplit_once('.')?;
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            nodes: between(" NodeList=", " ")?,
            name: between(" Name=", " Network=")?,
            id,
        })
    }
}

/// How long it is looked for often: most tell within seconds, and one that takes longer does not miss the look that finds it later.
const LIMIT: Duration = Duration::from_secs(90);

/// Follows the log of an engine that was started again as a step of its own: it tells who and where it is, and, where it takes the place
/// of a node's first one, whether the engines there are at rest. `srun` is the process that starts it.
pub fn watch_own(log: Log, srun: u32, engine: u32, sender: Sender) -> JoinHandle<()> {
    file_thread::spawn(async move {
        let begin = OwnTime::now();
        let (mut offset, mut is_back) = (0, false);
        while !sender.is_closed() {
            let (lines, next) = log.lines_from(offset);
            offset = next;
            for line in lines.iter().filter_map(|line| read(line)) {
                match line {
                    Line::Task(report) if report.rank == engine && !is_back => {
                        is_back = true;
                        let _ = sender.send(Notice::EngineIsBack { srun, report });
                    }
                    Line::Sees(mut sight) => {
                        // The label is that of the only task.
                        sight.task = Some(engine);
                        let _ = sender.send(Notice::EngineSees(sight));
                    }
                    Line::Rest(rest) => {
                        let _ = sender.send(Notice::NodeTold(rest));
                    }
                    _ => {}
                }
            }
            let calm = is_back || begin.elapsed() > LIMIT;
            sleep(if calm { CALM_PAUSE } else { PAUSE }).await;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Instant;

    #[test]
    fn steps_that_hold_nodes_are_named() {
        // Slurm 24.11 with a step manager.
        let text = "\
StepId=4.extern UserId=20001 StartTime=2026-11-27T05:05:24 TimeLimit=UNLIMITED State=RUNNING Partition=debug NodeList=node[1-2] Nodes=2 CPUs=0 Tasks=2 Name=extern Network=(null) TRES=(null) ResvPorts=(null) CPUFreqReq=Default SrunHost:Pid=(null):0
StepId=4.batch UserId=20001 StartTime=2026-11-27T05:05:24 TimeLimit=UNLIMITED State=RUNNING Partition=debug NodeList=node1 Nodes=1 CPUs=0 Tasks=1 Name=batch Network=(null) TRES=(null) ResvPorts=(null) CPUFreqReq=Default SrunHost:Pid=(null):0
StepId=4.0 UserId=20001 StartTime=2026-11-27T05:05:24 TimeLimit=UNLIMITED State=RUNNING Partition=debug NodeList=node[1-2] Nodes=2 CPUs=4 Tasks=4 Name=hog Network=(null) TRES=cpu=4,mem=0,node=2 ResvPorts=(null) CPUFreqReq=Default Dist=Block SrunHost:Pid=node1:95
StepId=4.2 UserId=20001 StartTime=2026-11-27T05:05:24 TimeLimit=UNLIMITED State=RUNNING Partition=debug NodeList=node1 Nodes=1 CPUs=4 Tasks=4 Name=a b Network=(null) TRES=cpu=4,mem=0,node=2 ResvPorts=(null) CPUFreqReq=Default Dist=Block SrunHost:Pid=node1:99
StepId=4.TDB UserId=20001 StartTime=Unknown TimeLimit=UNLIMITED State=PENDING Partition=debug NodeList=node[1-2] Nodes=2 CPUs=4 Tasks=4 Name=(null) Network=(null) TRES=(null) ResvPorts=(null) CPUFreqReq=Default Dist=Unknown SrunHost:Pid=node1:130
";
        let steps: Vec<Step> = text.lines().filter_map(Step::read).collect();
        assert_eq!(
            held(Some(steps)),
            "; the nodes are held by step 4.0 (hog) on node[1-2], step 4.2 (a b) on node1"
        );
        assert!(held(Some(Vec::new())).contains("no other step"));
        assert!(held(None).contains("scontrol show step"));
    }

    #[test]
    fn what_follows_many_errors_of_srun_is_not_held_up() {
        let dir = tempfile::tempdir().expect("a directory");
        let (log, mut file) = Log::open(&dir.path().join("engines.log"), "head").expect("a log");
        for node in 0..200 {
            writeln!(file, "srun: error: node{node}: task {node}: Killed").expect("written");
        }
        writeln!(file, "0: ipjob-engine world of 3").expect("written");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a loop");
        let begin = Instant::now();
        runtime.block_on(async {
            let (sender, mut notices) = tokio::sync::mpsc::unbounded_channel();
            let expected = Expected {
                tasks: 1,
                world: true,
                limit: Duration::from_secs(60),
            };
            drop(watch(log, None, expected, sender));
            let mut said = 0;
            loop {
                match notices.recv().await.expect("a notice") {
                    Notice::Event(Event::SrunSaid(_)) => said += 1,
                    Notice::Event(Event::World(_)) => break,
                    _ => {}
                }
            }
            assert_eq!(said, 200);
        });
        assert!(begin.elapsed() < 100 * OVERTAKING, "{:?}", begin.elapsed());
    }
}
