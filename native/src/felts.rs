//! Field elements and their 32 bytes, big-endian.
//!
//! A value that is not below the prime is no field element: reading says so and reduces nothing.

use starknet_types_core::felt::Felt;

/// Length of an encoded field element.
pub const FELT_BYTES: usize = 32;

/// The field's prime, 2^251 + 17 * 2^192 + 1.
const PRIME: [u8; FELT_BYTES] = [
    0x08, 0, 0, 0, 0, 0, 0, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 1,
];

/// What is wrong with the bytes of a call.
#[derive(Debug)]
pub struct Malformed(pub &'static str);

/// Read one element of exactly 32 bytes below the prime.
pub fn read_felt(bytes: &[u8]) -> Result<Felt, Malformed> {
    let bytes: &[u8; FELT_BYTES] = bytes
        .try_into()
        .map_err(|_| Malformed("a felt has 32 bytes"))?;
    if *bytes >= PRIME {
        return Err(Malformed("a felt is below the prime"));
    }
    Ok(Felt::from_bytes_be(bytes))
}

/// Read elements that follow each other.
pub fn read_felts(bytes: &[u8]) -> Result<Vec<Felt>, Malformed> {
    if !bytes.len().is_multiple_of(FELT_BYTES) {
        return Err(Malformed("felts have 32 bytes each"));
    }
    bytes.chunks_exact(FELT_BYTES).map(read_felt).collect()
}

/// Read pairs of elements that follow each other.
pub fn read_pairs(bytes: &[u8]) -> Result<Vec<(Felt, Felt)>, Malformed> {
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
pub fn write_felts(felts: &[Felt]) -> Vec<u8> {
    felts.iter().flat_map(Felt::to_bytes_be).collect()
}

/// Replace each element by its inverse with one inversion for all of them; zeros stay zeros.
pub fn invert_all(felts: &mut [Felt]) {
    let mut product = Felt::ONE;
    let mut products = Vec::with_capacity(felts.len());
    for felt in felts.iter().filter(|felt| **felt != Felt::ZERO) {
        products.push(product);
        product *= *felt;
    }
    // A product of elements other than 0 is not 0, so the inverse exists.
    let mut inverse = product.inverse().unwrap_or(Felt::ZERO);
    for felt in felts.iter_mut().rev().filter(|felt| **felt != Felt::ZERO) {
        let before = products.pop().unwrap_or(Felt::ZERO);
        let own = inverse * before;
        inverse *= *felt;
        *felt = own;
    }
}
