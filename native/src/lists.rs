//! The root of a list: a Poseidon Patricia trie of height 64 whose keys are 0 .. n - 1.

use crate::felts::{read_felts, Malformed};
use crate::hashes::TWO_THREADS_POSEIDON_PAIRS_MIN;
use crate::poseidon::hash_felts;
use crate::threads::in_two_threads;
use starknet_types_core::felt::Felt;

const HEIGHT: u32 = 64;

/// A subtree with leaves: a node, and the way down to it where there is but one.
#[derive(Clone, Copy)]
struct Subtree {
    node: Felt,
    path: u64,
    length: u32,
}

/// Return the root over leaves, of which a 0 is absent; a list without leaves has the root 0.
pub fn root(leaves: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut level: Vec<Option<Subtree>> = read_felts(leaves)?.into_iter().map(leaf).collect();
    for _ in 0..HEIGHT {
        level = joined(&level);
    }
    let root = level.first().copied().flatten();
    let root = root.map_or(Felt::ZERO, |subtree| hash(&subtree));
    Ok(root.to_bytes_be().to_vec())
}

fn leaf(value: Felt) -> Option<Subtree> {
    (value != Felt::ZERO).then_some(Subtree {
        node: value,
        path: 0,
        length: 0,
    })
}

/// Return the subtrees one higher.
fn joined(level: &[Option<Subtree>]) -> Vec<Option<Subtree>> {
    let pairs: Vec<&[Option<Subtree>]> = level.chunks(2).collect();
    let pays = pairs.len() >= TWO_THREADS_POSEIDON_PAIRS_MIN;
    in_two_threads(pairs.len(), pays, |range| {
        pairs[range].iter().map(|pair| join(pair)).collect()
    })
}

fn join(pair: &[Option<Subtree>]) -> Option<Subtree> {
    let left = pair.first().copied().flatten();
    let right = pair.get(1).copied().flatten();
    match (left, right) {
        (Some(left), Some(right)) => Some(Subtree {
            node: hash_felts(hash(&left), hash(&right)),
            path: 0,
            length: 0,
        }),
        (Some(only), None) => Some(Subtree {
            length: only.length + 1,
            ..only
        }),
        (None, Some(only)) => Some(Subtree {
            path: only.path | 1 << only.length,
            length: only.length + 1,
            ..only
        }),
        (None, None) => None,
    }
}

fn hash(subtree: &Subtree) -> Felt {
    match subtree.length {
        0 => subtree.node,
        length => hash_felts(subtree.node, Felt::from(subtree.path)) + Felt::from(length),
    }
}
