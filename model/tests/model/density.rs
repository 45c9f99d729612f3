//! Densities against PyTorch's stored answers in f64, against the formulas written out, and where distances are zero.

use lethe_model::density::{Densities, NEIGHBOURS, Reference};
use lethe_model::tch::{Kind, Tensor};

use crate::reference::{Answers, difference, numbers};

/// Relative to the largest answer: what f32 keeps of an f64 result.
const TOLERANCE: f64 = 1e-6;

fn own_of(places: &Tensor) -> Vec<Vec<u32>> {
    Vec::<i64>::try_from(places).unwrap().iter().map(|pair| u32::try_from(*pair).into_iter().collect()).collect()
}

fn columns(found: &Densities) -> [(&'static str, &[f32]); 3] {
    [("k_distance", &found.k_distance), ("slof", &found.slof), ("dao", &found.dao)]
}

#[test]
fn densities_are_those_of_the_stored_definition() {
    let answers = Answers::of("density");
    for name in ["plain", "tied"] {
        let get = |column: &str| answers.get(&format!("{name}.{column}"));
        let reference = Reference::of(get("images"), get("texts"), NEIGHBOURS).unwrap();
        let found = reference.densities(get("x"), &own_of(get("own"))).unwrap();
        for (column, have) in columns(&found) {
            let want = get(column);
            let off = difference(&Tensor::from_slice(have), want) / want.abs().max().double_value(&[]);
            println!("{name} {column}: {off:.1e}");
            assert!(off < TOLERANCE, "{name} {column} is off by {off:.1e}");
        }
    }
}

/// Numbers without a pattern, in clumps, `[rows, width]`.
fn features(rows: i64, width: i64, phase: f64) -> Tensor {
    let value = |i: i64| {
        let (row, column) = (i / width, i % width);
        (((row % 7) * (column + 1)) as f64).sin() * 5.0 + (1.7 * i as f64 + phase + (i * i % 97) as f64).sin()
    };
    let values: Vec<f64> = (0..rows * width).map(value).collect();
    Tensor::from_slice(&values).view([rows, width]).to_kind(Kind::Float)
}

fn rows(matrix: &Tensor) -> Vec<Vec<f64>> {
    numbers(matrix).chunks(matrix.size()[1] as usize).map(<[f64]>::to_vec).collect()
}

/// The k least (distance, point), equals by point, of all that are not the pair's own.
fn naive_nearest(x: &[f64], points: &[Vec<f64>], own: Option<usize>, k: usize) -> Vec<(f64, usize)> {
    let pairs = points.len() / 2;
    let distance = |y: &Vec<f64>| x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
    let mut all: Vec<(f64, usize)> = points
        .iter()
        .enumerate()
        .filter(|(at, _)| Some(at % pairs) != own)
        .map(|(at, point)| (distance(point), at))
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    all.truncate(k);
    all
}

/// k-distance, SLOF and DAO of one query.
fn naive(x: &[f64], points: &[Vec<f64>], own: Option<usize>, k: usize) -> [f64; 3] {
    let local = |near: &[(f64, usize)]| {
        let a_k = near.last().unwrap().0;
        (a_k, -(near.len() as f64) / near.iter().map(|(a, _)| (a / a_k + 1e-4).ln()).sum::<f64>())
    };
    let near = naive_nearest(x, points, own, k);
    let (a_k, mut slof, mut dao) = (local(&near).0, 0.0, 0.0);
    for &(_, point) in &near {
        let pairs = points.len() / 2;
        let (d_k, lid) = local(&naive_nearest(&points[point], points, Some(point % pairs), k));
        slof += a_k / d_k / near.len() as f64;
        dao += lid * (a_k / d_k).ln() / near.len() as f64;
    }
    [a_k, slof, dao]
}

/// More points and queries than one chunk takes, and fewer points than neighbours wanted.
#[test]
fn densities_are_the_formulas_across_chunks() {
    for (pairs, queries, width, k) in [(1_100, 300, 9, 16), (40, 12, 65, 5), (3, 4, 8, 16)] {
        let (images, texts) = (features(pairs, width, 0.3), features(pairs, width, 2.0));
        let x = features(queries, width, 5.0);
        let reference = Reference::of(&images, &texts, k).unwrap();
        let own: Vec<Vec<u32>> = (0..queries as u32).map(|n| if n % 2 == 0 { vec![n % 3] } else { vec![] }).collect();
        let found = reference.densities(&x, &own).unwrap();
        let (points, x) = (rows(&Tensor::cat(&[images, texts], 0)), rows(&x));
        for row in (0..queries as usize).step_by(1 + queries as usize / 12).chain([queries as usize - 1]) {
            let want = naive(&x[row], &points, own[row].first().map(|pair| *pair as usize), k);
            for ((column, have), want) in columns(&found).into_iter().zip(want) {
                let have = f64::from(have[row]);
                assert!((have - want).abs() <= 1e-6 * want.abs().max(1.0), "{column} of {row}: {have} is not {want}");
            }
        }
    }
}

/// A retry, another batch or another cut of the queries must give the same bits.
#[test]
fn densities_do_not_depend_on_the_batch() {
    let (images, texts, x) = (features(500, 24, 0.3), features(500, 24, 2.0), features(97, 24, 5.0));
    let reference = Reference::of(&images, &texts, NEIGHBOURS).unwrap();
    let own = vec![[7_u32]; 97];
    let whole = reference.densities(&x, &own).unwrap();
    let mut parts = Densities::default();
    for (first, length) in [(0, 1), (1, 60), (61, 36)] {
        let part = reference.densities(&x.narrow(0, first, length), &own[..length as usize]).unwrap();
        parts.k_distance.extend(part.k_distance);
        parts.slof.extend(part.slof);
        parts.dao.extend(part.dao);
    }
    assert_eq!(parts, whole);
}

/// Far from the origin the products lose all digits of the distances; the distances themselves must not.
#[test]
fn differences_decide_where_products_cannot() {
    let (images, texts) = (features(200, 8, 0.3) + 3e4, features(200, 8, 2.0) + 3e4);
    let x = &images.narrow(0, 0, 20) + 0.25;
    let own: Vec<[u32; 1]> = (0..20).map(|pair| [pair]).collect();
    let found = Reference::of(&images, &texts, NEIGHBOURS).unwrap().densities(&x, &own).unwrap();
    let points = rows(&Tensor::cat(&[&images, &texts], 0));
    for (row, x) in rows(&x).iter().enumerate() {
        let want = naive(x, &points, Some(row), NEIGHBOURS);
        let have = columns(&found).map(|(_, column)| f64::from(column[row]));
        assert!(have.iter().zip(want).all(|(have, want)| (have - want).abs() < 1e-5), "{have:?} is not {want:?}");
    }
}

/// A model that overflows on one picture of the reference must not cost all others their densities.
#[test]
fn points_that_are_no_numbers_are_far_from_everything() {
    let (images, texts, x) = (features(100, 24, 0.3), features(100, 24, 2.0), features(20, 24, 5.0));
    let densities = |odd: f64| {
        let images = images.copy();
        let _ = images.narrow(0, 3, 1).fill_(odd);
        Reference::of(&images, &texts, NEIGHBOURS).unwrap().densities(&x, &[[7_u32]; 20]).unwrap()
    };
    let far = densities(1e4);
    assert!(far.dao.iter().all(|dao| dao.is_finite()));
    assert_eq!(densities(f64::NAN), far);
    assert_eq!(densities(f64::INFINITY), far);
}

#[test]
fn one_pair_alone_has_no_density_and_shapes_must_fit() {
    let (images, texts) = (features(1, 4, 0.3), features(1, 4, 2.0));
    let reference = Reference::of(&images, &texts, NEIGHBOURS).unwrap();
    let alone = reference.densities(&images, &[[0]]).unwrap();
    assert!(columns(&alone).iter().all(|(_, column)| column[0].is_nan()), "{alone:?}");
    let stranger = reference.densities(&images, &[[9]]).unwrap();
    assert!(stranger.k_distance[0] > 0.0, "two points are left for a stranger");
    assert!(reference.densities(&features(1, 5, 0.0), &[[0]]).is_err());
    assert!(reference.densities(&images, &[[0], [0]]).is_err());
    assert!(Reference::of(&images, &features(2, 4, 0.0), 1).is_err());
}
