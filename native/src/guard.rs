//! What stands between the interpreter and the work: no panic and no lock gets past it.

use crate::felts::Malformed;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Do work without the interpreter's lock.
///
/// Malformed arguments become a ValueError, a panic becomes a RuntimeError.
pub fn detached<'py>(
    py: Python<'py>,
    work: impl FnOnce() -> Result<Vec<u8>, Malformed> + Send,
) -> PyResult<Bound<'py, PyBytes>> {
    let outcome = py.detach(|| caught(work));
    answer(py, outcome)
}

/// Do work that is shorter than handing the lock over and getting it back.
pub fn attached<'py>(
    py: Python<'py>,
    work: impl FnOnce() -> Result<Vec<u8>, Malformed>,
) -> PyResult<Bound<'py, PyBytes>> {
    answer(py, caught(work))
}

/// Do work; `None` where it panics.
pub fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    // The work keeps nothing that a panic could leave half-changed: it returns its only result.
    catch_unwind(AssertUnwindSafe(work)).ok()
}

fn answer(
    py: Python<'_>,
    outcome: Option<Result<Vec<u8>, Malformed>>,
) -> PyResult<Bound<'_, PyBytes>> {
    match outcome {
        Some(Ok(bytes)) => Ok(PyBytes::new(py, &bytes)),
        Some(Err(Malformed(reason))) => Err(PyValueError::new_err(reason)),
        None => Err(PyRuntimeError::new_err("the native core panicked")),
    }
}
