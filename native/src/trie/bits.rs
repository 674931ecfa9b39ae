//! Paths and keys: up to 256 bits, with the few operations that a trie asks of them.

use starknet_types_core::felt::Felt;

/// An unsigned number of 256 bits. Bits shifted out are gone; nothing here panics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bits {
    high: u128,
    low: u128,
}

const HALF: u32 = u128::BITS;

impl Bits {
    pub const ZERO: Bits = Bits { high: 0, low: 0 };

    pub fn from_bytes(bytes: &[u8; 32]) -> Bits {
        let mut halves = [0u128; 2];
        for (half, part) in halves.iter_mut().zip(bytes.chunks(16)) {
            *half = part
                .iter()
                .fold(0, |number, byte| number << 8 | u128::from(*byte));
        }
        Bits {
            high: halves[0],
            low: halves[1],
        }
    }

    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.high.to_be_bytes());
        bytes[16..].copy_from_slice(&self.low.to_be_bytes());
        bytes
    }

    /// The number as a felt: a path is shorter than one.
    pub fn felt(self) -> Felt {
        Felt::from_bytes_be(&self.to_bytes())
    }

    /// The number itself, where it fits into 64 bits.
    pub fn small(self) -> Option<u64> {
        if self.high == 0 {
            u64::try_from(self.low).ok()
        } else {
            None
        }
    }

    pub fn shifted_left(self, count: u32) -> Bits {
        match count {
            0 => self,
            1..=127 => Bits {
                high: self.high << count | self.low >> (HALF - count),
                low: self.low << count,
            },
            128..=255 => Bits {
                high: self.low << (count - HALF),
                low: 0,
            },
            _ => Bits::ZERO,
        }
    }

    pub fn shifted_right(self, count: u32) -> Bits {
        match count {
            0 => self,
            1..=127 => Bits {
                high: self.high >> count,
                low: self.low >> count | self.high << (HALF - count),
            },
            128..=255 => Bits {
                high: 0,
                low: self.high >> (count - HALF),
            },
            _ => Bits::ZERO,
        }
    }

    /// The `count` lowest bits.
    pub fn lowest(self, count: u32) -> Bits {
        match count {
            0 => Bits::ZERO,
            1..=127 => Bits {
                high: 0,
                low: self.low & ((1 << count) - 1),
            },
            128 => Bits {
                high: 0,
                low: self.low,
            },
            129..=255 => Bits {
                high: self.high & ((1 << (count - HALF)) - 1),
                low: self.low,
            },
            _ => self,
        }
    }

    pub fn with(self, other: Bits) -> Bits {
        Bits {
            high: self.high | other.high,
            low: self.low | other.low,
        }
    }

    /// This number, and behind it `count` bits more.
    pub fn followed_by(self, bits: Bits, count: u32) -> Bits {
        self.shifted_left(count).with(bits)
    }

    /// The same with one bit more.
    pub fn turned(self, right: bool) -> Bits {
        let mut turned = self.shifted_left(1);
        turned.low |= u128::from(right);
        turned
    }

    pub fn bit(self, place: u32) -> bool {
        self.shifted_right(place).low & 1 == 1
    }

    /// How many low bits it takes until two numbers are the same above them.
    pub fn differs_below(self, other: Bits) -> u32 {
        let (high, low) = (self.high ^ other.high, self.low ^ other.low);
        if high == 0 {
            HALF - low.leading_zeros()
        } else {
            2 * HALF - high.leading_zeros()
        }
    }
}
