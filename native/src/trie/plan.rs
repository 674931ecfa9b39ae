//! What an update will hash: worked out from the stored nodes and the leaves, before any hash.
//!
//! Which subtrees grow, join, split or vanish depends on the keys and on whether a value is 0, never
//! on a hash. So every node is read here, with the interpreter's lock held, and everything slow
//! comes after it, without.

use super::bits::Bits;
use super::node::{Node, Position};
use starknet_types_core::felt::Felt;

/// A key and its new value; 0 removes.
#[derive(Clone, Copy)]
pub struct Leaf {
    pub key: Bits,
    pub value: Felt,
}

/// What a run leads to: a felt that is known, or a branch of the plan, whose hash is not yet.
#[derive(Clone, Copy)]
pub enum Below {
    Felt(Felt),
    Branch(usize),
}

/// A subtree as the edge that would lead to it; length 0 is no edge.
#[derive(Clone, Copy)]
pub struct Run {
    pub below: Below,
    pub path: Bits,
    pub length: u32,
}

impl Run {
    const EMPTY: Run = Run::direct(Felt::ZERO);

    const fn direct(felt: Felt) -> Run {
        Run::stored(felt, Bits::ZERO, 0)
    }

    const fn stored(child: Felt, path: Bits, length: u32) -> Run {
        Run {
            below: Below::Felt(child),
            path,
            length,
        }
    }

    pub fn is_empty(&self) -> bool {
        matches!(self.below, Below::Felt(felt) if felt == Felt::ZERO)
    }

    /// Lengthen it upwards; nothing stays nothing.
    fn extended(self, path: Bits, length: u32) -> Run {
        if self.is_empty() {
            return Run::EMPTY;
        }
        let path = path.followed_by(self.path, self.length);
        Run {
            below: self.below,
            path,
            length: self.length + length,
        }
    }
}

/// A branch to be written, with a subtree on both sides. `level` is above those of the branches
/// that it waits for.
pub struct Branch {
    pub position: Position,
    pub left: Run,
    pub right: Run,
    pub level: usize,
}

impl Branch {
    /// How many pairs are hashed for it: its own, and one for each side that is an edge.
    pub fn pairs(&self) -> usize {
        let edges = [&self.left, &self.right];
        1 + edges.iter().filter(|run| run.length > 0).count()
    }
}

/// Who has the stored nodes.
pub trait Keeper {
    type Failure;

    /// The node at a position, None where there is none.
    fn read(&mut self, position: Position) -> Result<Option<Node>, Self::Failure>;

    /// Do something long that reads nothing.
    fn apart<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T;

    /// What to answer where an edge is longer than the way down.
    fn malformed(&self) -> Self::Failure;
}

/// So many leaves are worth it to let others have the interpreter's lock meanwhile.
const LEAVES_APART: usize = 256;

/// The branches that an update writes, those below before those above, and the nodes it stood on.
pub struct Plan {
    height: u32,
    pub branches: Vec<Branch>,
    pub seen: Vec<(Position, Node)>,
}

impl Plan {
    pub fn new(height: u32) -> Plan {
        Plan {
            height,
            branches: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// Read the node at a position; an edge that leads below the leaves is malformed.
    pub fn read<K: Keeper>(
        &self,
        keeper: &mut K,
        position: Position,
    ) -> Result<Option<Node>, K::Failure> {
        match keeper.read(position)? {
            Some(Node::Edge { length, .. }) if length > self.height - position.depth => {
                Err(keeper.malformed())
            }
            node => Ok(node),
        }
    }

    /// Apply leaves to the stored subtree at a position. There is one leaf at least.
    pub fn descend<K: Keeper>(
        &mut self,
        keeper: &mut K,
        position: Position,
        leaves: &[Leaf],
    ) -> Result<Run, K::Failure> {
        if position.depth >= self.height {
            return Ok(leaves
                .first()
                .map_or(Run::EMPTY, |leaf| Run::direct(leaf.value)));
        }
        let Some(node) = self.read(keeper, position)? else {
            if leaves.len() < LEAVES_APART {
                return Ok(self.grow(position, leaves));
            }
            return Ok(keeper.apart(|| self.grow(position, leaves)));
        };
        self.seen.push((position, node));
        match node {
            Node::Edge {
                child,
                path,
                length,
            } => self.along(keeper, position, Run::stored(child, path, length), leaves),
            Node::Binary { left, right } => self.across(keeper, position, left, right, leaves),
        }
    }

    /// Apply leaves to both sides of a stored branch.
    fn across<K: Keeper>(
        &mut self,
        keeper: &mut K,
        position: Position,
        left: Felt,
        right: Felt,
        leaves: &[Leaf],
    ) -> Result<Run, K::Failure> {
        let (to_left, to_right) = self.split(position, leaves);
        let (left_at, right_at) = (position.child(false), position.child(true));
        let mut left_run = Run::direct(left);
        let mut right_run = Run::direct(right);
        if !to_left.is_empty() {
            left_run = self.descend(keeper, left_at, to_left)?;
        }
        if !to_right.is_empty() {
            right_run = self.descend(keeper, right_at, to_right)?;
        }
        if to_left.is_empty() && right_run.is_empty() {
            left_run = self.stored_run(keeper, left_at, left)?;
        }
        if to_right.is_empty() && left_run.is_empty() {
            right_run = self.stored_run(keeper, right_at, right)?;
        }
        Ok(self.join(position, left_run, right_run))
    }

    /// Read an untouched sibling that is about to lose its branch: its edge grows upwards.
    fn stored_run<K: Keeper>(
        &mut self,
        keeper: &mut K,
        position: Position,
        felt: Felt,
    ) -> Result<Run, K::Failure> {
        if position.depth >= self.height {
            return Ok(Run::direct(felt));
        }
        let node = self.read(keeper, position)?;
        let Some(
            edge @ Node::Edge {
                child,
                path,
                length,
            },
        ) = node
        else {
            return Ok(Run::direct(felt));
        };
        self.seen.push((position, edge));
        Ok(Run::stored(child, path, length))
    }

    /// Apply leaves where an edge, stored or what is left of one, begins.
    fn along<K: Keeper>(
        &mut self,
        keeper: &mut K,
        position: Position,
        edge: Run,
        leaves: &[Leaf],
    ) -> Result<Run, K::Failure> {
        let (Some(first), Some(last)) = (leaves.first(), leaves.last()) else {
            return Ok(edge);
        };
        if edge.length == 0 {
            return self.descend(keeper, position, leaves);
        }
        let rest = self.height - position.depth - edge.length;
        let end = position.path.followed_by(edge.path, edge.length);
        let of_first = first.key.shifted_right(rest).differs_below(end);
        let of_last = last.key.shifted_right(rest).differs_below(end);
        let below = of_first.max(of_last);
        if below == 0 {
            let end = Position {
                depth: position.depth + edge.length,
                path: end,
            };
            return Ok(self
                .descend(keeper, end, leaves)?
                .extended(edge.path, edge.length));
        }
        self.fork(keeper, position, edge, below, leaves)
    }

    /// Split an edge where a leaf leaves it, `below` levels above the edge's end.
    fn fork<K: Keeper>(
        &mut self,
        keeper: &mut K,
        position: Position,
        edge: Run,
        below: u32,
        leaves: &[Leaf],
    ) -> Result<Run, K::Failure> {
        let above = edge.length - below;
        let end = position.path.followed_by(edge.path, edge.length);
        let branch = Position {
            depth: position.depth + above,
            path: end.shifted_right(below),
        };
        let (to_left, to_right) = self.split(branch, leaves);
        let path = edge.path.lowest(below - 1);
        let kept = Run {
            below: edge.below,
            path,
            length: below - 1,
        };
        let run = if edge.path.bit(below - 1) {
            let kept = self.along(keeper, branch.child(true), kept, to_right)?;
            let grown = self.grow(branch.child(false), to_left);
            self.join(branch, grown, kept)
        } else {
            let kept = self.along(keeper, branch.child(false), kept, to_left)?;
            let grown = self.grow(branch.child(true), to_right);
            self.join(branch, kept, grown)
        };
        Ok(run.extended(edge.path.shifted_right(below), above))
    }

    /// Build leaves where nothing was stored.
    fn grow(&mut self, position: Position, leaves: &[Leaf]) -> Run {
        let leaves = trimmed(leaves);
        let (Some(first), Some(last)) = (leaves.first(), leaves.last()) else {
            return Run::EMPTY;
        };
        let rest = self.height - position.depth;
        if leaves.len() == 1 {
            return Run::direct(first.value).extended(first.key.lowest(rest), rest);
        }
        let below = first.key.differs_below(last.key);
        let path = first.key.shifted_right(below);
        let branch = Position {
            depth: self.height - below,
            path,
        };
        let (to_left, to_right) = self.split(branch, leaves);
        let left = self.grow(branch.child(false), to_left);
        let right = self.grow(branch.child(true), to_right);
        self.join(branch, left, right)
            .extended(path.lowest(rest - below), rest - below)
    }

    /// Those of some leaves that turn left below a position, and those that turn right.
    fn split<'a>(&self, position: Position, leaves: &'a [Leaf]) -> (&'a [Leaf], &'a [Leaf]) {
        let rest = self.height - position.depth - 1;
        let turn = position.path.turned(true).shifted_left(rest);
        leaves.split_at(leaves.partition_point(|leaf| leaf.key < turn))
    }

    /// Put two subtrees under a position.
    fn join(&mut self, position: Position, left: Run, right: Run) -> Run {
        if left.is_empty() {
            return right.extended(Bits::ZERO.turned(true), 1);
        }
        if right.is_empty() {
            return left.extended(Bits::ZERO, 1);
        }
        let level = self.level_above(&left).max(self.level_above(&right));
        self.branches.push(Branch {
            position,
            left,
            right,
            level,
        });
        let below = Below::Branch(self.branches.len() - 1);
        Run {
            below,
            path: Bits::ZERO,
            length: 0,
        }
    }

    fn level_above(&self, run: &Run) -> usize {
        match run.below {
            Below::Felt(_) => 0,
            Below::Branch(index) => self
                .branches
                .get(index)
                .map_or(0, |branch| branch.level + 1),
        }
    }
}

fn trimmed(leaves: &[Leaf]) -> &[Leaf] {
    let stays = |leaf: &Leaf| leaf.value != Felt::ZERO;
    let first = leaves.iter().position(stays);
    let last = leaves.iter().rposition(stays);
    match (first, last) {
        (Some(first), Some(last)) => leaves.get(first..=last).unwrap_or(&[]),
        _ => &[],
    }
}
