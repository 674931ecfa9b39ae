//! The functions that Python sees: bytes in, bytes out.

use crate::felts::{Malformed, FELT_BYTES};
use crate::guard::{attached, detached};
use crate::signatures::SIGNATURE_BYTES;
use crate::{hashes, lists, signatures, signing};
use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Pairs up to which a hash keeps the interpreter's lock.
const ATTACHED_PAIRS_MAX: usize = 1;

/// Hash, and let others have the interpreter's lock meanwhile where there is more than one pair.
fn hashed<'py>(
    py: Python<'py>,
    felts: &[u8],
    work: impl FnOnce() -> Result<Vec<u8>, Malformed> + Send,
) -> PyResult<Bound<'py, PyBytes>> {
    match felts.len() <= ATTACHED_PAIRS_MAX * 2 * FELT_BYTES {
        true => attached(py, work),
        false => detached(py, work),
    }
}

/// Return the Pedersen hash of each pair of felts.
#[pyfunction]
fn pedersen_many<'py>(py: Python<'py>, pairs: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    hashed(py, pairs, || hashes::pedersen_many(pairs))
}

/// Return the Poseidon hash of each pair of felts.
#[pyfunction]
fn poseidon_many<'py>(py: Python<'py>, pairs: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    hashed(py, pairs, || hashes::poseidon_many(pairs))
}

/// Fold Pedersen over one or more felts from the first one on.
#[pyfunction]
fn pedersen_fold<'py>(py: Python<'py>, felts: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    hashed(py, felts, || hashes::pedersen_fold(felts))
}

/// Return the Poseidon sponge of each array; the arrays follow each other in `felts`.
#[pyfunction]
fn poseidon_arrays<'py>(
    py: Python<'py>,
    lengths: &Bound<'py, PyAny>,
    felts: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    // A number that is no length is malformed, like any other that does not add up.
    let lengths: Vec<usize> =
        lengths
            .extract()
            .map_err(|error| match error.is_instance_of::<PyOverflowError>(py) {
                true => PyValueError::new_err("a length is negative or beyond all memory"),
                false => error,
            })?;
    hashed(py, felts, || hashes::poseidon_arrays(&lengths, felts))
}

/// Return the root of a list: a Poseidon Patricia trie of height 64 with the keys 0 .. n - 1.
#[pyfunction]
fn list_root<'py>(py: Python<'py>, leaves: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    detached(py, || lists::root(leaves))
}

/// Return 1 for each good signature (key, message hash, r, s) and 0 for each other.
#[pyfunction]
fn verify_many<'py>(py: Python<'py>, signatures: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    detached(py, || {
        match signatures.len().is_multiple_of(SIGNATURE_BYTES) {
            true => Ok(signatures::verify_many(signatures)),
            false => Err(Malformed("signatures have 128 bytes each")),
        }
    })
}

/// Return r and s of a message hash, deterministic by RFC 6979.
#[pyfunction]
fn sign<'py>(
    py: Python<'py>,
    private_key: &[u8],
    message_hash: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    detached(py, || signing::sign(private_key, message_hash))
}

/// Return the x of a private key's point.
#[pyfunction]
fn public_key<'py>(py: Python<'py>, private_key: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    attached(py, || signing::public_key(private_key))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(pedersen_many, module)?)?;
    module.add_function(wrap_pyfunction!(poseidon_many, module)?)?;
    module.add_function(wrap_pyfunction!(pedersen_fold, module)?)?;
    module.add_function(wrap_pyfunction!(poseidon_arrays, module)?)?;
    module.add_function(wrap_pyfunction!(list_root, module)?)?;
    module.add_function(wrap_pyfunction!(verify_many, module)?)?;
    module.add_function(wrap_pyfunction!(sign, module)?)?;
    module.add_function(wrap_pyfunction!(public_key, module)?)
}
