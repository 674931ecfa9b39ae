//! Integers modulo the order of the STARK curve, a prime.

use crate::felts::FELT_BYTES;
use lambdaworks_math::field::element::FieldElement;
use lambdaworks_math::field::fields::montgomery_backed_prime_fields::{
    IsModulus, MontgomeryBackendPrimeField,
};
use lambdaworks_math::traits::ByteConversion;
use lambdaworks_math::unsigned_integer::element::U256;

/// The first byte of 2^251: what begins with less is below it.
const BOUND_FIRST_BYTE: u8 = 0x08;

/// The order of the generator, and of every point but infinity.
#[derive(Clone, Copy, Debug)]
pub struct OrderModulus;

impl IsModulus<U256> for OrderModulus {
    const MODULUS: U256 =
        U256::from_hex_unchecked("800000000000010ffffffffffffffffb781126dcae7b2321e66a241adc64d2f");
}

/// An integer modulo the order.
pub type Scalar = FieldElement<MontgomeryBackendPrimeField<OrderModulus, 4>>;

/// Read a scalar; `None` where the bytes are not below the order.
pub fn read_scalar(bytes: &[u8; FELT_BYTES]) -> Option<Scalar> {
    let number = U256::from_bytes_be(bytes).ok()?;
    (number < OrderModulus::MODULUS).then(|| Scalar::new(number))
}

/// Read an integer of 1 .. 2^251 - 1, which is below the order.
pub fn read_bounded(bytes: &[u8]) -> Option<Scalar> {
    let bytes: &[u8; FELT_BYTES] = bytes.try_into().ok()?;
    let scalar = read_scalar(bytes)?;
    (bytes[0] < BOUND_FIRST_BYTE && scalar != Scalar::zero()).then_some(scalar)
}

/// Say whether a scalar is in 0 .. 2^251 - 1.
pub fn is_bounded(scalar: &Scalar) -> bool {
    scalar.to_bytes_be()[0] < BOUND_FIRST_BYTE
}

/// Write a scalar as signed digits of `bits` (4 or 8) bits, the lowest first.
///
/// Each digit is in 1 - 2^(bits-1) .. 2^(bits-1); the highest takes the last carry, because the
/// order leaves its upper bits free.
pub fn signed_digits<const DIGITS: usize>(scalar: &Scalar, bits: u32) -> [i16; DIGITS] {
    let bytes = scalar.to_bytes_be();
    let half = 1i16 << (bits - 1);
    let mut digits = [0; DIGITS];
    let mut carry = 0;
    for (place, digit) in digits.iter_mut().enumerate() {
        let start = place as u32 * bits;
        let byte = bytes[FELT_BYTES - 1 - (start / 8) as usize];
        let window = i16::from(byte >> (start % 8)) & (2 * half - 1);
        let value = window + carry;
        carry = i16::from(value > half);
        *digit = value - carry * 2 * half;
    }
    digits
}
