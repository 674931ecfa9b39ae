//! The Pedersen hash from tables with 8-bit windows: 64 additions, and one inversion for a batch.

use crate::points::{multiples_of, places_of, to_affine, AffinePoint, JacobianPoint};
use starknet_types_core::felt::Felt;
use std::sync::OnceLock;

const WINDOW_MULTIPLES: usize = 255;
const LOW_BYTES: usize = 31;
const HIGH_MULTIPLES: usize = 15;

/// The published constants: the shift point, and for each argument the point of its lowest 248
/// bits and that of its highest 4.
const SHIFT_POINT: [&str; 2] = [
    "49ee3eba8c1600700ee1b87eb599f16716b0b1022947733551fde4050ca6804",
    "3ca0cfe4b3bc6ddf346d49d06ea0ed34e621062c0e056c1d0405d266e10268a",
];
const LEFT_POINTS: [[&str; 2]; 2] = [
    [
        "234287dcbaffe7f969c748655fca9e58fa8120b6d56eb0c1080d17957ebe47b",
        "3b056f100f96fb21e889527d41f4e39940135dd7a6c94cc6ed0268ee89e5615",
    ],
    [
        "4fa56f376c83db33f9dab2656558f3399099ec1de5e3018b7a6932dba8aa378",
        "3fa0984c931c9e38113e0c0e47e4401562761f92a7a23b45168f4e80ff5b54d",
    ],
];
const RIGHT_POINTS: [[&str; 2]; 2] = [
    [
        "4ba4cc166be8dec764910f75b45f74b40c690c74709e90f3aa372f0bd2d6997",
        "40301cf5c1751f4b971e46c4ede85fcac5c59a5ce5ae7c48151f27b24b219c",
    ],
    [
        "54302dcb0e6cc1c6e44cca8f61a63bb2ca65048d53fb325d36ff12c49a58202",
        "1b77b3e37d13504b348046268d8ae25ce98ad783c25561a879dcc77e99c2426",
    ],
];

struct Tables {
    shift: AffinePoint,
    left: Vec<AffinePoint>,
    right: Vec<AffinePoint>,
}

/// Return the hash of each pair.
pub fn hash_pairs(pairs: &[(Felt, Felt)]) -> Vec<Felt> {
    let sums: Vec<JacobianPoint> = pairs.iter().map(|(left, right)| sum(left, right)).collect();
    to_affine(&sums).into_iter().map(|point| point.x).collect()
}

/// Return the hash of one pair.
pub fn hash(left: &Felt, right: &Felt) -> Felt {
    let [x, _, z] = sum(left, right).coordinates();
    let squared = (z * z).inverse().unwrap_or(Felt::ZERO);
    x * squared
}

fn sum(left: &Felt, right: &Felt) -> JacobianPoint {
    let tables = tables();
    let shift = JacobianPoint::from(tables.shift);
    let sum = add_multiples(shift, left, &tables.left);
    add_multiples(sum, right, &tables.right)
}

fn add_multiples(start: JacobianPoint, felt: &Felt, table: &[AffinePoint]) -> JacobianPoint {
    let bytes = felt.to_bytes_le();
    let rows = table.chunks(WINDOW_MULTIPLES);
    bytes.iter().zip(rows).fold(start, |sum, (byte, row)| {
        match usize::from(*byte).checked_sub(1) {
            Some(place) => sum.plus(&row[place], &Felt::ONE),
            None => sum,
        }
    })
}

fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| Tables {
        shift: published(&SHIFT_POINT),
        left: table(&LEFT_POINTS),
        right: table(&RIGHT_POINTS),
    })
}

/// Return 255 multiples for each of the 31 lower bytes, then 15 for the last, which is below 16.
fn table([low, high]: &[[&str; 2]; 2]) -> Vec<AffinePoint> {
    let mut multiples = Vec::with_capacity(LOW_BYTES * WINDOW_MULTIPLES + HIGH_MULTIPLES);
    for place in places_of(&published(low), &Felt::ONE, u8::BITS, LOW_BYTES) {
        multiples.extend(multiples_of(&place, &Felt::ONE, WINDOW_MULTIPLES));
    }
    multiples.extend(multiples_of(&published(high), &Felt::ONE, HIGH_MULTIPLES));
    to_affine(&multiples)
}

fn published([x, y]: &[&str; 2]) -> AffinePoint {
    AffinePoint {
        x: Felt::from_hex_unchecked(x),
        y: Felt::from_hex_unchecked(y),
    }
}
