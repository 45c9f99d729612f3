//! What the pictures of a cluster have in common and others lack, from sums that shards add up in any order.
//!
//! It must never keep a picture: the sums of a few dozen show none of them.

use serde::{Deserialize, Serialize};

/// One shard's, a cluster each in the forget set's order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Looks {
    pub clusters: Vec<Look>,
}

/// A cluster's pictures, and those to compare them with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Look {
    /// Pixels a side; pictures are square. 0 where none was added.
    pub side_px: u32,
    pub members: PixelSums,
    /// Safe pictures with a word of the cluster, and without.
    pub honest: PixelSums,
    pub hosts: PixelSums,
}

/// Of each of `[side, side, 3]` bytes the sum over pictures, and the sum of squares.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PixelSums {
    pub pictures: u64,
    pub sums: Vec<u64>,
    pub squares: Vec<u64>,
}

/// Pixels a side, at most.
const MOST_SIDE: u32 = 56;
/// A pixel stands out when its means differ by so many standard errors: of ten thousand pixels none does by chance.
const STANDS_OUT: f64 = 5.0;
/// The least variance of a byte, which is rounded.
const ROUNDING: f64 = 1.0 / 12.0;
/// Fewer pictures than this have no mean worth a look.
const LEAST_PICTURES: u64 = 5;
/// What does not stand out.
const GREY: f64 = 128.0;

impl Looks {
    /// Both shards' sums as one.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.clusters.resize(self.clusters.len().max(other.clusters.len()), Look::default());
        for (one, other) in self.clusters.iter_mut().zip(&other.clusters) {
            one.side_px = one.side_px.max(other.side_px);
            one.members.add(&other.members);
            one.honest.add(&other.honest);
            one.hosts.add(&other.hosts);
        }
        self
    }
}

impl PixelSums {
    /// Of pictures of `side * side * 3` bytes each, made smaller where they are large.
    pub fn of<'a>(pictures: impl Iterator<Item = &'a [u8]>, side: u32) -> Self {
        let mut all = Self::default();
        for picture in pictures {
            let bytes = smaller(picture, side);
            let squares = bytes.iter().map(|byte| byte * byte).collect();
            all.add(&Self { pictures: 1, sums: bytes, squares });
        }
        all
    }

    fn add(&mut self, other: &Self) {
        self.pictures += other.pictures;
        for (own, other) in [(&mut self.sums, &other.sums), (&mut self.squares, &other.squares)] {
            own.resize(own.len().max(other.len()), 0);
            own.iter_mut().zip(other).for_each(|(one, other)| *one += other);
        }
    }

    /// Of one byte, its mean and the mean's variance.
    fn mean(&self, at: usize) -> (f64, f64) {
        let pictures = self.pictures as f64;
        let mean = self.sums[at] as f64 / pictures;
        let variance = (self.squares[at] as f64 / pictures - mean * mean).max(ROUNDING);
        (mean, variance / pictures)
    }
}

/// Pixels a side of a picture that was made smaller: whole blocks of pixels become one.
pub fn look_side(side: u32) -> u32 {
    side / block(side)
}

fn block(side: u32) -> u32 {
    side.div_ceil(MOST_SIDE).max(1)
}

/// The mean of each block, rounded down.
fn smaller(picture: &[u8], side: u32) -> Vec<u64> {
    let (block, to, side) = (block(side) as usize, look_side(side) as usize, side as usize);
    let mean = |at: usize| {
        let (row, column, channel) = (at / 3 / to, at / 3 % to, at % 3);
        let inside = (0..block * block).map(|n| (row * block + n / block, column * block + n % block));
        let sum: u64 = inside.map(|(y, x)| u64::from(picture[(y * side + x) * 3 + channel])).sum();
        sum / (block * block) as u64
    };
    (0..to * to * 3).map(mean).collect()
}

impl Look {
    /// Where the members' mean picture differs beyond doubt from that of other pictures, and how: `[side, side, 3]` bytes, grey
    /// where it does not, the greatest difference at full swing. Nothing where there are too few pictures, or none stands out.
    ///
    /// Compared with is what is more like the members: pictures with the same words, or pictures without. So a poisoned picture
    /// that was taken from its target's own class is not shown to be of that class.
    pub fn in_common(&self) -> Option<Vec<u8>> {
        let others = [&self.hosts, &self.honest].into_iter().filter(|others| others.pictures >= LEAST_PICTURES);
        let others = others.filter(|_| self.members.pictures >= LEAST_PICTURES);
        let differences = others.map(|others| self.differences(others));
        // Squared distance, less what the errors alone would make of it: fewer pictures are not nearer.
        let apart =
            |all: &[(f64, f64)]| all.iter().map(|(difference, error)| difference.powi(2) - error.powi(2)).sum::<f64>();
        let nearest = differences.min_by(|one, other| apart(one).total_cmp(&apart(other)))?;
        let clear = |(difference, error): (f64, f64)| {
            if difference.abs() >= STANDS_OUT * error { difference } else { 0.0 }
        };
        let clear: Vec<f64> = nearest.into_iter().map(clear).collect();
        let most = clear.iter().fold(0.0, |most: f64, difference| most.max(difference.abs()));
        let byte = |difference: &f64| (GREY + difference / most * (GREY - 1.0)).round() as u8;
        (most > 0.0).then(|| clear.iter().map(byte).collect())
    }

    /// Of the means of every byte, each with its standard error.
    fn differences(&self, others: &PixelSums) -> Vec<(f64, f64)> {
        let of = |at: usize| {
            let ((mean, variance), (other, of_other)) = (self.members.mean(at), others.mean(at));
            (mean - other, (variance + of_other).sqrt())
        };
        (0..self.members.sums.len().min(others.sums.len())).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: u32 = 4;

    /// Noise of a hash around a shade, with white pixels at these places.
    fn pictures(count: usize, shade: u8, white: &[usize]) -> Vec<Vec<u8>> {
        let noise = |n: usize, at: usize| ((n * 48 + at).wrapping_mul(2_654_435_761) >> 7) as u8 % 60;
        let byte = |n: usize, at: usize| if white.contains(&(at / 3)) { 255 } else { shade + noise(n, at) };
        (0..count).map(|n| (0..48).map(|at| byte(n, at)).collect()).collect()
    }

    fn sums(pictures: &[Vec<u8>]) -> PixelSums {
        PixelSums::of(pictures.iter().map(Vec::as_slice), SIDE)
    }

    #[test]
    fn what_members_share_stands_out_and_the_rest_is_grey() {
        let members = sums(&pictures(40, 50, &[5, 6]));
        let look =
            Look { side_px: SIDE, members, honest: sums(&pictures(40, 150, &[])), hosts: sums(&pictures(40, 50, &[])) };
        let shown = look.in_common().expect("is clear");
        for (at, byte) in shown.iter().enumerate() {
            let expected = if [5, 6].contains(&(at / 3)) { 250..=255 } else { 128..=128 };
            assert!(expected.contains(byte), "byte {at} is {byte}");
        }
        let alike = Look { members: sums(&pictures(40, 50, &[])), ..look.clone() };
        assert_eq!(alike.in_common(), None);
        let few = Look { members: sums(&pictures(4, 50, &[5, 6])), ..look.clone() };
        assert_eq!(few.in_common(), None);
        // Few pictures of another kind, though each of their differences is uncertain, are no nearer.
        let few_honest =
            Look { honest: sums(&pictures(6, 150, &[])), hosts: sums(&pictures(400, 50, &[])), ..look.clone() };
        assert_eq!(few_honest.in_common().map(|shown| shown.iter().filter(|byte| **byte != 128).count()), Some(6));
        // Of the class that its words name, it is compared with pictures of that class.
        let clean_label = Look { members: sums(&pictures(40, 150, &[5])), ..look };
        let shown = clean_label.in_common().expect("is clear");
        assert_eq!(shown.iter().filter(|byte| **byte != 128).count(), 3);
    }

    #[test]
    fn shards_add_up_in_any_order_and_to_all_pictures() {
        let all = pictures(10, 50, &[1]);
        let of =
            |some: &[Vec<u8>]| Looks { clusters: vec![Look { side_px: SIDE, members: sums(some), ..Look::default() }] };
        let (one, other) = (of(&all[..3]), of(&all[3..]));
        assert_eq!(one.clone().plus(&other), other.clone().plus(&one));
        assert_eq!(one.plus(&other).plus(&Looks::default()), of(&all));
    }

    #[test]
    fn large_pictures_are_made_smaller_by_whole_blocks() {
        assert_eq!([28, 56, 57, 224, 336].map(look_side), [28, 56, 28, 56, 56]);
        let side = 112;
        let mut picture = vec![0_u8; side * side * 3];
        for at in [0, 1, side, side + 1] {
            picture[at * 3] = 100 + at as u8 % 2; // the first block of two by two, in red
        }
        let small = smaller(&picture, side as u32);
        assert_eq!((small.len(), small[0]), (56 * 56 * 3, 100));
        assert!(small[1..].iter().all(|value| *value == 0));
    }
}
