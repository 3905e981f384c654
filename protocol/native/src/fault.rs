//! What can be wrong with a batch.

use std::fmt;

/// Why a batch is refused. The names are those of the error catalogue (SPEC 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A buffer or a batch has the wrong length.
    BadLength,
    /// A group element is not a canonical, non-identity one.
    BadElement,
    /// A scalar is not canonical, or is zero where it must not be.
    BadScalar,
    /// A proof does not verify.
    BadProof,
}

impl Fault {
    /// The code's name in the error catalogue.
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
