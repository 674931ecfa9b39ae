//! Field elements and their 32 bytes, big-endian: as felts, or as the residues that hashes take.
//!
//! A value that is not below the prime is no field element: reading says so and reduces nothing.

pub use crate::field::FELT_BYTES;

use crate::field::Residue;

/// What is wrong with the bytes of a call.
#[derive(Debug)]
pub struct Malformed(pub &'static str);

/// Read one element of exactly 32 bytes below the prime.
pub fn read_felt<T: From<Residue>>(bytes: &[u8]) -> Result<T, Malformed> {
    let bytes: &[u8; FELT_BYTES] = bytes
        .try_into()
        .map_err(|_| Malformed("a felt has 32 bytes"))?;
    Residue::from_bytes(bytes)
        .map(T::from)
        .ok_or(Malformed("a felt is below the prime"))
}

/// Read elements that follow each other.
pub fn read_felts<T: From<Residue>>(bytes: &[u8]) -> Result<Vec<T>, Malformed> {
    if !bytes.len().is_multiple_of(FELT_BYTES) {
        return Err(Malformed("felts have 32 bytes each"));
    }
    bytes.chunks_exact(FELT_BYTES).map(read_felt).collect()
}

/// Read pairs of elements that follow each other.
pub fn read_pairs<T: From<Residue>>(bytes: &[u8]) -> Result<Vec<(T, T)>, Malformed> {
    if !bytes.len().is_multiple_of(2 * FELT_BYTES) {
        return Err(Malformed("pairs of felts have 64 bytes each"));
    }
    bytes
        .chunks_exact(2 * FELT_BYTES)
        .map(|pair| {
            let (left, right) = pair.split_at(FELT_BYTES);
            Ok((read_felt(left)?, read_felt(right)?))
        })
        .collect()
}

/// Write elements behind each other.
pub fn write_felts<T: Into<Residue> + Copy>(felts: &[T]) -> Vec<u8> {
    let residues = felts.iter().map(|felt| (*felt).into());
    residues.flat_map(Residue::to_bytes).collect()
}
