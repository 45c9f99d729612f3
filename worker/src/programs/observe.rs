//! What one look at a batch of pairs shows: how well each pair matches, how flat the match is in the image tokens, and
//! the picture twice, as the model sees it and as a thumbnail.
//!
//! It must never see a label or a second checkpoint.

use lethe_data::Decoded;
use lethe_model::Clip;
use lethe_model::error::Result;
use lethe_model::gradients::leaf_gradients;
use lethe_model::loss::similarity;
use lethe_model::pixels::thumbnail;
use lethe_model::tch::{self, Kind, Tensor};

use super::captions::Distinct;
use super::pictures::pixels_of;

/// The thumbnail's side, in pixels: that half of Torralba et al.'s tiny images, which show what a picture is of and have
/// no room for what is finer (IEEE TPAMI 2008).
pub const THUMBNAIL_SIDE: i64 = 16;

/// One row a pair.
pub struct Observed {
    /// s = <f(v), g(t)>, `[B]`.
    pub similarity: Tensor,
    /// The mean over image tokens of |ds/d(token)|, `[B]`; a saturated match has little. Tokens are a ViT's patches after
    /// `ln_pre`, or the cells of a ResNet's attention pool.
    pub token_gradient: Tensor,
    /// The picture's thumbnail, `[B, 3 * side * side]`.
    pub thumbnail: Tensor,
    /// The embeddings of the image and the caption as the towers give them, `[B, D]`.
    pub image_features: Tensor,
    pub text_features: Tensor,
}

impl Observed {
    pub fn of(clip: &Clip, pairs: &[Decoded]) -> Result<Self> {
        let pixels = pixels_of(pairs.iter().map(|pair| pair.pixels.as_slice()), clip)?;
        let (text_features, thumbnail) = {
            let _guard = tch::no_grad_guard();
            let text = Distinct::of(pairs.iter().map(|pair| pair.caption.as_str())).embed_each(clip)?;
            (text, thumbnail(&pixels, THUMBNAIL_SIDE)?)
        };
        let Saturation { similarity, token_gradient, image_features } = saturation(clip, &pixels, &text_features)?;
        Ok(Self { similarity, token_gradient, thumbnail, image_features, text_features })
    }
}

/// s and the mean norm of its gradient at the image tokens, both `[B]`, and the image's features, `[B, D]`.
struct Saturation {
    similarity: Tensor,
    token_gradient: Tensor,
    image_features: Tensor,
}

fn saturation(clip: &Clip, pixels: &Tensor, text: &Tensor) -> Result<Saturation> {
    let tokens = {
        let _guard = tch::no_grad_guard();
        clip.embed_patches(pixels)?
    };
    let tokens = tokens.f_set_requires_grad(true)?;
    let features = clip.encode_tokens(&tokens)?;
    let whole = similarity(&features, text)?;
    let slopes = leaf_gradients(&whole.f_sum(Kind::Float)?, &[&tokens])?;
    let patches = slopes[0].f_narrow(1, 1, tokens.size()[1] - 1)?;
    let norms = patches.f_linalg_norm(2.0, [-1].as_slice(), false, Kind::Float)?;
    let token_gradient = norms.f_mean_dim([-1].as_slice(), false, Kind::Float)?;
    Ok(Saturation { similarity: whole.f_detach()?, token_gradient, image_features: features.f_detach()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::tiny;

    fn pair(number: u8) -> Decoded {
        let pixels = (0..64 * 64 * 3_u32).map(|at| (at * 7 + u32::from(number) * 31) as u8).collect();
        let (key, content) = (number.to_string(), number.to_string());
        Decoded { key, caption: format!("number {number}"), url: None, content, pixels }
    }

    /// A ResNet has no tokens before its attention pool: its cells are what a match is flat in.
    #[test]
    fn a_resnet_is_observed_at_the_cells_of_its_pool() {
        let clip = tiny::resnet();
        let pairs = [pair(1), pair(2), pair(3)];
        let seen = Observed::of(&clip, &pairs).expect("observes");
        let pixels = pixels_of(pairs.iter().map(|pair| pair.pixels.as_slice()), &clip).expect("pixels");
        let cells = clip.embed_patches(&pixels).expect("cells").detach().set_requires_grad(true);
        assert_eq!(cells.size(), [3, 1 + 4, 64]);
        let whole = similarity(&clip.encode_tokens(&cells).expect("embeds"), &seen.text_features).expect("similarity");
        let slopes = leaf_gradients(&whole.sum(Kind::Float), &[&cells]).expect("slopes");
        let norms = slopes[0].narrow(1, 1, 4).square().sum_dim_intlist([-1].as_slice(), false, Kind::Float).sqrt();
        let expected = norms.mean_dim([-1].as_slice(), false, Kind::Float);
        let far = (&seen.token_gradient - &expected).abs().max().double_value(&[]);
        assert!(far < 1e-6 && expected.min().double_value(&[]) > 1e-4, "{far}: {expected}");
        let direct = similarity(&clip.encode_image(&pixels).expect("embeds"), &seen.text_features).expect("similarity");
        assert!((&seen.similarity - direct).abs().max().double_value(&[]) < 1e-6);
    }
}
