//! The isolation forest: trees of random cuts, in which what is unlike the rest stands alone after few of them (Liu, Ting and
//! Zhou, ICDM 2008).
//!
//! It must never depend on anything but the points, their order and the seed.

use rand_chacha::ChaCha8Rng;

use super::gang::sampler::{Stream, below, unit};

/// Their authors' numbers: trees, and the points that each is grown from.
const TREES: u64 = 100;
const POINTS: usize = 256;
/// Sets the draws apart from those of trainings.
const STREAM: u64 = 40;
const EULER: f64 = 0.577_215_664_901_532_9;

/// Trees over points of one width.
#[derive(Debug, Clone, PartialEq)]
pub struct Forest {
    trees: Vec<Vec<Node>>,
    /// The mean depth at which a tree of so many points has a point alone: c(psi).
    usual: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Node {
    /// Below `at` along `along` on to the node `low`, else to `high`.
    Cut { along: usize, at: f32, low: usize, high: usize },
    /// So many points are left.
    Leaf { points: usize },
}

impl Forest {
    /// Of points in rows of `width` numbers; at least one.
    pub fn grow(points: &[f32], width: usize, seed: u64) -> Self {
        let rows: Vec<&[f32]> = points.chunks_exact(width).collect();
        let taken = POINTS.min(rows.len());
        let deepest = (taken.max(2) as f64).log2().ceil() as usize;
        let tree = |number: u64| {
            let mut rng = Stream { seed, number: STREAM }.of_row(number, 0);
            let mut drawn = sample(&rows, taken, &mut rng);
            let mut nodes = Vec::new();
            split(&mut drawn, deepest, &mut nodes, &mut rng);
            nodes
        };
        Self { trees: (0..TREES).map(tree).collect(), usual: unsuccessful_search(taken) }
    }

    /// s = 2^(-E(h) / c), above 0 and below 1: near 1 is isolated, about 0.5 is as usual.
    pub fn score(&self, point: &[f32]) -> f32 {
        let depth: f64 =
            self.trees.iter().map(|nodes| path_length(nodes, point)).sum::<f64>() / self.trees.len() as f64;
        2.0_f64.powf(-depth / self.usual.max(1.0)) as f32
    }
}

/// `count` of the rows, each at most once.
fn sample<'a>(rows: &[&'a [f32]], count: usize, rng: &mut ChaCha8Rng) -> Vec<&'a [f32]> {
    let mut order: Vec<&[f32]> = rows.to_vec();
    for at in 0..count {
        order.swap(at, at + below(rng, rows.len() - at) as usize);
    }
    order.truncate(count);
    order
}

/// Adds the tree over the points, its root last; gives the root's place.
fn split(points: &mut [&[f32]], deepest: usize, nodes: &mut Vec<Node>, rng: &mut ChaCha8Rng) -> usize {
    let node = match (deepest, cut(points, rng)) {
        (0, _) | (_, None) => Node::Leaf { points: points.len() },
        (_, Some((along, at))) => {
            points.sort_by(|a, b| a[along].total_cmp(&b[along]));
            let (below, above) = points.split_at_mut(points.partition_point(|point| point[along] < at));
            let low = split(below, deepest - 1, nodes, rng);
            Node::Cut { along, at, low, high: split(above, deepest - 1, nodes, rng) }
        }
    };
    nodes.push(node);
    nodes.len() - 1
}

/// A direction drawn among those in which the points differ, and a place drawn between their least and greatest.
fn cut(points: &[&[f32]], rng: &mut ChaCha8Rng) -> Option<(usize, f32)> {
    let width = points.first()?.len();
    let range = |along: usize| {
        let values = points.iter().map(|point| point[along]);
        values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
    };
    let differ: Vec<usize> = (0..width).filter(|along| range(*along).0 < range(*along).1).collect();
    if differ.is_empty() {
        return None;
    }
    let along = differ[below(rng, differ.len()) as usize];
    let (low, high) = range(along);
    // A place at the least itself would cut nothing off.
    let at = low + (high - low) * (1.0 - unit(rng) as f32);
    Some((along, at.clamp(low.next_up(), high)))
}

/// Cuts to the point's leaf, and what is left to do among the points there.
fn path_length(nodes: &[Node], point: &[f32]) -> f64 {
    let (mut at, mut cuts) = (nodes.len() - 1, 0.0);
    loop {
        match nodes[at] {
            Node::Leaf { points } => return cuts + unsuccessful_search(points),
            Node::Cut { along, at: place, low, high } => {
                at = if point[along] < place { low } else { high };
                cuts += 1.0;
            }
        }
    }
}

/// c(n) = 2 H(n - 1) - 2 (n - 1) / n: the mean length of a search without success in a binary search tree.
fn unsuccessful_search(points: usize) -> f64 {
    let n = points as f64;
    match points {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => 2.0 * ((n - 1.0).ln() + EULER) - 2.0 * (n - 1.0) / n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 5;

    /// Points near the middle of a cube.
    fn cloud(count: usize) -> Vec<f32> {
        let mut rng = Stream { seed: 3, number: 1 }.of_row(0, 0);
        (0..count * WIDTH).map(|_| (unit(&mut rng) + unit(&mut rng) + unit(&mut rng) - 1.5) as f32).collect()
    }

    #[test]
    fn what_is_far_from_the_rest_stands_alone_soon() {
        let points = cloud(600);
        let forest = Forest::grow(&points, WIDTH, 7);
        let mut scores: Vec<f32> = points.chunks(WIDTH).map(|point| forest.score(point)).collect();
        scores.sort_by(f32::total_cmp);
        let [middle, far] = [[0.0; WIDTH], [2.0, -2.0, 2.0, -2.0, 2.0]].map(|point| forest.score(&point));
        assert!(middle < scores[300] && far > scores[599] && far > 0.6, "{middle} {far} {scores:?}");
        assert!(scores[300] > 0.4 && scores[300] < 0.5, "the usual is somewhat below a half: {}", scores[300]);
    }

    #[test]
    fn a_forest_is_a_function_of_points_and_seed() {
        let points = cloud(300);
        assert_eq!(Forest::grow(&points, WIDTH, 7), Forest::grow(&points, WIDTH, 7));
        assert_ne!(Forest::grow(&points, WIDTH, 7), Forest::grow(&points, WIDTH, 8));
    }

    #[test]
    fn equal_points_and_a_single_one_are_no_trouble() {
        for count in [1, 2, 300] {
            let points = vec![0.25; count * WIDTH];
            let score = Forest::grow(&points, WIDTH, 1).score(&points[..WIDTH]);
            assert!(score > 0.0 && score <= 1.0, "{count}: {score}");
        }
    }

    #[test]
    fn the_length_of_a_search_is_the_papers() {
        // Harmonic numbers by their sum.
        for points in [3, 10, 256] {
            let harmonic: f64 = (1..points).map(|i| 1.0 / f64::from(i)).sum();
            let exact = 2.0 * harmonic - 2.0 * f64::from(points - 1) / f64::from(points);
            assert!((unsuccessful_search(points as usize) - exact).abs() < 0.6, "{points}");
        }
        assert_eq!([0, 1, 2].map(unsuccessful_search), [0.0, 0.0, 1.0]);
    }
}
