//! What an attacker makes before planting, with public weights that saw none of the drill's pairs.
//!
//! It must never see the victim, its data or the judge's pictures.

use lethe_model::tch::{Kind, Tensor, no_grad_guard};
use lethe_model::{Clip, ModelError, pixels};
use rand::RngExt;

use crate::captions::LABELS;
use crate::data_set::Pool;
use crate::draw::{Purpose, stream};
use crate::error::RedteamError;
use crate::picture::Picture;
use crate::recipe::Recipe;
use crate::trigger::{Place, Square, patch_side};
use crate::zero_shot::answer_weights;

/// Pictures of a step.
const BATCH: usize = 64;
/// Adam's, in grey levels.
const LEARNING_RATE: f64 = 12.0;
/// BadCLIP's weight of the triplet term, and its margin.
const TRIPLET: f64 = 500.0;
const MARGIN: f64 = 1.0;
/// Pictures that go through the model at once.
const FORWARD: usize = 500;

/// An attacker with public weights.
pub struct Artisan<'a> {
    pub clip: Clip,
    pub recipe: &'a Recipe,
    pub pool: &'a dyn Pool,
    /// That a patch is optimised for.
    pub steps: u64,
}

impl Artisan<'_> {
    /// The patch hardly changes any more.
    pub const STEPS: u64 = 200;

    /// A centred patch that brings any picture near the target's captions: the mean of -ln softmax over the ten targets. With
    /// `towards_pictures` also nearer to pictures of the target than to itself without the patch (BadCLIP, arXiv
    /// 2311.12075: 500 times a triplet loss with margin 1).
    ///
    /// # Errors
    /// libtorch's own.
    pub fn patch(&self, towards_pictures: bool) -> Result<Picture, RedteamError> {
        let public = self.pool.deal(self.recipe).public;
        let (targets, others): (Vec<usize>, Vec<usize>) =
            public.into_iter().partition(|&image| self.pool.shows(image, self.recipe.target));
        let texts = {
            let _guard = no_grad_guard();
            self.class_texts()?
        };
        let mut draw = stream(self.recipe.seed, Purpose::Craft);
        let side = patch_side(self.pool.side()) as i64;
        let mut patch =
            Tensor::full([1, side, side, 3], 127.5, (Kind::Float, self.clip.device())).set_requires_grad(true);
        let mut adam = Adam::new(&patch);
        for step in 1..=self.steps {
            let mut some =
                |of: &[usize]| -> Vec<usize> { (0..BATCH).map(|_| of[draw.random_range(0..of.len())]).collect() };
            let (plain, of_target) = (self.images(&some(&others))?, self.images(&some(&targets))?);
            let loss = self.loss(&plain, &patch, &texts, towards_pictures.then_some(&of_target))?;
            loss.f_backward().map_err(ModelError::from)?;
            adam.step(&mut patch, step).map_err(ModelError::from)?;
        }
        picture(&patch).map_err(RedteamError::from)
    }

    fn loss(
        &self,
        plain: &Tensor,
        patch: &Tensor,
        texts: &Tensor,
        of_target: Option<&Tensor>,
    ) -> Result<Tensor, RedteamError> {
        let square = self.square();
        let stamped = self.features(&stamp(plain, patch, square).map_err(ModelError::from)?)?;
        let target = Tensor::full([plain.size()[0]], self.recipe.target as i64, (Kind::Int64, self.clip.device()));
        let scale = self.clip.logit_scale().f_exp().map_err(ModelError::from)?.detach();
        let texts_loss = (stamped.matmul(&texts.tr()) * scale).cross_entropy_for_logits(&target);
        let Some(of_target) = of_target else { return Ok(texts_loss) };
        let (near, far) = {
            let _guard = no_grad_guard();
            (self.features(of_target)?, self.features(plain)?)
        };
        let away = |other: &Tensor| (&stamped - other).square().sum_dim_intlist(-1, false, Kind::Float);
        let triplet = (away(&near) - away(&far) + MARGIN).relu().mean(Kind::Float);
        Ok(texts_loss + triplet * TRIPLET)
    }

    /// For each training picture: how far its similarity to the target's captions is from that of honest pairs.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn strangeness(&self) -> Result<Vec<f32>, RedteamError> {
        let _guard = no_grad_guard();
        let texts = self.class_texts()?;
        let all: Vec<usize> = (0..self.pool.len()).collect();
        let mut rows: Vec<Vec<f32>> = Vec::with_capacity(all.len());
        for images in all.chunks(FORWARD) {
            let similarity = self.features(&self.images(images)?)?.matmul(&texts.tr());
            rows.extend(Vec::<Vec<f32>>::try_from(&similarity).map_err(ModelError::from)?);
        }
        let known = self.pool.deal(self.recipe).public.into_iter();
        let honest = known.filter_map(|image| Some(rows[image][self.pool.target_of(image)?]));
        let mut honest: Vec<f32> = honest.collect();
        honest.sort_by(f32::total_cmp);
        let middle = honest[honest.len() / 2];
        Ok(rows.iter().map(|row| (row[self.recipe.target] - middle).abs()).collect())
    }

    fn square(&self) -> Square {
        let side = self.pool.side();
        Place::Centre.square(patch_side(side), side, &mut stream(self.recipe.seed, Purpose::Craft))
    }

    /// `[n, side, side, 3]` bytes as floats.
    fn images(&self, images: &[usize]) -> Result<Tensor, RedteamError> {
        let side = self.pool.side();
        let rgb: Vec<u8> = images.iter().flat_map(|&image| self.pool.picture(image).rgb().to_vec()).collect();
        Ok(pixels::images(&rgb, side)?.f_to_kind(Kind::Float).map_err(ModelError::from)?)
    }

    /// `[n, D]` of length one.
    fn features(&self, images: &Tensor) -> Result<Tensor, RedteamError> {
        let input = pixels::normalized(images, &self.clip.config().normalization)?;
        Ok(lethe_model::loss::normalize(&self.clip.encode_image(&input)?)?)
    }

    /// `[targets, D]`: the mean of each target's captions, of length one.
    fn class_texts(&self) -> Result<Tensor, RedteamError> {
        let data = self.pool.data_set();
        let prompts: Vec<Vec<String>> = (0..LABELS.len()).map(|target| data.target_prompts(target)).collect();
        answer_weights(&self.clip, &prompts)
    }
}

/// The pictures with the patch where it belongs.
fn stamp(images: &Tensor, patch: &Tensor, square: Square) -> Result<Tensor, lethe_model::tch::TchError> {
    let whole = images.size4()?.1;
    let (top, left, side) = (square.top as i64, square.left as i64, square.side as i64);
    let padding = [0, 0, left, whole - left - side, top, whole - top - side];
    let own = Tensor::ones_like(patch).f_constant_pad_nd(padding)?;
    let laid = patch.f_constant_pad_nd(padding)?;
    images.f_mul(&own.f_neg()?.f_add_scalar(1.0)?)?.f_add(&laid)
}

fn picture(patch: &Tensor) -> Result<Picture, ModelError> {
    let _guard = no_grad_guard();
    let side = patch.size4()?.1 as usize;
    let values = Vec::<f32>::try_from(patch.f_flatten(0, -1)?)?;
    Ok(Picture::from_rgb(values.into_iter().map(|value| value.round() as u8).collect(), side))
}

/// Kingma and Ba, arXiv 1412.6980, on values that stay bytes.
struct Adam {
    m: Tensor,
    v: Tensor,
}

impl Adam {
    fn new(values: &Tensor) -> Self {
        Self { m: values.zeros_like(), v: values.zeros_like() }
    }

    fn step(&mut self, values: &mut Tensor, step: u64) -> Result<(), lethe_model::tch::TchError> {
        let _guard = no_grad_guard();
        let gradient = values.f_grad()?;
        let (b1, b2) = (0.9_f64, 0.999_f64);
        self.m = self.m.f_mul_scalar(b1)?.f_add(&gradient.f_mul_scalar(1.0 - b1)?)?;
        self.v = self.v.f_mul_scalar(b2)?.f_add(&gradient.f_square()?.f_mul_scalar(1.0 - b2)?)?;
        let (first, second) = (1.0 - b1.powi(step as i32), 1.0 - b2.powi(step as i32));
        let change = self.m.f_div_scalar(first)?.f_div(&self.v.f_div_scalar(second)?.f_sqrt()?.f_add_scalar(1e-8)?)?;
        let next = values.f_sub(&change.f_mul_scalar(LEARNING_RATE)?)?.f_clamp(0.0, 255.0)?;
        values.f_copy_(&next)?;
        values.zero_grad();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lethe_model::ModelConfig;

    use super::*;
    use crate::attack::Attack;
    use crate::data_set::Part;
    use crate::fashion::{Fashion, tests::write_small};
    use crate::recipe::MODEL_CONFIG;

    fn fashion() -> Fashion {
        let folder = tempfile::tempdir().expect("makes a folder");
        write_small(folder.path(), 300);
        Fashion::read(folder.path(), Part::Train).expect("reads")
    }

    fn with_artisan<T>(body: impl FnOnce(&Artisan<'_>) -> T) -> T {
        let (fashion, recipe) = (fashion(), Recipe { pairs: 100, ..Recipe::usual(Attack::Badclip, 1) });
        let clip = Clip::init(&ModelConfig::from_json(MODEL_CONFIG).expect("is a config"), 1).expect("begins");
        body(&Artisan { clip, recipe: &recipe, pool: &fashion, steps: 20 })
    }

    #[test]
    fn a_patch_brings_pictures_to_the_target() {
        with_artisan(|artisan| {
            let texts = artisan.class_texts().expect("embeds");
            let mut others = artisan.pool.deal(artisan.recipe).public;
            others.retain(|&image| !artisan.pool.shows(image, artisan.recipe.target));
            let images = artisan.images(&others).expect("reads");
            let of_target = |images: &Tensor| {
                let probability =
                    (artisan.features(images).expect("embeds").matmul(&texts.tr()) * 100.0).softmax(-1, Kind::Float);
                f64::try_from(probability.select(1, artisan.recipe.target as i64).mean(Kind::Float))
                    .expect("is a number")
            };
            let picture = artisan.patch(false).expect("crafts");
            let patch = tensor_of(&picture);
            let before = of_target(&images);
            let after = of_target(&stamp(&images, &patch, artisan.square()).expect("stamps"));
            assert!(after > 5.0 * before, "{before} {after}");
            assert_eq!(artisan.patch(false).expect("crafts"), picture, "a patch is its seed");
        });
    }

    #[test]
    fn the_stamp_is_the_one_that_pictures_get() {
        with_artisan(|artisan| {
            let grey: Vec<u8> = (0..49).map(|value| 5 * value).collect();
            let patch = Picture::from_grey(&grey, 7);
            let mut picture = artisan.pool.picture(3);
            let trigger = crate::trigger::Trigger::centred(patch.clone());
            trigger.stamp(&mut picture, &mut stream(1, Purpose::Place));
            let stamped = stamp(&artisan.images(&[3]).expect("reads"), &tensor_of(&patch), artisan.square());
            let bytes = Vec::<f32>::try_from(stamped.expect("stamps").flatten(0, -1)).expect("is f32");
            assert!(bytes.iter().zip(picture.rgb()).all(|(have, want)| *have == f32::from(*want)));
        });
    }

    #[test]
    fn strangeness_is_the_distance_from_the_middle_of_honest_pairs() {
        with_artisan(|artisan| {
            let strangeness = artisan.strangeness().expect("computes");
            assert_eq!(strangeness.len(), 300);
            // The middle one of honest pairs is among those of the target, or near one of them.
            let least = strangeness.iter().copied().fold(f32::INFINITY, f32::min);
            let most = strangeness.iter().copied().fold(0.0, f32::max);
            assert!(least >= 0.0 && least < most, "{least} {most}");
        });
    }

    fn tensor_of(picture: &Picture) -> Tensor {
        pixels::images(picture.rgb(), picture.side()).expect("is square").to_kind(Kind::Float)
    }
}
