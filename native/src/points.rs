//! Points of curves y^2 = x^3 + a x + b over the field, with sums that know every case.
//!
//! No sum needs b. So the same code serves the STARK curve (a = 1) and the curves isomorphic to
//! it on which a signer's key has coordinates without a square root.

use crate::field::{Element, Residue};
use crate::inverses::inverses;
use starknet_types_core::felt::Felt;

/// A point that is not infinity.
#[derive(Clone, Copy)]
pub struct AffinePoint {
    pub x: Felt,
    pub y: Felt,
}

impl AffinePoint {
    /// Return the opposite point.
    pub fn negated(&self) -> Self {
        AffinePoint {
            x: self.x,
            y: -self.y,
        }
    }
}

/// The point (x / z^2, y / z^3), or infinity where z is 0.
#[derive(Clone, Copy)]
pub struct JacobianPoint {
    x: Residue,
    y: Residue,
    z: Residue,
}

impl JacobianPoint {
    /// The neutral element.
    pub const INFINITY: Self = JacobianPoint {
        x: Residue::ONE,
        y: Residue::ONE,
        z: Residue::ZERO,
    };

    /// Return x, y and z.
    pub fn coordinates(&self) -> [Felt; 3] {
        [self.x, self.y, self.z].map(Felt::from)
    }

    /// Say whether this is the neutral element.
    pub fn is_infinity(&self) -> bool {
        self.z.is_zero()
    }

    /// Return twice the point on a curve with this `a`; a point of order 2 gives z = 0.
    pub fn doubled(&self, a: &Felt) -> Self {
        let y_squared: Residue = self.y.squared();
        let z_squared: Residue = self.z.squared();
        let z_fourth: Residue = z_squared.squared();
        let s: Residue = self.x.times(y_squared);
        let s = s.shifted::<2, 8>().reduced();
        let x_squared: Residue = self.x.squared();
        let x_squared_threefold = x_squared.plus::<4, 6>(x_squared.shifted::<1, 4>());
        let of_a: Residue = z_fourth.times(Element::<1>::from(*a));
        let slope = x_squared_threefold.plus::<2, 8>(of_a).reduced();
        let slope_squared: Residue = slope.squared();
        let x = slope_squared.minus::<4, 6>(s.shifted::<1, 4>()).reduced();
        let y_fourth: Residue = y_squared.squared();
        let rise: Residue = slope.times(s.minus::<2, 4>(x));
        let z: Residue = self.y.times(self.z);
        JacobianPoint {
            x,
            y: rise.minus::<16, 18>(y_fourth.shifted::<3, 16>()).reduced(),
            z: z.shifted::<1, 4>().reduced(),
        }
    }

    /// Return the sum with an affine point on a curve with this `a`.
    pub fn plus(&self, other: &AffinePoint, a: &Felt) -> Self {
        if self.is_infinity() {
            return JacobianPoint::from(*other);
        }
        let z_squared: Residue = self.z.squared();
        let z_cubed: Residue = self.z.times(z_squared);
        let other_x: Residue = z_squared.times(Element::<1>::from(other.x));
        let other_y: Residue = z_cubed.times(Element::<1>::from(other.y));
        let run: Element<4> = other_x.minus(self.x);
        let rise: Element<4> = other_y.minus(self.y);
        if run.is_zero() {
            return match rise.is_zero() {
                true => self.doubled(a),
                false => JacobianPoint::INFINITY,
            };
        }
        self.moved(run, rise)
    }

    fn moved(&self, run: Element<4>, rise: Element<4>) -> Self {
        let run_squared: Residue = run.squared();
        let run_cubed: Residue = run.times(run_squared);
        let v: Residue = self.x.times(run_squared);
        let rise_squared: Residue = rise.squared();
        let taken = run_cubed.plus::<4, 6>(v.shifted::<1, 4>());
        let x = rise_squared.minus::<6, 8>(taken).reduced();
        let y: Residue = rise.times(v.minus::<2, 4>(x));
        let y_taken: Residue = self.y.times(run_cubed);
        JacobianPoint {
            x,
            y: y.minus::<2, 4>(y_taken).reduced(),
            z: self.z.times(run),
        }
    }
}

impl From<AffinePoint> for JacobianPoint {
    fn from(point: AffinePoint) -> Self {
        JacobianPoint {
            x: Residue::from(point.x),
            y: Residue::from(point.y),
            z: Residue::ONE,
        }
    }
}

/// Return a point once, twice and so on, `count` times at last.
pub fn multiples_of(point: &AffinePoint, a: &Felt, count: usize) -> Vec<JacobianPoint> {
    let first = JacobianPoint::from(*point);
    std::iter::successors(Some(first), |last| Some(last.plus(point, a)))
        .take(count)
        .collect()
}

/// Return a point times 2^0, 2^`bits`, 2^(2 `bits`) and so on, `count` of them.
pub fn places_of(point: &AffinePoint, a: &Felt, bits: u32, count: usize) -> Vec<AffinePoint> {
    let first = JacobianPoint::from(*point);
    let next = |last: &JacobianPoint| (0..bits).fold(*last, |point, _| point.doubled(a));
    let places = std::iter::successors(Some(first), |last| Some(next(last)));
    to_affine(&places.take(count).collect::<Vec<_>>())
}

/// Return the points with one inversion for all; infinity, which has none, becomes (0, 0).
pub fn to_affine(points: &[JacobianPoint]) -> Vec<AffinePoint> {
    let coordinates = points.iter().map(JacobianPoint::coordinates);
    let coordinates: Vec<[Felt; 3]> = coordinates.collect();
    let divisors: Vec<Felt> = coordinates.iter().map(|[_, _, z]| *z).collect();
    coordinates
        .iter()
        .zip(inverses(&divisors, [Felt::ZERO, Felt::ONE], Felt::inverse))
        .map(|([x, y, _], inverse)| {
            let squared = inverse * inverse;
            AffinePoint {
                x: *x * squared,
                y: *y * squared * inverse,
            }
        })
        .collect()
}
