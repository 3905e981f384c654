//! Multiplication of one public point by many secret scalars, in constant time.

use curve25519_dalek::{
    ristretto::{RistrettoBasepointTable, RistrettoPoint},
    scalar::Scalar,
};

/// The number of multiplications from which a table of the point's multiples saves more time than it costs.
const WORTH_A_TABLE: usize = 64;

/// A point, with or without a table of its multiples.
pub enum FixedBase {
    Point(RistrettoPoint),
    Table(Box<RistrettoBasepointTable>),
}

impl FixedBase {
    /// Prepare a point for a number of multiplications.
    pub fn new(point: RistrettoPoint, multiplications: usize) -> Self {
        if multiplications < WORTH_A_TABLE {
            Self::Point(point)
        } else {
            Self::Table(Box::new(RistrettoBasepointTable::create(&point)))
        }
    }

    /// Multiply the point by a scalar.
    pub fn multiply(&self, scalar: &Scalar) -> RistrettoPoint {
        match self {
            Self::Point(point) => scalar * point,
            Self::Table(table) => scalar * table.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_and_a_point_give_the_same() {
        let point = RistrettoPoint::mul_base(&Scalar::from(7_u8));
        for scalar in [
            Scalar::ZERO,
            Scalar::ONE,
            -Scalar::ONE,
            Scalar::from(u64::MAX).invert(),
        ] {
            for multiplications in [1, WORTH_A_TABLE] {
                let product = FixedBase::new(point, multiplications).multiply(&scalar);
                assert_eq!(product, scalar * point);
            }
        }
    }
}
