//! The Python module `mandorla_protocol._native`. Functions on batches release the GIL.

use pyo3::{
    create_exception, exceptions::PyValueError, prelude::*, pybacked::PyBackedBytes, types::PyBytes,
};

use crate::{batch, batch::Batch, fault::Fault, labels, tree};

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

/// A decoded batch of elements, which functions accept instead of its encoding.
#[pyclass(frozen)]
pub struct Elements(batch::Elements);

#[pymethods]
impl Elements {
    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.encoded())
    }
}

/// A batch of elements as an argument: encoded or decoded.
#[derive(FromPyObject)]
enum Given<'py> {
    Encoded(PyBackedBytes),
    Decoded(Bound<'py, Elements>),
}

impl Given<'_> {
    fn batch(&self) -> Batch<'_> {
        match self {
            Self::Encoded(encoded) => Batch::Encoded(encoded),
            Self::Decoded(elements) => Batch::Decoded(&elements.get().0),
        }
    }
}

/// The OPRF over whole batches.
#[pymodule]
mod _native {
    use super::{Bound, Given, Pair, PyBytes, PyResult, Python, batch, labels, pyfunction, tree};

    #[pymodule_export]
    use super::Elements;
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
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, Elements>)> {
        let (blinds, blinded) = py.detach(|| batch::blind(tokens, uniform, threads))?;
        Ok((
            PyBytes::new(py, &blinds),
            Bound::new(py, Elements(blinded))?,
        ))
    }

    #[pyfunction]
    fn decode(py: Python<'_>, elements: &[u8], threads: usize) -> PyResult<Elements> {
        Ok(Elements(
            py.detach(|| batch::Elements::decode(elements, threads))?,
        ))
    }

    #[pyfunction]
    #[allow(clippy::needless_pass_by_value)] // pyo3 passes extracted arguments by value
    fn evaluate_and_prove<'py>(
        py: Python<'py>,
        secret: &[u8],
        public_key: &[u8],
        blinded: Given<'py>,
        nonce: &[u8],
        threads: usize,
    ) -> PyResult<Pair<'py>> {
        let batch = blinded.batch();
        let (evaluated, proof) =
            py.detach(|| batch::evaluate_and_prove(secret, public_key, batch, nonce, threads))?;
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
    #[allow(clippy::too_many_arguments, clippy::needless_pass_by_value)] // they are the engine's
    fn verify_and_finalize<'py>(
        py: Python<'py>,
        public_key: &[u8],
        tokens: &[u8],
        blinds: &[u8],
        blinded: Given<'py>,
        evaluated: &[u8],
        proof: &[u8],
        threads: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let batch = blinded.batch();
        let outputs = py.detach(|| {
            batch::verify_and_finalize(public_key, tokens, blinds, batch, evaluated, proof, threads)
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
    fn open_labels<'py>(
        py: Python<'py>,
        keys: &[u8],
        tags: &[u8],
        sealed: &[u8],
        nonce: &[u8],
        aad: (&[u8], &[u8]),
    ) -> PyResult<Pair<'py>> {
        let (opened, labels) = py.detach(|| labels::open(keys, tags, sealed, nonce, aad))?;
        Ok((PyBytes::new(py, &opened), PyBytes::new(py, &labels)))
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
