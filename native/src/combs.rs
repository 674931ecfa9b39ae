//! Multiples of a point from a table: one addition for each digit of the scalar, no doubling.

use crate::points::{multiples_of, places_of, to_affine, AffinePoint, JacobianPoint};
use crate::scalars::{signed_digits, Scalar};
use starknet_types_core::felt::Felt;
use std::sync::OnceLock;

/// The multiples of one point by every digit at every place.
///
/// `BITS` is the width of a signed digit, `DIGITS` their number: `BITS * DIGITS` is 256.
pub struct Comb<const BITS: u32, const DIGITS: usize> {
    a: Felt,
    multiples: Vec<AffinePoint>,
}

/// 4-bit digits: 512 points in 32 KB, built in a fraction of a millisecond.
pub type SignerComb = Comb<4, 64>;

/// 8-bit digits: 4,096 points in 256 KB, for the one point that every signature needs.
pub type GeneratorComb = Comb<8, 32>;

impl<const BITS: u32, const DIGITS: usize> Comb<BITS, DIGITS> {
    const MULTIPLES: usize = 1 << (BITS - 1);

    /// Build the table of a point on a curve with this `a`.
    pub fn new(point: AffinePoint, a: Felt) -> Self {
        let multiples: Vec<JacobianPoint> = places_of(&point, &a, BITS, DIGITS)
            .iter()
            .flat_map(|place| multiples_of(place, &a, Self::MULTIPLES))
            .collect();
        Comb {
            a,
            multiples: to_affine(&multiples),
        }
    }

    /// Return the scalar's multiple of the point.
    pub fn times(&self, scalar: &Scalar) -> JacobianPoint {
        let digits: [i16; DIGITS] = signed_digits(scalar, BITS);
        let rows = self.multiples.chunks_exact(Self::MULTIPLES);
        digits
            .iter()
            .zip(rows)
            .fold(JacobianPoint::INFINITY, |sum, (digit, row)| {
                add_multiple(&sum, *digit, row, &self.a)
            })
    }
}

/// Return the scalar's multiple of a point without a table that outlives the call.
pub fn times_once(point: &AffinePoint, scalar: &Scalar, a: &Felt) -> JacobianPoint {
    let multiples = to_affine(&multiples_of(point, a, SignerComb::MULTIPLES));
    let digits: [i16; 64] = signed_digits(scalar, 4);
    digits
        .iter()
        .rev()
        .fold(JacobianPoint::INFINITY, |sum, digit| {
            let shifted = (0..4).fold(sum, |sum, _| sum.doubled(a));
            add_multiple(&shifted, *digit, &multiples, a)
        })
}

/// The table of the curve's generator, built at its first use.
pub fn generator_comb() -> &'static GeneratorComb {
    static GENERATOR_COMB: OnceLock<GeneratorComb> = OnceLock::new();
    GENERATOR_COMB.get_or_init(|| {
        let x = "1ef15c18599971b7beced415a40f0c7deacfd9b0d1819e03d723d8bc943cfca";
        let y = "5668060aa49730b7be4801df46ec62de53ecd11abe43a32873000c36e8dc1f";
        let generator = AffinePoint {
            x: Felt::from_hex_unchecked(x),
            y: Felt::from_hex_unchecked(y),
        };
        Comb::new(generator, Felt::ONE)
    })
}

fn add_multiple(sum: &JacobianPoint, digit: i16, row: &[AffinePoint], a: &Felt) -> JacobianPoint {
    if digit == 0 {
        return *sum;
    }
    let multiple = &row[usize::from(digit.unsigned_abs()) - 1];
    match digit > 0 {
        true => sum.plus(multiple, a),
        false => sum.plus(&multiple.negated(), a),
    }
}
