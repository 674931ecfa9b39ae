//! The Patricia-Merkle trie of Starknet, updated without the interpreter's lock.
//!
//! Three steps: with the lock, read what the leaves touch (`plan`); without it, hash (`seal`); with
//! it again, hand over what changed.

mod bits;
mod hashing;
mod node;
mod plan;
mod seal;

use crate::felts::FELT_BYTES;
use crate::guard::caught;
use bits::Bits;
use hashing::Hash;
use node::{split_felt, Node, Position};
use num_bigint::BigUint;
use plan::{Keeper, Leaf, Plan};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use seal::{node_hash, seal, Outcome};
use starknet_types_core::felt::Felt;

const HEIGHT_MAX: u32 = 251;
const LEAF_BYTES: usize = 2 * FELT_BYTES;

type Updated<'py> = (Bound<'py, PyBytes>, Bound<'py, PyDict>);

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(trie_update, module)?)
}

/// Set many leaves at once: the new root, and every position that changed.
#[pyfunction]
fn trie_update<'py>(
    py: Python<'py>,
    read: &Bound<'py, PyAny>,
    leaves: &[u8],
    height: &Bound<'py, PyAny>,
    hash: &str,
    tag: &[u8],
) -> PyResult<Updated<'py>> {
    // Whatever is no small number is no height, so none of them is an OverflowError.
    let height = height.extract().unwrap_or(0);
    caught(|| updated(py, read, leaves, height, hash, tag))
        .unwrap_or_else(|| Err(PyRuntimeError::new_err("a trie update panicked")))
}

fn updated<'py>(
    py: Python<'py>,
    read: &Bound<'py, PyAny>,
    leaves: &[u8],
    height: u32,
    hash: &str,
    tag: &[u8],
) -> PyResult<Updated<'py>> {
    if height == 0 || height > HEIGHT_MAX {
        return Err(malformed("the height of a trie is 1 to 251"));
    }
    let hash = Hash::named(hash, tag).ok_or_else(|| malformed("no such hash of tries"))?;
    let leaves = leaves_of(leaves, height)
        .ok_or_else(|| malformed("leaves are a key and a felt each, the keys in order"))?;
    let mut reader = Reader { read };
    let mut plan = Plan::new(height);
    if leaves.is_empty() {
        let top = plan.read(&mut reader, Position::ROOT)?;
        let root = top.map_or(Felt::ZERO, |node| node_hash(&node, &hash));
        let changes = Vec::new();
        return handed_over(py, Outcome { root, changes });
    }
    let top = plan.descend(&mut reader, Position::ROOT, &leaves)?;
    let long = plan.branches.len() >= hash.branches_apart();
    let work = move || seal(&plan, &top, &hash);
    handed_over(py, if long { py.detach(work) } else { work() })
}

fn handed_over(py: Python<'_>, outcome: Outcome) -> PyResult<Updated<'_>> {
    let changes = PyDict::new(py);
    for (position, node) in &outcome.changes {
        let bytes = node.as_ref().map(|node| PyBytes::new(py, node));
        changes.set_item((position.depth, path_of(py, &position.path)?), bytes)?;
    }
    Ok((PyBytes::new(py, &outcome.root.to_bytes_be()), changes))
}

fn path_of<'py>(py: Python<'py>, path: &Bits) -> PyResult<Bound<'py, PyAny>> {
    match path.small() {
        Some(small) => Ok(small.into_pyobject(py)?.into_any()),
        None => Ok(BigUint::from_bytes_be(&path.to_bytes())
            .into_pyobject(py)?
            .into_any()),
    }
}

/// Read leaves; None unless each is a key of `height` bits and a felt, and the keys rise.
fn leaves_of(bytes: &[u8], height: u32) -> Option<Vec<Leaf>> {
    let mut leaves: Vec<Leaf> = Vec::with_capacity(bytes.len() / LEAF_BYTES);
    for chunk in bytes.chunks(LEAF_BYTES) {
        let (key, rest) = split_felt(chunk)?;
        let (value, behind) = split_felt(rest)?;
        let key = Bits::from_bytes(&key.to_bytes_be());
        let rises = leaves.last().is_none_or(|last| last.key < key);
        if !behind.is_empty() || !rises || key.lowest(height) != key {
            return None;
        }
        leaves.push(Leaf { key, value });
    }
    Some(leaves)
}

fn malformed(words: &'static str) -> PyErr {
    PyValueError::new_err(words)
}

/// Nodes out of a function of Python.
struct Reader<'a, 'py> {
    read: &'a Bound<'py, PyAny>,
}

impl Keeper for Reader<'_, '_> {
    type Failure = PyErr;

    fn read(&mut self, position: Position) -> PyResult<Option<Node>> {
        let path = path_of(self.read.py(), &position.path)?;
        let found = self.read.call1(((position.depth, path),))?;
        if found.is_none() {
            return Ok(None);
        }
        let bytes = found
            .cast::<PyBytes>()
            .map_err(|_| malformed("a node is bytes"))?;
        Node::decode(bytes.as_bytes())
            .map(Some)
            .ok_or_else(|| malformed("no trie node"))
    }

    fn apart<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.read.py().detach(work)
    }

    fn malformed(&self) -> PyErr {
        malformed("no trie node: an edge that leads below the leaves")
    }
}
