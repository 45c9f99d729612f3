//! One step's traffic: features to everybody, slopes back to the rank that has the rows, gradients summed.
//!
//! Gathered features are leaves. Each rank takes its rows' part of the loss of them, the slopes of all ranks are
//! summed, and each carries those of its own rows into its parameters; the sum of the ranks' gradients is the exact
//! gradient of the global loss. Gradients are summed while backward still runs ([`Reducer`]). A share that is too large is
//! computed in pieces: features first, without what backward needs, and each piece again once its slopes are known
//! (gradient caching, arXiv 2101.06983).

use lethe_collective::{Broken, Collective, Reducer};
use lethe_common::fault::Fault;
use lethe_common::spec::Precision;
use lethe_model::error::Result as ModelResult;
use lethe_model::gradients::{backward, inner_product, leaf, leaf_gradients};
use lethe_model::tch::{TchError, Tensor, no_grad_guard};
use lethe_model::{Autocast, Clip, ModelError};

use super::objective::{Batch, Features, Objective, Reach, Share};
use super::sampler::rank_rows;
use crate::programs::fault::{collective_fault, model_fault};

/// The summed gradient of one step, the same bits on every rank.
pub struct Reduced {
    pub loss: f32,
    /// `[parameter_count]`, in the flat buffer's order; the reducer's own, so it holds until the next step.
    pub gradient: Tensor,
}

/// One rank's view of one step.
pub struct Exchange<'a> {
    pub clip: &'a Clip,
    pub objective: &'a dyn Objective,
    pub step: u64,
    /// In how many pieces the share is computed.
    pub pieces: usize,
    pub precision: Precision,
    pub group: &'a dyn Collective,
}

/// What the loss of the gathered features gave this rank.
struct Slopes {
    loss: f64,
    /// d(loss)/d(own rows) of each matrix.
    own: Vec<Tensor>,
    /// This rank's part of d(loss)/d(logit scale).
    scale: Tensor,
}

impl Exchange<'_> {
    /// The step's global gradient. The reducer watches the model's parameters.
    pub fn gradient(&self, reducer: &mut Reducer) -> Result<Reduced, Fault> {
        let share = Share::whole(self.group.rank() as usize, self.group.world_size() as usize);
        let features = match self.pieces {
            1 => self.features(share),
            _ => self.cached(share),
        };
        let features = features.map_err(model_fault)?;
        let slopes = self.slopes(&features, share)?;
        let gradient = match self.pieces {
            1 => reducer.sum(self.group, || self.back(&features, &slopes.own, Some(&slopes.scale))),
            _ => self.back_again(&features, &slopes, share, reducer),
        };
        Ok(Reduced { loss: slopes.loss as f32, gradient: gradient.map_err(broken)? })
    }

    /// In the weights' own kind, whatever the towers multiplied in: losses and similarities are taken of them.
    fn features(&self, share: Share) -> ModelResult<Vec<Features>> {
        let mut features = {
            let _autocast = self.autocast()?;
            self.objective.features(self.clip, self.step, share)?
        };
        for matrix in &mut features {
            matrix.local = matrix.local.f_to_kind(self.clip.kind())?;
        }
        Ok(features)
    }

    fn autocast(&self) -> ModelResult<Option<Autocast>> {
        match self.precision {
            Precision::F32 | Precision::F64 => Ok(None),
            Precision::Bf16 => Autocast::bf16(self.clip.device()).map(Some),
        }
    }

    /// The whole share's features, piece by piece and without a graph.
    fn cached(&self, share: Share) -> ModelResult<Vec<Features>> {
        let _guard = no_grad_guard();
        let mut parts = share.pieces(self.pieces).map(|piece| self.features(piece)).collect::<ModelResult<Vec<_>>>()?;
        let last = parts.pop().ok_or_else(|| ModelError::Torch("a share has at least one piece".to_owned()))?;
        let whole = |(index, matrix): (usize, Features)| {
            let mut rows: Vec<&Tensor> = parts.iter().map(|part| &part[index].local).collect();
            rows.push(&matrix.local);
            Ok(Features { local: Tensor::f_cat(&rows, 0)?, ..matrix })
        };
        last.into_iter().enumerate().map(whole).collect()
    }

    fn slopes(&self, features: &[Features], share: Share) -> Result<Slopes, Fault> {
        let matrices = self.gather(features, share)?;
        let (loss, mut slopes) = self.part(features, &matrices, share).map_err(model_fault)?;
        let scale = slopes.pop().ok_or_else(|| model_fault(ModelError::Torch("no slope of the logit scale".into())))?;
        let summed = self.sum(features, &slopes, &loss)?;
        let (own, loss) = own_slopes(features, slopes, &summed, share).map_err(torch)?;
        Ok(Slopes { loss, own, scale })
    }

    /// This rank's part of the loss, and its slopes by every matrix and by the logit scale.
    fn part(&self, features: &[Features], matrices: &[Tensor], share: Share) -> ModelResult<(Tensor, Vec<Tensor>)> {
        let leaves = matrices.iter().map(leaf).collect::<ModelResult<Vec<Tensor>>>()?;
        let scale = leaf(self.clip.logit_scale())?;
        let loss = self.objective.loss(self.step, &Batch { share, matrices: &leaves, features }, &scale)?;
        let mut with: Vec<&Tensor> = leaves.iter().collect();
        with.push(&scale);
        let slopes = leaf_gradients(&loss, &with)?;
        Ok((loss.detach(), slopes))
    }

    /// The loss and the slopes of what reaches everyone, summed over all ranks in one call.
    fn sum(&self, features: &[Features], slopes: &[Tensor], loss: &Tensor) -> Result<Tensor, Fault> {
        let shared = features.iter().zip(slopes).filter(|(matrix, _)| matrix.reach == Reach::Everyone);
        let mut blocks = vec![loss.f_reshape([1]).map_err(torch)?];
        for (_, slope) in shared {
            blocks.push(slope.f_reshape([-1]).map_err(torch)?);
        }
        let mut summed = Tensor::f_cat(&blocks, 0).map_err(torch)?;
        self.group.all_reduce_sum(&mut summed).map_err(collective_fault)?;
        Ok(summed)
    }

    /// Carries the features' slopes into the parameters, for the reducer to see; features without a graph are constants.
    fn back(&self, features: &[Features], slopes: &[Tensor], scale: Option<&Tensor>) -> ModelResult<()> {
        let trained = features.iter().zip(slopes).filter(|(matrix, _)| matrix.local.requires_grad());
        let mut pairs: Vec<(&Tensor, &Tensor)> = trained.map(|(matrix, slope)| (&matrix.local, slope)).collect();
        if let Some(scale) = scale.filter(|_| self.objective.trains_logit_scale()) {
            pairs.push((self.clip.logit_scale(), scale));
        }
        match inner_product(&pairs)? {
            Some(loss) => backward(&loss, self.clip),
            None => Ok(()),
        }
    }

    /// The same piece by piece: each piece's features again, now with a graph. The last one's backward sums.
    fn back_again(
        &self,
        features: &[Features],
        slopes: &Slopes,
        share: Share,
        reducer: &mut Reducer,
    ) -> Result<Tensor, Broken<ModelError>> {
        let back = |piece: Share| {
            let again = self.features(piece)?;
            let rows = |(matrix, slope): (&Features, &Tensor)| {
                let (own, part) = (share.range(matrix.rows), piece.range(matrix.rows));
                slope.f_narrow(0, (part.start - own.start) as i64, part.len() as i64)
            };
            let own = features.iter().zip(&slopes.own).map(rows).collect::<Result<Vec<_>, TchError>>()?;
            self.back(&again, &own, piece.is_last().then_some(&slopes.scale))
        };
        let mut pieces: Vec<Share> = share.pieces(self.pieces).collect();
        let last = pieces.pop();
        for piece in pieces {
            reducer.add(|| back(piece))?;
        }
        reducer.sum(self.group, || last.map_or(Ok(()), back))
    }

    /// Every matrix as the loss sees it: whole and in global order where it reaches everyone, in one call for all of
    /// them. Shares are padded to equal size for the wire and cut again.
    fn gather(&self, features: &[Features], share: Share) -> Result<Vec<Tensor>, Fault> {
        let world_size = self.group.world_size() as usize;
        let shared: Vec<&Features> = features.iter().filter(|matrix| matrix.reach == Reach::Everyone).collect();
        let mut whole = Vec::new();
        if !shared.is_empty() {
            let parts = self.group.all_gather(&pack(&shared, world_size).map_err(torch)?).map_err(collective_fault)?;
            whole = unpack(&shared, &parts).map_err(torch)?;
        }
        let mut whole = whole.into_iter();
        let matrix = |matrix: &Features| match matrix.reach {
            Reach::Everyone => whole.next().ok_or_else(|| TchError::Torch("a matrix was not gathered".to_owned())),
            Reach::Own => {
                debug_assert_eq!(matrix.local.size()[0] as usize, share.range(matrix.rows).len());
                matrix.local.f_detach()
            }
        };
        features.iter().map(matrix).collect::<Result<_, _>>().map_err(torch)
    }
}

fn broken(broken: Broken<ModelError>) -> Fault {
    match broken {
        Broken::Backward(error) => model_fault(error),
        Broken::Collective(error) => collective_fault(error),
    }
}

fn torch(error: TchError) -> Fault {
    model_fault(error.into())
}

/// The rows of the summed slopes that are this rank's, those of other matrices as they are, and the summed loss.
fn own_slopes(
    features: &[Features],
    slopes: Vec<Tensor>,
    summed: &Tensor,
    share: Share,
) -> Result<(Vec<Tensor>, f64), TchError> {
    let mut start = 1;
    let mut own = Vec::with_capacity(slopes.len());
    for (matrix, slope) in features.iter().zip(slopes) {
        own.push(match matrix.reach {
            Reach::Own => slope,
            Reach::Everyone => {
                let (count, range) = (slope.numel() as i64, share.range(matrix.rows));
                let whole = summed.f_narrow(0, start, count)?.f_view_as(&slope)?;
                start += count;
                whole.f_narrow(0, range.start as i64, range.len() as i64)?
            }
        });
    }
    Ok((own, summed.f_double_value(&[0])?))
}

fn padded_rows(features: &Features, world_size: usize) -> usize {
    features.rows.div_ceil(world_size)
}

fn pack(local: &[&Features], world_size: usize) -> Result<Tensor, TchError> {
    let mut blocks = Vec::new();
    for features in local {
        let rows = features.local.f_detach()?;
        let missing = padded_rows(features, world_size) as i64 - rows.size()[0];
        blocks.push(rows.f_constant_pad_nd([0, 0, 0, missing])?);
    }
    Tensor::f_cat(&blocks, 0)?.f_contiguous()
}

fn unpack(local: &[&Features], parts: &[Tensor]) -> Result<Vec<Tensor>, TchError> {
    let mut start = 0;
    let mut whole = Vec::new();
    for features in local {
        let mut blocks = Vec::new();
        for (rank, part) in parts.iter().enumerate() {
            let rows = rank_rows(features.rows, rank, parts.len()).len();
            blocks.push(part.f_narrow(0, start, rows as i64)?);
        }
        whole.push(Tensor::f_cat(&blocks, 0)?);
        start += padded_rows(features, parts.len()) as i64;
    }
    Ok(whole)
}
