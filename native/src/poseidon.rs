//! Poseidon of Starknet: the Hades permutation of three residues, and hashes made of it.
//!
//! A full round adds a constant to each residue, cubes all three and mixes them; a partial round
//! does so for the third alone. The constants are the published ones in their shorter form, where
//! those of the first two residues in partial rounds are moved on to later rounds.

use crate::field::{Element, Residue};
use lambdaworks_crypto::hash::poseidon::parameters::PermutationParameters;
use lambdaworks_crypto::hash::poseidon::starknet::PoseidonCairoStark252;
use starknet_types_core::felt::Felt;
use std::array::from_fn;
use std::sync::LazyLock;

/// Residues of the permutation's state.
const WIDTH: usize = 3;

/// Full rounds before the partial ones, and again after them.
const FULL_ROUNDS: usize = 4;
const PARTIAL_ROUNDS: usize = 83;

type State = [Residue; WIDTH];
type Constant = Element<1>;

struct Constants {
    first: [[Constant; WIDTH]; FULL_ROUNDS],
    partial: [Constant; PARTIAL_ROUNDS],
    last: [[Constant; WIDTH]; FULL_ROUNDS],
}

static CONSTANTS: LazyLock<Constants> = LazyLock::new(|| {
    let mut published = PoseidonCairoStark252::ROUND_CONSTANTS.iter();
    // The permutation has just as many constants as are published for it.
    let mut next = || {
        let limbs = published.next().map(|constant| constant.to_raw().limbs);
        Constant::from(limbs.map_or(Felt::ZERO, Felt::from_raw))
    };
    Constants {
        first: from_fn(|_| from_fn(|_| next())),
        partial: from_fn(|_| next()),
        last: from_fn(|_| from_fn(|_| next())),
    }
});

/// Return the hash of two residues.
pub fn hash(left: Residue, right: Residue) -> Residue {
    let [hash, ..] = permuted([left, right, Residue::TWO]);
    hash
}

/// Return the hash of two felts.
pub fn hash_felts(left: Felt, right: Felt) -> Felt {
    Felt::from(hash(Residue::from(left), Residue::from(right)))
}

/// Return the sponge over residues, to which a 1 is appended, and a 0 where they are then odd.
pub fn sponge(residues: &[Residue]) -> Residue {
    let pairs = residues.chunks_exact(2);
    let last = match pairs.remainder() {
        [left] => [*left, Residue::ONE],
        _ => [Residue::ONE, Residue::ZERO],
    };
    let state = pairs.fold([Residue::ZERO; WIDTH], |state, pair| {
        absorbed(state, [pair[0], pair[1]])
    });
    let [hash, ..] = absorbed(state, last);
    hash
}

fn absorbed([first, second, third]: State, [left, right]: [Residue; 2]) -> State {
    permuted([
        first.plus::<2, 4>(left).reduced(),
        second.plus::<2, 4>(right).reduced(),
        third,
    ])
}

fn permuted(state: State) -> State {
    let constants = &*CONSTANTS;
    let state = constants.first.iter().fold(state, full_round);
    let state = partial_rounds(state, &constants.partial);
    constants.last.iter().fold(state, full_round)
}

/// Mix the cubes a, b, c to 3a + b + c, a - b + c and a + b - 2c.
#[inline(always)]
fn full_round(state: State, constants: &[Constant; WIDTH]) -> State {
    let [a, b, c] = from_fn(|place| cubed(state[place].plus(constants[place])));
    let both = a.plus::<2, 4>(b);
    let first = both.plus::<2, 6>(c).plus::<4, 10>(a.shifted::<1, 4>());
    let second = a.plus::<2, 4>(c).minus::<2, 6>(b);
    let third = both.minus::<4, 8>(c.shifted::<1, 4>());
    [first.reduced(), second.reduced(), third.reduced()]
}

#[inline(always)]
fn cubed(element: Element<3>) -> Residue {
    element.squared::<2>().times(element)
}

/// Do all partial rounds: each adds a constant to the third residue and cubes it, to u, then mixes
/// the state (a, b, u) to 3a + b + u, a - b + u and a + b - 2u.
///
/// Let w be a + b. After the round it is 4a + 2u, and after the next, with the cube u', it is twice
/// that, and 4w, and 2u'. So two successive w stand for a and b, and a round is one cube and
/// w'' = 2w' + 4w + 2u', with w - 2u as the third residue. In the end w' / 2 + w is the first one
/// and w' / 2 - w the second. A cube waits for nothing but the cube before it.
fn partial_rounds([a, b, c]: State, constants: &[Constant; PARTIAL_ROUNDS]) -> State {
    let [constant, rest @ ..] = constants;
    let mut cube = cubed_twice(c.plus(*constant));
    let mut before = a.plus::<2, 4>(b).reduced();
    let mut latest = a.shifted::<2, 8>().plus::<2, 10>(cube).reduced();
    for constant in rest {
        cube = cubed_twice(before.plus::<1, 3>(*constant).minus(cube));
        let older = before.shifted::<2, 8>();
        before = latest;
        let next = latest.shifted::<1, 4>().plus::<8, 12>(older);
        latest = next.plus::<2, 14>(cube).reduced();
    }
    let half: Residue = latest.times(Residue::HALF);
    [
        half.plus::<2, 4>(before).reduced(),
        half.minus::<2, 4>(before).reduced(),
        before.minus::<2, 4>(cube).reduced(),
    ]
}

/// Return twice the cube: to double the element takes no time while it is being squared.
#[inline(always)]
fn cubed_twice(element: Element<5>) -> Residue {
    let square: Residue = element.squared();
    square.times(element.shifted::<1, 10>())
}
