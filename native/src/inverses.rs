//! Inverses of many numbers modulo a prime, with one inversion for all of them.

use std::ops::Mul;

/// Return the numbers' inverses; that of a zero is zero.
pub fn inverses<T>(numbers: &[T], [zero, one]: [T; 2], invert: impl Fn(&T) -> Option<T>) -> Vec<T>
where
    T: Copy + PartialEq + Mul<Output = T>,
{
    let mut product = one;
    let mut inverses = Vec::with_capacity(numbers.len());
    for number in numbers {
        inverses.push(product);
        if *number != zero {
            product = product * *number;
        }
    }
    // A product of numbers other than 0 is not 0 modulo a prime, so the inverse exists.
    let mut inverse = invert(&product).unwrap_or(zero);
    for (before, number) in inverses.iter_mut().zip(numbers).rev() {
        if *number == zero {
            *before = zero;
        } else {
            *before = *before * inverse;
            inverse = inverse * *number;
        }
    }
    inverses
}
