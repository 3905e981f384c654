//! The faults of a batch.

use std::fmt;

/// The reason for which a batch is refused: a code of the error catalogue (SPEC 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A buffer or a batch has the wrong length.
    BadLength,
    /// An element is not canonical, or is the identity.
    BadElement,
    /// A scalar is not canonical, or is zero where it must not be.
    BadScalar,
    /// A proof does not verify.
    BadProof,
}

impl Fault {
    /// Return the name of the code in the error catalogue.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::BadLength => "BAD_LENGTH",
            Self::BadElement => "BAD_ELEMENT",
            Self::BadScalar => "BAD_SCALAR",
            Self::BadProof => "BAD_PROOF",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl std::error::Error for Fault {}
