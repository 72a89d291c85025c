//! What srun says of nodes that Slurm has given up. PURE.

use crate::plan::hostlist;

/// Whether srun's words on a step for one node of the job say that it will make none there, however often it is asked: with --no-kill
/// Slurm takes a node that is down out of the job, for good. It says the same of options that no node can fulfil.
pub(super) fn node_is_refused(words: &str) -> bool {
    [
        "Requested node configuration is not available",
        "Required node not available",
    ]
    .iter()
    .any(|part| words.contains(part))
}

/// The nodes of `srun: error: Node failure on node[2-3]`, which Slurm takes for lost; none where its words are others.
pub(super) fn failed_nodes(words: &str) -> Vec<String> {
    let nodes = words.split_once("Node failure on ").map(|(_, nodes)| nodes);
    nodes
        .and_then(|nodes| hostlist::expand(nodes.trim()).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_failed_are_read_from_sruns_words() {
        let read = |words: &str| failed_nodes(words);
        assert_eq!(read("srun: error: Node failure on node2"), ["node2"]);
        assert_eq!(
            read("srun: error: Node failure on node[2-3]"),
            ["node2", "node3"]
        );
        for other in [
            "srun: error: node2: task 1: Killed",
            "srun: error: Node failure on ",
            "srun: error: Node failure on node[",
        ] {
            assert!(read(other).is_empty(), "{other}");
        }
    }
}
