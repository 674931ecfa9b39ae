//! From a plan to the root: every hash of an update, on two threads where a level is wide.

use super::hashing::Hash;
use super::node::{Node, Position};
use super::plan::{Below, Branch, Plan, Run};
use crate::threads::in_two_threads;
use starknet_types_core::felt::Felt;
use std::collections::HashMap;

/// What a branch came to: the hashes of its sides, and its own.
#[derive(Clone, Copy)]
struct Sealed {
    left: Felt,
    right: Felt,
    own: Felt,
}

const UNSEALED: Sealed = Sealed {
    left: Felt::ZERO,
    right: Felt::ZERO,
    own: Felt::ZERO,
};

/// So many branches are hashed at a time: what they need stays in the processor's caches.
const BATCH_BRANCHES: usize = 128;

/// A position that changed, and its node's bytes, or None where it is vacated.
pub type Change = (Position, Option<Vec<u8>>);

/// The new root, and what changed.
pub struct Outcome {
    pub root: Felt,
    pub changes: Vec<Change>,
}

/// Hash a plan that ends in `top`.
pub fn seal(plan: &Plan, top: &Run, hash: &Hash) -> Outcome {
    let sealed = seal_branches(&plan.branches, hash);
    let mut changes = Changes::new(&plan.seen);
    for (branch, done) in plan.branches.iter().zip(&sealed) {
        let (left, right) = (done.left, done.right);
        changes.edge(branch.position.child(false), &branch.left, &sealed);
        changes.edge(branch.position.child(true), &branch.right, &sealed);
        changes.write(branch.position, Node::Binary { left, right });
    }
    changes.edge(Position::ROOT, top, &sealed);
    let root = run_hashes(&[top], &sealed, hash)
        .first()
        .copied()
        .unwrap_or(Felt::ZERO);
    Outcome {
        root,
        changes: changes.all(&plan.seen),
    }
}

/// The hash of one stored node.
pub fn node_hash(node: &Node, hash: &Hash) -> Felt {
    let (pair, length) = match node {
        Node::Binary { left, right } => ((*left, *right), 0),
        Node::Edge {
            child,
            path,
            length,
        } => ((*child, path.felt()), *length),
    };
    hash.pairs(&[pair]).first().copied().unwrap_or(Felt::ZERO) + Felt::from(length)
}

/// Hash level by level: the branches of one wait for nothing but those of the levels below.
fn seal_branches(branches: &[Branch], hash: &Hash) -> Vec<Sealed> {
    let mut sealed = vec![UNSEALED; branches.len()];
    for level in levels_of(branches) {
        let pairs: usize = level.iter().map(|&index| branches[index].pairs()).sum();
        let done = in_two_threads(level.len(), pairs >= hash.pairs_shared(), |range| {
            let batches = level[range].chunks(BATCH_BRANCHES);
            batches
                .flat_map(|batch| seal_batch(batch, branches, &sealed, hash))
                .collect()
        });
        for (index, done) in level.into_iter().zip(done) {
            sealed[index] = done;
        }
    }
    sealed
}

fn levels_of(branches: &[Branch]) -> Vec<Vec<usize>> {
    let count = branches
        .iter()
        .map(|branch| branch.level + 1)
        .max()
        .unwrap_or(0);
    let mut levels = vec![Vec::new(); count];
    for (index, branch) in branches.iter().enumerate() {
        levels[branch.level].push(index);
    }
    levels
}

fn seal_batch(batch: &[usize], branches: &[Branch], sealed: &[Sealed], hash: &Hash) -> Vec<Sealed> {
    let sides = |index: &usize| [&branches[*index].left, &branches[*index].right];
    let runs: Vec<&Run> = batch.iter().flat_map(sides).collect();
    let hashes = run_hashes(&runs, sealed, hash);
    let pairs: Vec<(Felt, Felt)> = hashes
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect();
    let owns = hash.pairs(&pairs);
    pairs
        .into_iter()
        .zip(owns)
        .map(|((left, right), own)| Sealed { left, right, own })
        .collect()
}

/// What runs hash to: an edge where it has a length, and otherwise what it leads to.
fn run_hashes(runs: &[&Run], sealed: &[Sealed], hash: &Hash) -> Vec<Felt> {
    let mut hashes: Vec<Felt> = runs.iter().map(|run| hash_below(run, sealed)).collect();
    let edges: Vec<usize> = (0..runs.len()).filter(|&at| runs[at].length > 0).collect();
    let pairs: Vec<(Felt, Felt)> = edges
        .iter()
        .map(|&at| (hashes[at], runs[at].path.felt()))
        .collect();
    for (at, hashed) in edges.into_iter().zip(hash.pairs(&pairs)) {
        hashes[at] = hashed + Felt::from(runs[at].length);
    }
    hashes
}

fn hash_below(run: &Run, sealed: &[Sealed]) -> Felt {
    match run.below {
        Below::Felt(felt) => felt,
        Below::Branch(index) => sealed[index].own,
    }
}

/// What was written, next to what was read.
struct Changes {
    stood: HashMap<Position, Node>,
    written: Vec<Change>,
}

impl Changes {
    fn new(seen: &[(Position, Node)]) -> Changes {
        Changes {
            stood: seen.iter().copied().collect(),
            written: Vec::new(),
        }
    }

    fn write(&mut self, position: Position, node: Node) {
        if self.stood.remove(&position) != Some(node) {
            self.written.push((position, Some(node.encode())));
        }
    }

    fn edge(&mut self, position: Position, run: &Run, sealed: &[Sealed]) {
        if run.length > 0 {
            let child = hash_below(run, sealed);
            self.write(
                position,
                Node::Edge {
                    child,
                    path: run.path,
                    length: run.length,
                },
            );
        }
    }

    /// The vacated positions first, then the nodes.
    fn all(self, seen: &[(Position, Node)]) -> Vec<Change> {
        let vacated = seen
            .iter()
            .filter(|(position, _)| self.stood.contains_key(position));
        let mut changes: Vec<Change> = vacated.map(|(position, _)| (*position, None)).collect();
        changes.extend(self.written);
        changes
    }
}
