//! The field against integers of any size, at its edges and for random numbers.

use super::*;
use num_bigint::BigUint;

const ROUNDS: usize = 100_000;

fn prime() -> BigUint {
    (BigUint::from(1u8) << 251) + (BigUint::from(17u8) << 192) + 1u8
}

fn integer(limbs: &[u64]) -> BigUint {
    let limbs = limbs.iter().rev();
    limbs.fold(BigUint::ZERO, |number, limb| (number << 64) + *limb)
}

fn element<const BOUND: u64>(number: &BigUint) -> Element<BOUND> {
    assert!(*number < prime() * BOUND);
    let mut limbs = [0; LIMBS];
    for (limb, digit) in limbs.iter_mut().zip(number.iter_u64_digits()) {
        *limb = digit;
    }
    Element(limbs)
}

fn number<const BOUND: u64>(element: Element<BOUND>) -> BigUint {
    let number = integer(&element.0);
    assert!(number < prime() * BOUND);
    number
}

/// Numbers that any seed makes again (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn limb(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A third of the limbs are all ones or zeros.
    fn next<const BOUND: u64>(&mut self) -> Element<BOUND> {
        let limbs = [(); LIMBS].map(|()| match self.limb() % 6 {
            0 => u64::MAX,
            1 => 0,
            _ => self.limb(),
        });
        element(&(integer(&limbs) % (prime() * BOUND)))
    }
}

/// Numbers next to multiples of the prime and to powers of two, and limbs of ones.
fn edges<const BOUND: u64>() -> Vec<Element<BOUND>> {
    let limit = prime() * BOUND;
    let multiples = (0..=BOUND).map(|count| prime() * count);
    let powers = (0..256).map(|bits| BigUint::from(1u8) << bits);
    let ones = (0..16).map(|set| integer(&[0, 1, 2, 3].map(|at| (set >> at & 1) * u64::MAX)));
    let middles = multiples.chain(powers).chain(ones);
    let near = middles.flat_map(|middle| [&middle + 1u8, &middle + &limit - 1u8, middle]);
    near.map(|number| element(&(number % &limit))).collect()
}

fn pairs<const LEFT: u64, const RIGHT: u64>() -> Vec<(Element<LEFT>, Element<RIGHT>)> {
    let (lefts, rights) = (edges::<LEFT>(), edges::<RIGHT>());
    let rights = rights.iter().step_by(7);
    let at_edges = rights.flat_map(|right| lefts.iter().map(|left| (*left, *right)));
    let mut numbers = Numbers(LEFT << 8 | RIGHT);
    let random = (0..ROUNDS).map(|_| (numbers.next(), numbers.next()));
    at_edges.chain(random).collect()
}

fn singles<const BOUND: u64>() -> Vec<Element<BOUND>> {
    let mut numbers = Numbers(BOUND);
    let random = (0..ROUNDS).map(|_| numbers.next());
    edges().into_iter().chain(random).collect()
}

fn products_are_right<const LEFT: u64, const RIGHT: u64, const PRODUCT: u64>() {
    let inverse = BigUint::from(2u8).modpow(&(prime() - 257u16), &prime());
    for (left, right) in pairs::<LEFT, RIGHT>() {
        let product = number::<PRODUCT>(left.times(right));
        let expected = number(left) * number(right) * &inverse;
        assert_eq!(product % prime(), expected % prime());
    }
}

fn squares_are_right<const BOUND: u64, const SQUARE: u64>() {
    for element in singles::<BOUND>() {
        let square = number::<SQUARE>(element.squared());
        assert_eq!(square, number(element.times::<BOUND, SQUARE>(element)));
    }
}

#[test]
fn products_are_those_of_integers() {
    products_are_right::<1, 1, 2>();
    products_are_right::<2, 2, 2>();
    products_are_right::<2, 10, 2>();
    products_are_right::<31, 1, 2>();
    products_are_right::<30, 31, 31>();
}

#[test]
fn squares_are_products() {
    squares_are_right::<2, 2>();
    squares_are_right::<5, 2>();
    squares_are_right::<30, 31>();
}

#[test]
fn sums_and_differences_are_those_of_integers() {
    for (left, right) in pairs::<2, 29>() {
        let (first, second) = (number(left), number(right));
        assert_eq!(number::<31>(left.plus(right)), &first + &second);
        let difference = &first + prime() * 29u8 - &second;
        assert_eq!(number::<31>(left.minus(right)), difference);
        let difference = second + prime() * 2u8 - first;
        assert_eq!(number::<31>(right.minus(left)), difference);
    }
}

#[test]
fn shifts_and_reductions_are_those_of_integers() {
    for element in singles::<7>() {
        assert_eq!(
            number::<14>(element.shifted::<1, 14>()),
            number(element) * 2u8
        );
        assert_eq!(
            number::<28>(element.shifted::<2, 28>()),
            number(element) * 4u8
        );
    }
    for element in singles::<31>() {
        assert_eq!(
            number(element.reduced()) % prime(),
            number(element) % prime()
        );
    }
}

#[test]
fn zero_is_every_multiple_of_the_prime() {
    for element in singles::<31>() {
        let is_zero = number(element) % prime() == BigUint::ZERO;
        assert_eq!(element.is_zero(), is_zero);
    }
    let multiples = (0..31u8).map(|count| element::<31>(&(prime() * count)));
    assert!(multiples.map(Element::is_zero).all(|is_zero| is_zero));
}

#[test]
fn bytes_are_read_and_written_below_the_prime() {
    for element in singles::<2>() {
        let bytes = element.to_bytes();
        let value = BigUint::from_bytes_be(&bytes);
        assert!(value < prime());
        assert_eq!((value << 256) % prime(), number(element) % prime());
        let again = Residue::from_bytes(&bytes).expect("what is written is below the prime");
        assert_eq!(number(again) % prime(), number(element) % prime());
        assert_eq!(Felt::from(element).to_bytes_be(), bytes);
        assert_eq!(Residue::from(Felt::from_bytes_be(&bytes)).to_bytes(), bytes);
    }
}

#[test]
fn bytes_of_the_prime_or_more_are_refused() {
    let bytes_of = |number: BigUint| number.to_bytes_be().try_into().expect("32 bytes");
    assert!(Residue::from_bytes(&bytes_of(prime() - 1u8)).is_some());
    for bits in 0..256 {
        let number: BigUint = prime() + (BigUint::from(1u8) << bits) - 1u8;
        assert!(Residue::from_bytes(&bytes_of(number)).is_none());
    }
    assert!(Residue::from_bytes(&[0xff; FELT_BYTES]).is_none());
}

#[test]
fn constants_are_what_they_are_called() {
    let named = [(Residue::ZERO, 0), (Residue::ONE, 1), (Residue::TWO, 2)];
    for (residue, value) in named {
        assert_eq!(
            BigUint::from_bytes_be(&residue.to_bytes()),
            BigUint::from(value as u8)
        );
    }
    let half = BigUint::from_bytes_be(&Residue::HALF.to_bytes());
    assert_eq!(half * 2u8, prime() + 1u8);
}
