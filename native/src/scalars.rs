//! Integers modulo the order of the STARK curve, a prime.

use crate::felts::FELT_BYTES;
use lambdaworks_math::field::element::FieldElement;
use lambdaworks_math::field::fields::montgomery_backed_prime_fields::{
    IsModulus, MontgomeryBackendPrimeField,
};
use lambdaworks_math::traits::ByteConversion;
use lambdaworks_math::unsigned_integer::element::U256;

/// The order of the generator, and of every point but infinity.
const ORDER: [u8; FELT_BYTES] = [
    0x08, 0, 0, 0, 0, 0, 0, 0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xb7, 0x81, 0x12,
    0x6d, 0xca, 0xe7, 0xb2, 0x32, 0x1e, 0x66, 0xa2, 0x41, 0xad, 0xc6, 0x4d, 0x2f,
];

/// The first byte of 2^251: what begins with less is below it.
const BOUND_FIRST_BYTE: u8 = 0x08;

/// The order, as a modulus that the compiler knows.
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
    match *bytes < ORDER {
        true => Scalar::from_bytes_be(bytes).ok(),
        false => None,
    }
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

/// Return the scalars' inverses with one inversion for all of them; a zero's is zero.
pub fn inverses(scalars: &[Scalar]) -> Vec<Scalar> {
    let mut product = Scalar::one();
    let mut products = Vec::with_capacity(scalars.len());
    for scalar in scalars {
        products.push(product);
        if *scalar != Scalar::zero() {
            product *= *scalar;
        }
    }
    // A product of scalars other than 0 is not 0, so the inverse exists.
    let mut inverse = product.inv().unwrap_or(Scalar::zero());
    for (place, scalar) in products.iter_mut().zip(scalars).rev() {
        *place = match *scalar == Scalar::zero() {
            true => Scalar::zero(),
            false => *place * inverse,
        };
        if *scalar != Scalar::zero() {
            inverse *= *scalar;
        }
    }
    products
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
