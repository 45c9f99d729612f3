//! How lonely an image's embedding is among a reference set of images and texts: k-distance, SLOF and DAO (Huang et al.,
//! "Detecting Backdoor Samples in Contrastive Language Image Pretraining", ICLR 2025, arXiv 2502.01385; METHOD.md).
//!
//! With a_1 <= ... <= a_k the distances (Euclidean, of features that are not normalised) from x to its k nearest reference
//! points, x itself and its own caption left out, equal distances in the order of the reference:
//!
//! - k-distance(x) = a_k; d_k(o) is that of a reference point o
//! - SLOF(x) = the mean over the k nearest o of a_k / d_k(o)
//! - LID(x) = -k / sum_j ln(a_j / a_k + 1e-4)
//! - DAO(x) = the mean over the k nearest o of LID(o) ln(a_k / d_k(o))
//!
//! A reference point, image or text, leaves out itself and the other half of its pair. Where distances are zero a ratio may
//! be undefined; means become numbers as in the authors' code: NaN and infinity 1000, minus infinity 0. Otherwise that code is
//! no model: it takes the (k+1)-th distance of x for a_k, counts a reference point among its own neighbours, keeps the other
//! half of its pair, and looks up neighbours one place off behind the column it left out. Here the formulas are computed.
//!
//! It must never trust a product of matrices with a distance: products bound distances from below, with their rounding error
//! as a margin, and whoever may be near is looked at by differences in f64. So duplicates have distance zero, ties are
//! ties, and scores depend neither on the batch nor on how the product was cut into chunks.

mod distance;
mod formula;
mod points;
mod search;

use tch::{Kind, Tensor};

use crate::error::{ModelError, Result};
use formula::{Local, scores_of};
use points::Points;

/// The neighbours that METHOD.md asks.
pub const NEIGHBOURS: usize = 16;

/// One value a query each; higher is lonelier. NaN where no reference point is left to compare with.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Densities {
    pub k_distance: Vec<f32>,
    pub slof: Vec<f32>,
    pub dao: Vec<f32>,
}

/// The reference set, with what is known of each of its points.
pub struct Reference {
    points: Points,
    local: Vec<Local>,
    k: usize,
}

impl Reference {
    /// Of N pairs' features, `[N, D]` each and not normalised, with `k` neighbours. Point n is image n, point N + n its text.
    ///
    /// # Errors
    /// Features that do not come in pairs, and what libtorch refuses.
    pub fn of(images: &Tensor, texts: &Tensor, k: usize) -> Result<Self> {
        if images.dim() != 2 || images.size() != texts.size() {
            let want = format!("[N, D] like {:?}", images.size());
            return Err(ModelError::WrongInput { what: "reference texts", have: texts.size(), want });
        }
        let all = Tensor::f_cat(&[images, texts], 0)?.f_to_kind(Kind::Float)?;
        let points = Points::of(&all)?;
        let pairs = points.pairs() as u32;
        let own: Vec<[u32; 1]> = (0..points.count() as u32).map(|point| [point % pairs]).collect();
        let nearest = points.nearest(&all, &own, k)?;
        let local = nearest.iter().map(|near| Local::of(near)).collect();
        Ok(Self { points, local, k })
    }

    /// The densities of images' features, `[B, D]` and not normalised. `own` gives for each row the reference pairs that
    /// are the row's own: of those neither image nor text counts.
    ///
    /// # Errors
    /// Features of another width, a row without its own pairs' list, and what libtorch refuses.
    pub fn densities<O: AsRef<[u32]>>(&self, images: &Tensor, own: &[O]) -> Result<Densities> {
        let want = [own.len() as i64, self.points.width() as i64];
        if images.size() != want {
            return Err(ModelError::WrongInput { what: "features", have: images.size(), want: format!("{want:?}") });
        }
        let mut densities = Densities::default();
        for near in self.points.nearest(&images.f_to_kind(Kind::Float)?, own, self.k)? {
            let [k_distance, slof, dao] = scores_of(&near, &self.local).map(|score| score as f32);
            densities.k_distance.push(k_distance);
            densities.slof.push(slof);
            densities.dao.push(dao);
        }
        Ok(densities)
    }
}
