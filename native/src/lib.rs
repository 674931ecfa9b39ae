//! perpchain's native core: pure functions over bytes, none of which panics.

#![forbid(unsafe_code)]

mod combs;
mod felts;
mod field;
mod functions;
mod guard;
mod hashes;
mod inverses;
mod lists;
mod pedersen;
mod points;
mod poseidon;
mod scalars;
mod signatures;
mod signer_curve;
mod signers;
mod signing;
mod threads;
mod trie;

use pyo3::prelude::*;

#[pymodule]
fn perpchain_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    functions::register(module)?;
    trie::register(module)
}
