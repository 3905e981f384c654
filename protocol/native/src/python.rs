//! The module `mandorla_protocol._native`. The GIL is released while a batch is computed.

use pyo3::{create_exception, exceptions::PyValueError, prelude::*, types::PyBytes};

use crate::{batch, fault::Fault, labels, tree};

create_exception!(
    _native,
    Refused,
    PyValueError,
    "A batch was refused; the argument is the code's name."
);

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> Self {
        Refused::new_err(fault.code())
    }
}

type Pair<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// The OPRF over whole batches.
#[pymodule]
mod _native {
    use super::{Bound, Pair, PyBytes, PyResult, Python, batch, labels, pyfunction, tree};

    #[pymodule_export]
    use super::Refused;

    #[pyfunction]
    fn derive_key_pair<'py>(py: Python<'py>, seed: &[u8], info: &[u8]) -> PyResult<Pair<'py>> {
        let (secret, public) = batch::derive_key_pair(seed, info)?;
        Ok((PyBytes::new(py, &*secret), PyBytes::new(py, &public)))
    }

    #[pyfunction]
    fn blind<'py>(
        py: Python<'py>,
        tokens: &[u8],
        uniform: &[u8],
        threads: usize,
    ) -> PyResult<Pair<'py>> {
        let (blinds, blinded) = py.detach(|| batch::blind(tokens, uniform, threads))?;
        Ok((PyBytes::new(py, &blinds), PyBytes::new(py, &blinded)))
    }

    #[pyfunction]
    fn check_elements(py: Python<'_>, elements: &[u8], threads: usize) -> PyResult<()> {
        Ok(py.detach(|| batch::check_elements(elements, threads))?)
    }

    #[pyfunction]
    fn evaluate_and_prove<'py>(
        py: Python<'py>,
        secret: &[u8],
        public_key: &[u8],
        blinded: &[u8],
        nonce: &[u8],
        threads: usize,
    ) -> PyResult<Pair<'py>> {
        let (evaluated, proof) =
            py.detach(|| batch::evaluate_and_prove(secret, public_key, blinded, nonce, threads))?;
        Ok((PyBytes::new(py, &evaluated), PyBytes::new(py, &proof)))
    }

    #[pyfunction]
    fn verify(
        py: Python<'_>,
        public_key: &[u8],
        blinded: &[u8],
        evaluated: &[u8],
        proof: &[u8],
        threads: usize,
    ) -> PyResult<()> {
        Ok(py.detach(|| batch::verify(public_key, blinded, evaluated, proof, threads))?)
    }

    #[pyfunction]
    #[allow(clippy::too_many_arguments)] // they are the engine's
    fn verify_and_finalize<'py>(
        py: Python<'py>,
        public_key: &[u8],
        tokens: &[u8],
        blinds: &[u8],
        blinded: &[u8],
        evaluated: &[u8],
        proof: &[u8],
        threads: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let outputs = py.detach(|| {
            batch::verify_and_finalize(
                public_key, tokens, blinds, blinded, evaluated, proof, threads,
            )
        })?;
        Ok(PyBytes::new(py, &outputs))
    }

    #[pyfunction]
    fn evaluate<'py>(
        py: Python<'py>,
        secret: &[u8],
        tokens: &[u8],
        threads: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let outputs = py.detach(|| batch::evaluate(secret, tokens, threads))?;
        Ok(PyBytes::new(py, &outputs))
    }

    #[pyfunction]
    fn split_outputs<'py>(py: Python<'py>, outputs: &[u8], info: &[u8]) -> PyResult<Pair<'py>> {
        let (tags, keys) = py.detach(|| labels::split(outputs, info))?;
        Ok((PyBytes::new(py, &tags), PyBytes::new(py, &keys)))
    }

    #[pyfunction]
    fn seal_labels<'py>(
        py: Python<'py>,
        keys: &[u8],
        tags: &[u8],
        labels: &[u8],
        nonce: &[u8],
        aad: (&[u8], &[u8]),
    ) -> PyResult<Bound<'py, PyBytes>> {
        let sealed = py.detach(|| labels::seal(keys, tags, labels, nonce, aad))?;
        Ok(PyBytes::new(py, &sealed))
    }

    #[pyfunction]
    fn append_entries<'py>(
        py: Python<'py>,
        tree: (u64, &[u8]),
        start: &[u8],
        operations: &[u8],
        tags: &[u8],
        sealed: &[u8],
    ) -> PyResult<(u64, Bound<'py, PyBytes>)> {
        let (size, subtrees) =
            py.detach(|| tree::append_entries(tree, start, operations, tags, sealed))?;
        Ok((size, PyBytes::new(py, &subtrees)))
    }
}
