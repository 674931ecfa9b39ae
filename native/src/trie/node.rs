//! Nodes and where they stand, and a node's bytes.
//!
//! A branch: 0, left, right (65 bytes). An edge: 1, child, length, and the path in as many whole
//! bytes as hold `length` bits.

use super::bits::Bits;
use crate::felts::{read_felt, FELT_BYTES};
use starknet_types_core::felt::Felt;

const BINARY: u8 = 0;
const EDGE: u8 = 1;

/// Depth below the root, and the bits that lead there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    pub depth: u32,
    pub path: Bits,
}

impl Position {
    pub const ROOT: Position = Position {
        depth: 0,
        path: Bits::ZERO,
    };

    pub fn child(self, right: bool) -> Position {
        Position {
            depth: self.depth + 1,
            path: self.path.turned(right),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    Binary {
        left: Felt,
        right: Felt,
    },
    Edge {
        child: Felt,
        path: Bits,
        length: u32,
    },
}

/// The felt at the beginning of some bytes, and what is behind it.
pub fn split_felt(bytes: &[u8]) -> Option<(Felt, &[u8])> {
    let (felt, rest) = bytes.split_at_checked(FELT_BYTES)?;
    Some((read_felt(felt).ok()?, rest))
}

impl Node {
    /// Read a node; None for bytes that are none.
    pub fn decode(bytes: &[u8]) -> Option<Node> {
        let (kind, rest) = bytes.split_first()?;
        let (first, rest) = split_felt(rest)?;
        match *kind {
            BINARY => match split_felt(rest)? {
                (right, []) => Some(Node::Binary { left: first, right }),
                _ => None,
            },
            EDGE => {
                let (length, path) = rest.split_first()?;
                Node::edge(first, u32::from(*length), path)
            }
            _ => None,
        }
    }

    fn edge(child: Felt, length: u32, path: &[u8]) -> Option<Node> {
        let mut whole = [0; FELT_BYTES];
        let start = FELT_BYTES.checked_sub(path.len())?;
        whole.get_mut(start..)?.copy_from_slice(path);
        let bits = Bits::from_bytes(&whole);
        let sound = length > 0 && path.len() == path_bytes(length) && bits.lowest(length) == bits;
        sound.then_some(Node::Edge {
            child,
            path: bits,
            length,
        })
    }

    /// Write a node.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + 2 * FELT_BYTES + 1);
        match self {
            Node::Binary { left, right } => {
                bytes.push(BINARY);
                bytes.extend_from_slice(&left.to_bytes_be());
                bytes.extend_from_slice(&right.to_bytes_be());
            }
            Node::Edge {
                child,
                path,
                length,
            } => {
                bytes.push(EDGE);
                bytes.extend_from_slice(&child.to_bytes_be());
                bytes.push(*length as u8);
                let whole = path.to_bytes();
                bytes.extend(
                    whole
                        .iter()
                        .skip(FELT_BYTES - path_bytes(*length).min(FELT_BYTES)),
                );
            }
        }
        bytes
    }
}

fn path_bytes(length: u32) -> usize {
    length.div_ceil(8) as usize
}
