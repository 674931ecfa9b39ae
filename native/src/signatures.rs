//! Checking signatures, with the ranges and verdicts of the published verifier.
//!
//! - A key is below the prime, not 0, and the x of a point.
//! - Hash and r are in 1 .. 2^251 - 1; so are s and its inverse w modulo the order.
//! - Accepted is what has r as the x of z w G + r w Q or of z w G - r w Q.

use crate::combs::generator_comb;
use crate::felts::{read_felt, FELT_BYTES};
use crate::inverses::inverses;
use crate::points::JacobianPoint;
use crate::scalars::{is_bounded, read_bounded, Scalar};
use crate::signer_curve::{Multiple, SignerCurve, BETA};
use crate::signers::{keep_table, remember_sight, remember_use, sight_of, Sight};
use crate::threads::in_two_threads;
use starknet_types_core::felt::Felt;
use std::panic::catch_unwind;
use std::sync::Arc;

/// Length of an encoded signature: key, message hash, r, s.
pub const SIGNATURE_BYTES: usize = 4 * FELT_BYTES;

/// Signatures from which on two threads take them: some 15 us each, against 50 us for a thread.
const TWO_THREADS_SIGNATURES_MIN: usize = 8;

struct Claim {
    key: Felt,
    message_hash: Scalar,
    r: Felt,
    r_scalar: Scalar,
    s: Scalar,
}

/// Return a verdict, 0 or 1, for each signature of 128 bytes.
pub fn verify_many(signatures: &[u8]) -> Vec<u8> {
    let count = signatures.len() / SIGNATURE_BYTES;
    in_two_threads(count, count >= TWO_THREADS_SIGNATURES_MIN, |range| {
        let part = &signatures[range.start * SIGNATURE_BYTES..range.end * SIGNATURE_BYTES];
        caught_verdicts(part)
    })
}

/// Judge signatures together; should one of them panic, each of them alone.
fn caught_verdicts(signatures: &[u8]) -> Vec<u8> {
    catch_unwind(|| verdicts(signatures)).unwrap_or_else(|_| {
        let each = signatures.chunks_exact(SIGNATURE_BYTES);
        each.flat_map(|one| catch_unwind(|| verdicts(one)).unwrap_or(vec![0]))
            .collect()
    })
}

fn verdicts(signatures: &[u8]) -> Vec<u8> {
    let each = signatures.chunks_exact(SIGNATURE_BYTES);
    let claims: Vec<Option<Claim>> = each.map(read_claim).collect();
    let divisors: Vec<Scalar> = claims
        .iter()
        .map(|claim| claim.as_ref().map_or(Scalar::zero(), |claim| claim.s))
        .collect();
    let inverses = inverses(&divisors, [Scalar::zero(), Scalar::one()], |scalar| {
        scalar.inv().ok()
    });
    claims
        .iter()
        .zip(inverses)
        .map(|(claim, inverse)| {
            let accepted = claim
                .as_ref()
                .is_some_and(|claim| is_valid(claim, &inverse));
            u8::from(accepted)
        })
        .collect()
}

fn read_claim(signature: &[u8]) -> Option<Claim> {
    let mut parts = signature.chunks_exact(FELT_BYTES);
    let key = read_felt(parts.next()?).ok()?;
    let message_hash = read_bounded(parts.next()?)?;
    let r_bytes = parts.next()?;
    let r_scalar = read_bounded(r_bytes)?;
    let s = read_bounded(parts.next()?)?;
    (key != Felt::ZERO).then_some(Claim {
        key,
        message_hash,
        r: read_felt(r_bytes).ok()?,
        r_scalar,
        s,
    })
}

fn is_valid(claim: &Claim, inverse: &Scalar) -> bool {
    if !is_bounded(inverse) {
        return false;
    }
    let of_generator = generator_comb().times(&(claim.message_hash * *inverse));
    let of_key = claim.r_scalar * *inverse;
    match sight_of(&claim.key) {
        Sight::Known(table) => {
            let accepted = has_sum(&of_generator, &table.times(&of_key), &claim.r);
            if accepted {
                remember_use(&claim.key);
            }
            accepted
        }
        sight => SignerCurve::of(&claim.key).is_some_and(|curve| {
            let accepted = has_sum(&of_generator, &curve.times(&of_key), &claim.r);
            match sight {
                Sight::Second if accepted => keep_table(claim.key, Arc::new(curve.table())),
                Sight::First if accepted => remember_sight(claim.key),
                _ => {}
            }
            accepted
        }),
    }
}

/// Say whether r is the x of the sum or of the difference of two points.
///
/// For points with different x, both are roots of one equation (Semaev's third summation
/// polynomial) in the three x alone, so that neither y nor a division is needed:
/// (u - v)^2 r^2 - 2 ((u + v) (u v + a) + 2 b) r + (u v - a)^2 - 4 b (u + v) = 0.
fn has_sum(of_generator: &JacobianPoint, of_key: &Multiple, r: &Felt) -> bool {
    if of_generator.is_infinity() || of_key.scaled.is_infinity() {
        return false;
    }
    // u = x_left / z_left, v = x_right / z_right.
    let [x_left, _, z_left] = of_generator.coordinates();
    let z_left = z_left * z_left;
    let [x_right, _, z_right] = of_key.scaled.coordinates();
    let z_right = of_key.scale * z_right * z_right;
    let left = x_left * z_right;
    let right = x_right * z_left;
    if left == right {
        return has_double(of_generator, of_key, r);
    }
    let difference = (left - right) * *r;
    let sum = left + right;
    let x_product = x_left * x_right;
    let z_product = z_left * z_right;
    let beta = BETA * z_product;
    let linear = (sum * (x_product + z_product) + (beta * z_product).double()) * *r;
    let constant = x_product - z_product;
    let constant = constant * constant - (beta * sum).double().double();
    difference * difference - linear.double() + constant == Felt::ZERO
}

/// Judge points that are equal or opposite: r = +-z / d for the key's private key d.
///
/// One of sum and difference is infinity then. The published verifier takes the lesser root for
/// the key's y, adds before it subtracts, and knows no infinity: it accepts only where the sum is
/// the double of the two.
fn has_double(of_generator: &JacobianPoint, of_key: &Multiple, r: &Felt) -> bool {
    let double = of_generator.doubled(&Felt::ONE);
    let [x, _, z] = double.coordinates();
    if double.is_infinity() || x != *r * z * z {
        return false;
    }
    // Only now the root, which takes as long as ten checks.
    let Some(root) = of_key.scale.sqrt() else {
        return false;
    };
    let [_, y_left, z_left] = of_generator.coordinates();
    let [_, y_right, z_right] = of_key.scaled.coordinates();
    let own = z_left * z_left * z_left * y_right;
    let other = z_right * z_right * z_right * y_left * of_key.scale * root;
    own == other
}
