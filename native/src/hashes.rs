//! Pedersen and Poseidon over many inputs.

use crate::felts::{read_felts, read_pairs, write_felts, Malformed};
use crate::field::Residue;
use crate::pedersen;
use crate::poseidon;
use crate::threads::in_two_threads;
use starknet_types_core::felt::Felt;

/// Pairs from which on two threads hash them: one takes some 9 us, a thread some 50 us.
pub const TWO_THREADS_PEDERSEN_PAIRS_MIN: usize = 16;

/// Pairs from which on two threads hash them, at some 2.5 us each.
pub const TWO_THREADS_POSEIDON_PAIRS_MIN: usize = 48;

/// Felts in arrays from which on two threads hash the arrays: two felts are as good as a pair.
const TWO_THREADS_POSEIDON_FELTS_MIN: usize = 2 * TWO_THREADS_POSEIDON_PAIRS_MIN;

/// Return the Pedersen hash of each pair.
pub fn pedersen_many(pairs: &[u8]) -> Result<Vec<u8>, Malformed> {
    let pairs = read_pairs(pairs)?;
    let pays = pairs.len() >= TWO_THREADS_PEDERSEN_PAIRS_MIN;
    Ok(write_felts(&in_two_threads(pairs.len(), pays, |range| {
        pedersen::hash_pairs(&pairs[range])
    })))
}

/// Return the Poseidon hash of each pair.
pub fn poseidon_many(pairs: &[u8]) -> Result<Vec<u8>, Malformed> {
    let pairs: Vec<(Residue, Residue)> = read_pairs(pairs)?;
    let pays = pairs.len() >= TWO_THREADS_POSEIDON_PAIRS_MIN;
    Ok(write_felts(&in_two_threads(pairs.len(), pays, |range| {
        let own = pairs[range].iter();
        own.map(|(left, right)| poseidon::hash(*left, *right))
            .collect()
    })))
}

/// Fold Pedersen over felts from the first one on.
pub fn pedersen_fold(felts: &[u8]) -> Result<Vec<u8>, Malformed> {
    let felts: Vec<Felt> = read_felts(felts)?;
    let folded = felts
        .into_iter()
        .reduce(|state, felt| pedersen::hash(&state, &felt));
    let folded = folded.ok_or(Malformed("a fold starts from a felt"))?;
    Ok(folded.to_bytes_be().to_vec())
}

/// Return the Poseidon sponge of each array; the arrays follow each other in `felts`.
pub fn poseidon_arrays(lengths: &[usize], felts: &[u8]) -> Result<Vec<u8>, Malformed> {
    let felts: Vec<Residue> = read_felts(felts)?;
    let arrays = split(lengths, &felts)?;
    let pays = felts.len() >= TWO_THREADS_POSEIDON_FELTS_MIN;
    Ok(write_felts(&in_two_threads(arrays.len(), pays, |range| {
        let own = arrays[range].iter();
        own.map(|array| poseidon::sponge(array)).collect()
    })))
}

fn split<'felts>(
    lengths: &[usize],
    felts: &'felts [Residue],
) -> Result<Vec<&'felts [Residue]>, Malformed> {
    let mut rest = felts;
    let mut arrays = Vec::with_capacity(lengths.len());
    for length in lengths {
        let cut = rest.split_at_checked(*length);
        let (array, after) = cut.ok_or(Malformed("the arrays are longer than their felts"))?;
        arrays.push(array);
        rest = after;
    }
    match rest.is_empty() {
        true => Ok(arrays),
        false => Err(Malformed("the arrays are shorter than their felts")),
    }
}
