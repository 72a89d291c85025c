//! What an engine is given of its node: threads, CPUs, GPUs. PURE.

use super::bind::{self, Gpus, Seat};
use super::cpus::Cpus;
use super::task_place::TaskPlace;
use super::threads;
use super::topology::Topology;
use core::fmt;

/// An engine's share of its node, as it is told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The threads that its libraries start, where ipjob tells them.
    pub threads: Option<u32>,
    /// The CPUs that ipjob has bound it to, where it has.
    pub cpus: Option<Cpus>,
    /// Its GPUs, where it was bound to any.
    pub gpus: Option<Gpus>,
}

impl fmt::Display for Share {
    /// `CUDA_VISIBLE_DEVICES=1, CPUs 0-3`; empty where it was bound to neither.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpus = self.cpus.as_ref().map(|cpus| format!("CPUs {cpus}"));
        let gpus = self.gpus.as_ref().map(Gpus::to_string);
        let all: Vec<String> = gpus.into_iter().chain(cpus).collect();
        out.write_str(&all.join(", "))
    }
}

/// The words before each of these.
const THREADS: &str = "threads";
const CPUS: &str = "cpus";
const GPUS: &str = "gpus";

impl Share {
    /// ` threads 4 cpus 0-3 gpus CUDA_VISIBLE_DEVICES=1`: the end of a task's report, without what was not given.
    #[must_use]
    pub fn words(&self) -> String {
        let threads = self.threads.map(|threads| threads.to_string());
        let cpus = self.cpus.as_ref().map(Cpus::to_string);
        let gpus = self.gpus.as_ref().map(Gpus::to_string);
        [(THREADS, threads), (CPUS, cpus), (GPUS, gpus)]
            .into_iter()
            .filter_map(|(name, text)| Some(format!(" {name} {}", text?)))
            .collect()
    }

    /// Takes such words from the end of a report; `None` where they are no good.
    pub fn take(words: &mut Vec<&str>) -> Option<Self> {
        let mut take = |name: &str| match words[..] {
            [.., found, text] if found == name => {
                words.truncate(words.len() - 2);
                Some(text)
            }
            _ => None,
        };
        let (gpus, cpus, threads) = (take(GPUS), take(CPUS), take(THREADS));
        let number = |text: &str| text.parse().ok().filter(|number: &u32| *number > 0);
        Some(Self {
            threads: whole(threads.map(number))?,
            cpus: whole(cpus.map(|text| Cpus::read(text).filter(|cpus| !cpus.is_empty())))?,
            gpus: whole(gpus.map(Gpus::read))?,
        })
    }
}

/// Nothing, or all of what was told.
#[expect(clippy::option_option, reason = "given, and given well")]
fn whole<T>(told: Option<Option<T>>) -> Option<Option<T>> {
    match told {
        None => Some(None),
        Some(good) => Some(Some(good?)),
    }
}

/// What a process may use of its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// As many CPUs.
    pub cpus: u32,
    /// Which these are, and which GPUs are here; `None` where engines are not to be bound to any.
    pub topology: Option<Topology>,
    /// Whether what started it has bound it to CPUs of its own, where that matters.
    pub is_bound: bool,
}

/// What engines are given of their nodes.
#[derive(Clone, Debug)]
pub struct Shares {
    /// How many threads each gets.
    pub threads: threads::Decision,
    /// What each is bound to by ipjob.
    pub bind: Option<bind::Rule>,
    /// Whether each tells what it then sees.
    pub are_told: bool,
    /// What each gets that this process starts itself, by their ids; none of those that others start.
    pub own: Vec<Provision>,
}

impl Shares {
    /// What the engine of this id gets, if this process starts it.
    #[must_use]
    pub fn of(&self, id: u32) -> Share {
        let own = usize::try_from(id).ok();
        let own = own.and_then(|id| self.own.get(id));
        own.map_or_else(Share::default, |own| own.share.clone())
    }

    /// Why those are not bound to CPUs, though that was asked for.
    #[must_use]
    pub fn unbound(&self) -> Option<String> {
        let why = self.own.iter().find_map(|own| own.remark.as_ref())?;
        Some(format!("engines are not bound to CPUs: {why}"))
    }
}

/// What is known where an engine starts.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// The variables of who starts it.
    pub environment: &'a [(String, String)],
    /// Which of its node's engines it is.
    pub place: TaskPlace,
    /// What who starts it may use.
    pub machine: &'a Machine,
}

/// What an engine is given, and how it comes to have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provision {
    /// What it is.
    pub share: Share,
    /// Variables that it gets.
    pub set: Vec<(String, String)>,
    /// Variables that it does not get.
    pub dropped: Vec<String>,
    /// Why it is not bound to CPUs, where that was asked for.
    pub remark: Option<String>,
}

impl Provision {
    /// What one engine is given by these rules; else why it cannot be bound.
    pub fn of(
        threads: Option<threads::Rule>,
        bind: Option<bind::Rule>,
        node: &Node,
    ) -> Result<Self, String> {
        let mut provision = Self::default();
        if let (Some(rule), Some(topology)) = (bind, &node.machine.topology) {
            let seat = Seat::of_task(node.place)?;
            let bound = bind::bind(rule, seat, node.environment, topology, node.place)?;
            provision = Self {
                share: Share {
                    threads: None,
                    cpus: bound.cpus,
                    gpus: bound.gpus,
                },
                set: bound.set,
                dropped: bound.dropped,
                remark: bound.remark,
            };
        }
        let own = provision.share.cpus.as_ref();
        let own = own.and_then(|cpus| u32::try_from(cpus.len()).ok());
        let number = threads.and_then(|rule| match own {
            Some(own) => rule.of_own(node.environment, own),
            None => rule.of_shared(node.environment, node.machine.cpus, node.place),
        });
        let variables = number.into_iter().flat_map(threads::variables);
        provision
            .set
            .extend(variables.map(|(name, text)| (name.to_owned(), text)));
        provision.share.threads = number;
        Ok(provision)
    }
}
