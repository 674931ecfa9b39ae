//! The three hashes of tries over bytes, by name.

use blake2::digest::core_api::{Buffer, VariableOutputCore};
use blake2::digest::Output;
use blake2::Blake2sVarCore;
use starknet_types_core::felt::Felt;

use crate::hashes::{TWO_THREADS_PEDERSEN_PAIRS_MIN, TWO_THREADS_POSEIDON_PAIRS_MIN};
use crate::pedersen;
use crate::poseidon;

/// Pairs from which on two threads hash them: each takes a fraction of a microsecond.
const TWO_THREADS_BLAKE2S_PAIRS_MIN: usize = 1024;

const TAG_BYTES: usize = 8;
const DIGEST_BYTES: usize = 32;

/// A two-to-one hash over felts.
#[derive(Clone, Copy)]
pub enum Hash {
    Pedersen,
    Poseidon,
    Blake2s([u8; TAG_BYTES]),
}

impl Hash {
    /// The hash of a name; only Blake2s has a tag. None: there is none such.
    pub fn named(name: &str, tag: &[u8]) -> Option<Hash> {
        match (name, tag) {
            ("pedersen", []) => Some(Hash::Pedersen),
            ("poseidon", []) => Some(Hash::Poseidon),
            ("blake2s", _) => {
                let mut padded = [0; TAG_BYTES];
                padded.get_mut(..tag.len())?.copy_from_slice(tag);
                Some(Hash::Blake2s(padded))
            }
            _ => None,
        }
    }

    /// Hash pairs, as many at a time as there are: one inversion serves all of Pedersen's.
    pub fn pairs(&self, pairs: &[(Felt, Felt)]) -> Vec<Felt> {
        match self {
            Hash::Pedersen => pedersen::hash_pairs(pairs),
            Hash::Poseidon => pairs
                .iter()
                .map(|pair| poseidon::hash_felts(pair.0, pair.1))
                .collect(),
            Hash::Blake2s(tag) => pairs.iter().map(|pair| blake2s(tag, pair)).collect(),
        }
    }

    /// How many pairs, at the same time to be hashed, are worth a second thread.
    pub fn pairs_shared(&self) -> usize {
        match self {
            Hash::Pedersen => TWO_THREADS_PEDERSEN_PAIRS_MIN,
            Hash::Poseidon => TWO_THREADS_POSEIDON_PAIRS_MIN,
            Hash::Blake2s(_) => TWO_THREADS_BLAKE2S_PAIRS_MIN,
        }
    }

    /// How many branches take so long that others should have the interpreter's lock meanwhile.
    pub fn branches_apart(&self) -> usize {
        match self {
            Hash::Pedersen => 1,
            Hash::Poseidon => 2,
            Hash::Blake2s(_) => 32,
        }
    }
}

/// The first 31 bytes of Blake2s as a felt. The crate's keyed variant would hash a block of zeros
/// in front where the key is empty, so this goes below it, to where there is no key.
fn blake2s(tag: &[u8; TAG_BYTES], (left, right): &(Felt, Felt)) -> Felt {
    let mut core = Blake2sVarCore::new_with_params(&[], tag, 0, DIGEST_BYTES);
    // Both felts fill one block, which is the last, so it stays in the buffer until the end.
    let mut buffer = Buffer::<Blake2sVarCore>::default();
    buffer.digest_blocks(&left.to_bytes_be(), |_| ());
    buffer.digest_blocks(&right.to_bytes_be(), |_| ());
    let mut digest = Output::<Blake2sVarCore>::default();
    core.finalize_variable_core(&mut buffer, &mut digest);
    Felt::from_bytes_be_slice(&digest[..DIGEST_BYTES - 1])
}
