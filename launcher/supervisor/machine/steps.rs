//! Engines of a step that are started again as steps of their own. PURE.

use super::causes;
use super::{Effect, Machine, warning};
use crate::failure::Failure;
use crate::plan::engines::named;
use crate::plan::last_words::LastWords;
use crate::plan::name::{Name, ProcessId};
use crate::plan::task_lines::{Report, Topic, Words};
use crate::supervisor::event::Exit;

impl Machine {
    /// Tasks of the first step ended, or the hub has dropped them: each is started again.
    pub(super) fn tasks_ended(&mut self, ids: Vec<u32>, out: &mut Vec<Effect>) {
        // What srun said of this end, if that is how it is known: it is asked once.
        let said = self.engines.srun_said.take();
        self.engines.lost.extend(&ids);
        for id in ids {
            let text = match &said {
                Some(words) => words.text.clone(),
                None => format!("{} left the hub's list", self.engine(id)),
            };
            let mut end = Failure::service(text);
            if let Some(words) = &said {
                end = causes::by_slurm(end, words);
            }
            let process = ProcessId {
                service: Name::Engines,
                index: id,
            };
            self.engine_ended(process, &end, out);
        }
    }

    /// An srun has ended: that of one engine, or the first, with all that were still its tasks.
    pub(super) fn step_of_some_ended(
        &mut self,
        process: ProcessId,
        pid: u32,
        exit: &Exit,
        tail: &[String],
        out: &mut Vec<Effect>,
    ) {
        let own = process.engine_of_own_step();
        let whose = own.map_or_else(|| "the engines'".to_owned(), |id| format!("engine {id}'s"));
        let end = Failure::service(format!("{whose} srun (pid {pid}) ended with {exit}"));
        let words = tail.iter().find_map(|line| Words::read(line));
        if let (Some(id), Some(words)) = (own, &words)
            && words.about == Some(Topic::NodeRefused)
        {
            return self.node_of_engine_is_refused(id, &words.text, out);
        }
        let end = match words {
            Some(words) => causes::by_slurm(end, &words).because(words.text),
            None => causes::by_itself(end, LastWords::read(exit, tail).as_ref()),
        };
        let ids: Vec<u32> = match own {
            Some(id) => vec![id],
            None => (0..self.engines.expected)
                .filter(|id| {
                    !self.engines.lost.contains(id) && !self.engines.has_left_the_step(*id)
                })
                .collect(),
        };
        if ids.is_empty() {
            // Each of its engines had ended before, and was told.
            return out.push(Effect::Publish);
        }
        if self.engines.were_asked(&ids) {
            self.say_shut_down(&ids, out);
        } else {
            warning(out, end.to_string());
            out.push(Effect::ShowLog(process));
        }
        self.engines.lost.extend(&ids);
        for id in ids {
            let process = ProcessId {
                service: Name::Engines,
                index: id,
            };
            self.engine_ended(process, &end, out);
        }
    }

    /// srun makes no step on the node where an engine was to start again: nor can the others there. That is told once.
    fn node_of_engine_is_refused(&mut self, id: u32, words: &str, out: &mut Vec<Effect>) {
        self.engines.lost.insert(id);
        let node = self.place_of(id).map(|report| report.node.clone());
        let node = node.unwrap_or_default();
        let told = !self.engines.refused_nodes.insert(node.clone());
        let there = |place: &Report| place.node == node;
        let places = self.engines.places.iter();
        let ids: Vec<u32> = places
            .filter(|(other, place)| there(place) && !self.engines.registered.contains(other))
            .map(|(other, _)| *other)
            .collect();
        if !told {
            let who = named("engine", &ids);
            warning(
                out,
                format!(
                    "Slurm makes no step on {node} any more ({words}): {who} cannot start again"
                ),
            );
        }
        let end = Failure::service(format!("Slurm makes no step on {node} any more"))
            .because(words.to_owned());
        for engine in ids {
            if self.give_up_engine(engine) {
                let process = ProcessId {
                    service: Name::Engines,
                    index: engine,
                };
                self.engine_lost(process, &end, out);
            }
        }
        self.replace_engines(out);
        out.push(Effect::Publish);
    }

    /// Where an engine told that it runs.
    #[must_use]
    pub fn place_of(&self, engine: u32) -> Option<&Report> {
        self.engines.places.get(&engine)
    }

    /// How many engines with lower ids are on the same node: which of the node's tasks it was in the first step.
    #[must_use]
    pub fn neighbours_below(&self, engine: u32) -> u32 {
        let node = self.place_of(engine).map(|report| &report.node);
        let below = self.engines.places.range(..engine);
        let same = below.filter(|(_, report)| Some(&report.node) == node);
        u32::try_from(same.count()).unwrap_or(u32::MAX)
    }
}
