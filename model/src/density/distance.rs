//! The distance of two rows, in f64.
//!
//! It must never depend on the processor: sums are cut into the same parts and added in the same order everywhere, and
//! nothing is fused.

/// Sums are kept in so many parts, so that they need not wait for each other.
const LANES: usize = 8;

/// |x - y|.
pub(super) fn distance(x: &[f32], y: &[f32]) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has what the function is compiled for.
        return unsafe { with_avx2(x, y) };
    }
    plain(x, y)
}

/// |x|.
pub(super) fn length(x: &[f32]) -> f64 {
    let zero = [0.0; LANES];
    let (parts, rest) = x.as_chunks::<LANES>();
    let mut sums = [0.0_f64; LANES];
    parts.iter().for_each(|part| add(&mut sums, part, &zero));
    (sums.iter().sum::<f64>() + rest.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>()).sqrt()
}

/// The same code with registers that hold four numbers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2(x: &[f32], y: &[f32]) -> f64 {
    plain(x, y)
}

#[inline(always)]
fn plain(x: &[f32], y: &[f32]) -> f64 {
    let mut sums = [0.0_f64; LANES];
    let (xs, x_rest) = x.as_chunks::<LANES>();
    let (ys, y_rest) = y.as_chunks::<LANES>();
    xs.iter().zip(ys).for_each(|(x, y)| add(&mut sums, x, y));
    let rest: f64 = x_rest.iter().zip(y_rest).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum();
    (sums.iter().sum::<f64>() + rest).sqrt()
}

#[inline(always)]
fn add(sums: &mut [f64; LANES], x: &[f32; LANES], y: &[f32; LANES]) {
    for lane in 0..LANES {
        let difference = f64::from(x[lane]) - f64::from(y[lane]);
        sums[lane] += difference * difference;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_registers_change_no_bit() {
        let row =
            |phase: f32, length: u16| (0..length).map(|i| (f32::from(i) * 1.7 + phase).sin()).collect::<Vec<f32>>();
        for length in [0, 1, 7, 8, 9, 64, 511, 513] {
            let (x, y) = (row(0.0, length), row(0.3, length));
            assert_eq!(distance(&x, &y).to_bits(), plain(&x, &y).to_bits(), "{length}");
            let naive = x.iter().zip(&y).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>().sqrt();
            assert!((distance(&x, &y) - naive).abs() < 1e-5, "{length}");
            assert!((super::length(&x) - distance(&x, &vec![0.0; x.len()])).abs() < 1e-12, "{length}");
        }
    }
}
