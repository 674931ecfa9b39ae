//! A signer's key as a point with known coordinates, found without a square root.
//!
//! A key is the x of a point whose y is the root of d = x^3 + x + b. A root costs as much as a
//! whole check in this field, and none is needed: scaling x by d and y by d^(3/2) maps the curve to
//! y^2 = x^3 + d^2 x + b d^3, where the key's point is (x d, d^2). Dividing by d gives x back; the
//! sign of y, which the root would decide, is the one that a signature leaves open anyway.

use crate::combs::{times_once, SignerComb};
use crate::points::{AffinePoint, JacobianPoint};
use crate::scalars::Scalar;
use starknet_types_core::felt::Felt;

/// The b of the STARK curve; its a is 1.
pub const BETA: Felt =
    Felt::from_hex_unchecked("6f21413efbe40de150e596d72f7a8c5609ad26c15c915c1f4cdfcb99cee9e89");

/// Half of the multiplicative group's order: a square to this power is 1.
const HALF_OF_GROUP: Felt =
    Felt::from_hex_unchecked("400000000000008800000000000000000000000000000000000000000000000");

/// A key's point on the curve scaled by `scale`.
pub struct SignerCurve {
    point: AffinePoint,
    a: Felt,
    scale: Felt,
}

/// A key's multiples on its scaled curve.
pub struct SignerTable {
    comb: SignerComb,
    scale: Felt,
}

/// A multiple of a key: its coordinates on the scaled curve, and the scale.
pub struct Multiple {
    pub scaled: JacobianPoint,
    pub scale: Felt,
}

impl SignerCurve {
    /// Return a key's curve; `None` where the key is the x of no point.
    pub fn of(key: &Felt) -> Option<Self> {
        let scale = *key * *key * *key + *key + BETA;
        if scale.pow_felt(&HALF_OF_GROUP) != Felt::ONE {
            return None;
        }
        let a = scale * scale;
        Some(SignerCurve {
            point: AffinePoint {
                x: *key * scale,
                y: a,
            },
            a,
            scale,
        })
    }

    /// Return the scalar's multiple of the key.
    pub fn times(&self, scalar: &Scalar) -> Multiple {
        Multiple {
            scaled: times_once(&self.point, scalar, &self.a),
            scale: self.scale,
        }
    }

    /// Build the key's table.
    pub fn table(&self) -> SignerTable {
        SignerTable {
            comb: SignerComb::new(self.point, self.a),
            scale: self.scale,
        }
    }
}

impl SignerTable {
    /// Return the scalar's multiple of the key.
    pub fn times(&self, scalar: &Scalar) -> Multiple {
        Multiple {
            scaled: self.comb.times(scalar),
            scale: self.scale,
        }
    }
}
