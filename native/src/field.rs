//! Arithmetic modulo the field's prime, 2^251 + 17 * 2^192 + 1, made for this prime alone.
//!
//! A residue r is kept as a number that is r * 2^256 modulo the prime. Four limbs hold up to 31
//! primes, so a sum need not be reduced at once: the type says below how many primes its number
//! is, and the compiler refuses an operation whose result could be above what its type says.
//!
//! The prime is 1 modulo 2^192. So taking a multiple of it from a product, to clear the product's
//! lower limbs, costs no multiplication but those by the prime's highest limb.

use starknet_types_core::felt::Felt;

#[cfg(test)]
mod tests;

/// Length of an encoded field element.
pub const FELT_BYTES: usize = 32;

const LIMBS: usize = 4;
const LIMB_BYTES: usize = FELT_BYTES / LIMBS;

/// The lowest limb first.
type Limbs = [u64; LIMBS];

/// The prime's limbs are 1, 0, 0 and this one.
const PRIME_HIGHEST_LIMB: u64 = (1 << HIGHEST_LIMB_BITS) + 17;

/// Bits of the highest limb that belong to a number below 2^251.
const HIGHEST_LIMB_BITS: u32 = 59;

/// The most primes whose sum is below 2^256.
const BOUND_MAX: u64 = 31;

/// 2^512 modulo the prime: a residue times this, divided by 2^256, is as it is kept.
const KEEPING: Element<2> = power_of_two(512);

/// A residue, kept as a number below `BOUND` primes.
#[derive(Clone, Copy, Debug)]
pub struct Element<const BOUND: u64>(Limbs);

/// A residue as every hash takes and returns it.
pub type Residue = Element<2>;

impl Residue {
    pub const ZERO: Self = Element([0; LIMBS]);
    pub const ONE: Self = power_of_two(256);
    pub const TWO: Self = power_of_two(257);

    /// A half is kept as half of 2^256.
    pub const HALF: Self = power_of_two(255);

    /// Read 32 bytes, big-endian; `None` where they are not below the prime.
    pub fn from_bytes(bytes: &[u8; FELT_BYTES]) -> Option<Self> {
        let mut number = [0; LIMBS];
        for (limb, part) in number.iter_mut().rev().zip(bytes.chunks_exact(LIMB_BYTES)) {
            let bytes = part.iter();
            *limb = bytes.fold(0, |limb, byte| limb << 8 | u64::from(*byte));
        }
        let (_, is_below) = difference(&number, &primes(1));
        is_below.then(|| Element::<1>(number).times(KEEPING))
    }

    /// Write 32 bytes, big-endian, below the prime.
    pub fn to_bytes(self) -> [u8; FELT_BYTES] {
        let [a, b, c, d] = self.0;
        let number = Element::<2>(divided(&[a, b, c, d, 0, 0, 0, 0])).canonical();
        let mut bytes = [0; FELT_BYTES];
        let parts = bytes.chunks_exact_mut(LIMB_BYTES);
        for (part, limb) in parts.zip(number.0.iter().rev()) {
            part.copy_from_slice(&limb.to_be_bytes());
        }
        bytes
    }

    fn canonical(self) -> Element<1> {
        let (lower, is_below) = difference(&self.0, &primes(1));
        Element(if is_below { self.0 } else { lower })
    }
}

impl<const BOUND: u64> Element<BOUND> {
    /// Say whether the residue is 0: the number is 0 or so many primes.
    #[inline(always)]
    pub const fn is_zero(self) -> bool {
        let [count, b, c, d] = self.0;
        b | c == 0 && count < BOUND && d == count.wrapping_mul(PRIME_HIGHEST_LIMB)
    }

    /// Return the sum.
    #[inline(always)]
    pub const fn plus<const OTHER: u64, const SUM: u64>(
        self,
        other: Element<OTHER>,
    ) -> Element<SUM> {
        const { assert!(BOUND + OTHER <= SUM && SUM <= BOUND_MAX) };
        Element(sum(&self.0, &other.0))
    }

    /// Return the difference, with as many primes on top as the other number may have.
    #[inline(always)]
    pub const fn minus<const OTHER: u64, const DIFFERENCE: u64>(
        self,
        other: Element<OTHER>,
    ) -> Element<DIFFERENCE> {
        const { assert!(BOUND + OTHER <= DIFFERENCE && DIFFERENCE <= BOUND_MAX) };
        let raised = sum(&self.0, &primes(OTHER));
        Element(difference(&raised, &other.0).0)
    }

    /// Return the element times 2^`BITS`.
    #[inline(always)]
    pub const fn shifted<const BITS: u32, const SHIFTED: u64>(self) -> Element<SHIFTED> {
        const { assert!(0 < BITS && BOUND << BITS <= SHIFTED && SHIFTED <= BOUND_MAX) };
        let [a, b, c, d] = self.0;
        let rest = u64::BITS - BITS;
        Element([
            a << BITS,
            b << BITS | a >> rest,
            c << BITS | b >> rest,
            d << BITS | c >> rest,
        ])
    }

    /// Return the same residue below two primes.
    ///
    /// The number's bits from 2^251 on are some q of 0 .. 31. Taken away are q - 1 primes, where
    /// there are any: they exceed (q - 1) * 2^251 by less than 2^251, so what is left is not below
    /// 0; and it is below 2 * 2^251.
    #[inline(always)]
    pub const fn reduced(self) -> Residue {
        let count = (self.0[3] >> HIGHEST_LIMB_BITS).saturating_sub(1);
        Element(difference(&self.0, &primes(count)).0)
    }

    /// Return the product.
    #[inline(always)]
    pub const fn times<const OTHER: u64, const PRODUCT: u64>(
        self,
        other: Element<OTHER>,
    ) -> Element<PRODUCT> {
        const { assert!(BOUND * OTHER <= BOUND_MAX * (PRODUCT - 1) && PRODUCT <= BOUND_MAX) };
        Element(divided(&product(&self.0, &other.0)))
    }

    /// Return the square.
    #[inline(always)]
    pub const fn squared<const SQUARE: u64>(self) -> Element<SQUARE> {
        const { assert!(BOUND * BOUND <= BOUND_MAX * (SQUARE - 1) && SQUARE <= BOUND_MAX) };
        Element(divided(&square(&self.0)))
    }
}

/// A felt of the crate is kept in the same way, and below the prime.
impl From<Felt> for Element<1> {
    fn from(felt: Felt) -> Self {
        Element(felt.to_raw_reversed())
    }
}

impl From<Felt> for Residue {
    fn from(felt: Felt) -> Self {
        Element(felt.to_raw_reversed())
    }
}

impl From<Residue> for Felt {
    fn from(residue: Residue) -> Self {
        let [a, b, c, d] = residue.canonical().0;
        Felt::from_raw([d, c, b, a])
    }
}

/// Return a power of two as a number, below two primes.
const fn power_of_two(exponent: u32) -> Residue {
    let mut number: Residue = Element([1, 0, 0, 0]);
    let mut done = 0;
    while done < exponent {
        number = number.shifted::<1, 4>().reduced();
        done += 1;
    }
    number
}

/// Return so many primes, at most 31.
#[inline(always)]
const fn primes(count: u64) -> Limbs {
    [count, 0, 0, count.wrapping_mul(PRIME_HIGHEST_LIMB)]
}

/// Return t / 2^256 modulo the prime, above t / 2^256 by at most one prime and not below 0.
///
/// With l the three lowest limbs of t and h the others, t - l * prime is h - l * highest limb,
/// times 2^192. The same again with the lowest limb of that leaves t - m * prime, times 2^256, for
/// an m below 2^256, which is above -prime: one prime on top makes it 0 or more. Where t is the
/// product of numbers below A and B primes, t / 2^256 is below A * B / 31 primes, for 31 primes are
/// below 2^256.
///
/// The limbs count modulo 2^256, where the end result is and what comes before may not be.
#[inline(always)]
const fn divided(t: &[u64; 2 * LIMBS]) -> Limbs {
    let [l0, l1, l2, l3] = multiplied(PRIME_HIGHEST_LIMB, &[t[0], t[1], t[2]]);
    let (lowest, borrow) = t[3].overflowing_sub(l0);
    let (a, borrow) = borrowing(t[4], l1, borrow);
    let (b, borrow) = borrowing(t[5], l2, borrow);
    let (c, borrow) = borrowing(t[6], l3, borrow);
    let d = t[7].wrapping_sub(borrow as u64);
    // One prime on top, and `lowest` highest limbs at 2^128 off: 1, and at 2^128 what is left of
    // 2^64 highest limbs.
    let rest = !lowest as u128 * PRIME_HIGHEST_LIMB as u128 + PRIME_HIGHEST_LIMB as u128;
    sum(&[a, b, c, d], &[1, 0, rest as u64, (rest >> 64) as u64])
}

/// Return left * right. Each row is below 2^320, and so is its sum with what is above it.
#[inline(always)]
const fn product(left: &Limbs, right: &Limbs) -> [u64; 2 * LIMBS] {
    let [t0, above @ ..] = row(left[0], right);
    let [t1, above @ ..] = row_below(&above, left[1], right);
    let [t2, above @ ..] = row_below(&above, left[2], right);
    let [t3, t4, t5, t6, t7] = row_below(&above, left[3], right);
    [t0, t1, t2, t3, t4, t5, t6, t7]
}

#[inline(always)]
const fn row(left: u64, right: &Limbs) -> [u64; LIMBS + 1] {
    let [a, b, c, d] = multiplied(left, &[right[0], right[1], right[2]]);
    let (low, high) = wide(left, right[3]);
    let (d, carry) = d.overflowing_add(low);
    [a, b, c, d, high + carry as u64]
}

#[inline(always)]
const fn row_below(above: &Limbs, left: u64, right: &Limbs) -> [u64; LIMBS + 1] {
    let [a, b, c, d, e] = row(left, right);
    let (a, carry) = above[0].overflowing_add(a);
    let (b, carry) = carrying(above[1], b, carry);
    let (c, carry) = carrying(above[2], c, carry);
    let (d, carry) = carrying(above[3], d, carry);
    [a, b, c, d, e + carry as u64]
}

/// Return the square: twice the products of different limbs, and the squares of limbs.
#[inline(always)]
const fn square(number: &Limbs) -> [u64; 2 * LIMBS] {
    let [a, b, c, d] = *number;
    let [t1, t2, t3, t4] = multiplied(a, &[b, c, d]);
    let (bc, bc_high) = wide(b, c);
    let (bd, bd_high) = wide(b, d);
    let (cd, cd_high) = wide(c, d);
    let (t3, carry) = t3.overflowing_add(bc);
    let (t4, carry) = carrying(t4, bc_high, carry);
    let (t5, carry) = carrying(bd_high, cd, carry);
    let t6 = cd_high + carry as u64;
    let (t4, carry) = t4.overflowing_add(bd);
    let (t5, carry) = t5.overflowing_add(carry as u64);
    let t6 = t6 + carry as u64;
    with_squares(number, &[t1, t2, t3, t4, t5, t6])
}

/// Return twice these limbs, of which the first counts 2^64, and the squares of `number`'s.
#[inline(always)]
const fn with_squares(number: &Limbs, t: &[u64; 2 * LIMBS - 2]) -> [u64; 2 * LIMBS] {
    let (a, a_high) = wide(number[0], number[0]);
    let (b, b_high) = wide(number[1], number[1]);
    let (c, c_high) = wide(number[2], number[2]);
    let (d, d_high) = wide(number[3], number[3]);
    let (t1, carry) = (t[0] << 1).overflowing_add(a_high);
    let (t2, carry) = carrying(t[1] << 1 | t[0] >> 63, b, carry);
    let (t3, carry) = carrying(t[2] << 1 | t[1] >> 63, b_high, carry);
    let (t4, carry) = carrying(t[3] << 1 | t[2] >> 63, c, carry);
    let (t5, carry) = carrying(t[4] << 1 | t[3] >> 63, c_high, carry);
    let (t6, carry) = carrying(t[5] << 1 | t[4] >> 63, d, carry);
    let t7 = d_high + (t[5] >> 63) + carry as u64;
    [a, t1, t2, t3, t4, t5, t6, t7]
}

/// Return left * right, below 2^256.
#[inline(always)]
const fn multiplied(left: u64, right: &[u64; LIMBS - 1]) -> Limbs {
    let (a, a_high) = wide(left, right[0]);
    let (b, b_high) = wide(left, right[1]);
    let (c, c_high) = wide(left, right[2]);
    let (b, carry) = a_high.overflowing_add(b);
    let (c, carry) = carrying(b_high, c, carry);
    [a, b, c, c_high + carry as u64]
}

/// Return the two limbs of left * right.
#[inline(always)]
const fn wide(left: u64, right: u64) -> (u64, u64) {
    let product = left as u128 * right as u128;
    (product as u64, (product >> u64::BITS) as u64)
}

/// Return left + right modulo 2^256.
#[inline(always)]
const fn sum(left: &Limbs, right: &Limbs) -> Limbs {
    let (a, carry) = left[0].overflowing_add(right[0]);
    let (b, carry) = carrying(left[1], right[1], carry);
    let (c, carry) = carrying(left[2], right[2], carry);
    let (d, _) = carrying(left[3], right[3], carry);
    [a, b, c, d]
}

/// Return left - right modulo 2^256, and whether left is below right.
#[inline(always)]
const fn difference(left: &Limbs, right: &Limbs) -> (Limbs, bool) {
    let (a, borrow) = left[0].overflowing_sub(right[0]);
    let (b, borrow) = borrowing(left[1], right[1], borrow);
    let (c, borrow) = borrowing(left[2], right[2], borrow);
    let (d, borrow) = borrowing(left[3], right[3], borrow);
    ([a, b, c, d], borrow)
}

#[inline(always)]
const fn carrying(left: u64, right: u64, carry: bool) -> (u64, bool) {
    let (sum, first) = left.overflowing_add(right);
    let (sum, second) = sum.overflowing_add(carry as u64);
    (sum, first | second)
}

#[inline(always)]
const fn borrowing(left: u64, right: u64, borrow: bool) -> (u64, bool) {
    let (difference, first) = left.overflowing_sub(right);
    let (difference, second) = difference.overflowing_sub(borrow as u64);
    (difference, first | second)
}
