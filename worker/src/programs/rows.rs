//! Rows taken a part at a time, for devices with little memory.
//!
//! It must never change a result where all rows fit: they are then one part.

use std::ops::Range;

use lethe_model::error::Result;
use lethe_model::tch::Tensor;

/// What `of` gives for ranges of at most so many rows, joined; for all rows in one go where they are no more.
pub fn by_rows(rows: usize, at_once: usize, of: impl Fn(Range<usize>) -> Result<Tensor>) -> Result<Tensor> {
    if rows <= at_once {
        return of(0..rows);
    }
    let starts = (0..rows).step_by(at_once);
    let parts = starts.map(|start| of(start..rows.min(start + at_once))).collect::<Result<Vec<_>>>()?;
    Ok(Tensor::f_cat(&parts, 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_taken_in_order_and_never_too_many_at_once() {
        for (rows, at_once, expected) in [(5, 2, vec![2, 2, 1]), (4, 4, vec![4]), (3, 8, vec![3]), (0, 1, vec![0])] {
            let taken = std::cell::RefCell::new(Vec::new());
            let all = by_rows(rows, at_once, |range| {
                taken.borrow_mut().push(range.len());
                Ok(Tensor::from_slice(&range.map(|row| row as f32).collect::<Vec<_>>()))
            });
            let ordered: Vec<f32> = (0..rows).map(|row| row as f32).collect();
            assert_eq!(Vec::<f32>::try_from(all.expect("joins")).expect("is flat"), ordered);
            assert_eq!(taken.into_inner(), expected, "{rows} rows, {at_once} at once");
        }
    }
}
