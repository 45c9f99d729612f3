//! The data-parallel loop every gang runs: agree, then gradient, vote and apply, step by step.
//!
//! A step counts only where every rank votes for it; a gradient that is not finite anywhere skips the
//! step everywhere. The state outlives an error, so that the next generation goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lethe_collective::{Operation, Reducer, Tally, Traffic};
use lethe_common::blob::Digest;
use lethe_common::fault::Fault;
use lethe_common::spec::{GangSection, Precision, Spec};
use lethe_common::time::Millis;
use lethe_evidence::artifacts::{self, Calls, Training, names};
use lethe_model::schedule::Cosine;
use lethe_model::tch::{Device, Kind, TchError, Tensor};
use lethe_model::{AdamWSettings, Clip, Vocabulary};

use super::exchange::{Exchange, Reduced};
use super::meeting::Moment;
use super::objective::Objective;
use super::optimizer::{Layout, Optimizer};
use super::sampler::rank_rows;
use super::saver::Saver;
use super::snapshot;
use super::trainee::{Applied, Kept, Trainee};
use super::vote::Vote;
use super::whereabouts::Teller;
use crate::programs::fault::{collective_fault, fatal, model_fault};
use crate::task::{GangContext, GangMemory, TaskContext, TaskOutput};

/// Steps in a row without a finite gradient after which a training is given up.
const MAX_SKIPPED_IN_A_ROW: u32 = 8;

/// What a program makes of its inputs, before the first step.
pub struct Material<O> {
    /// The model as it came, with every word.
    pub whole: Clip,
    /// The words that the training uses, and the model with only those.
    pub vocabulary: Vocabulary,
    pub start: Clip,
    pub objective: O,
}

/// What there is to do.
pub enum Prepared<O> {
    Training(Box<Material<O>>),
    /// No step to take; the model stays as it is.
    Nothing(Box<Clip>),
}

/// A training as a rank keeps it from one generation to the next: a survivor of a loss reads nothing again.
pub struct Job<O> {
    whole: Clip,
    vocabulary: Vocabulary,
    objective: O,
    /// A digest of where it began.
    origin: Digest,
    trainee: Trainee,
}

impl<O: Objective + 'static> Job<O> {
    fn begin(material: Material<O>, section: &GangSection, spec: &Spec) -> Result<Self, Fault> {
        let Material { whole, vocabulary, start, objective } = material;
        let origin = origin(&start, spec)?;
        let settings = AdamWSettings { weight_decay: section.weight_decay, ..AdamWSettings::default() };
        let optimizer = Optimizer::fresh(settings);
        let kept_at = Some(Instant::now());
        let trainee = Trainee { clip: start, optimizer, history: Vec::new(), kept_at, is_lost: false };
        Ok(Self { whole, vocabulary, objective, origin, trainee })
    }
}

/// Trains to the last step, from what the last generation here left or from what `prepare` makes.
pub fn run<O: Objective + 'static>(
    section: &GangSection,
    prepare: impl FnOnce() -> Result<Prepared<O>, Fault>,
    ctx: &TaskContext<'_>,
    gang: GangContext<'_>,
    memory: &mut GangMemory,
) -> Result<Trained, Fault> {
    require_device(section.precision, ctx.device)?;
    let (world_size, began) = (gang.world_size, Instant::now());
    let mut job = match memory.take::<Job<O>>() {
        Some(job) => job,
        None => match prepare()? {
            Prepared::Training(material) => Job::begin(*material, section, &ctx.spec)?,
            Prepared::Nothing(clip) => return Ok(Trained { clip: *clip, report: Training::default() }),
        },
    };
    let course = Course { section, objective: &job.objective };
    course.check(world_size)?;
    let traffic = match course.generation(&mut job.trainee, ctx, gang, job.origin) {
        Ok(traffic) => traffic,
        Err(fault) => {
            // After a fatal fault the state may be half of a step, and the training does not go on.
            if !fault.is_fatal() && !job.trainee.is_lost {
                memory.keep(job);
            }
            return Err(fault);
        }
    };
    let report = course.report(&job.trainee, world_size, began, traffic);
    let clip = job.whole.expand_vocabulary(&job.trainee.clip, &job.vocabulary).map_err(model_fault)?;
    memory.keep_at_end(job);
    Ok(Trained { clip, report })
}

/// A CPU has no fast bf16: the one that was measured does 80 GFLOP/s in f32 and 1 in bf16.
fn require_device(precision: Precision, device: Device) -> Result<(), Fault> {
    match precision {
        Precision::Bf16 if !device.is_cuda() => Err(Fault::fatal(
            "gang.precision = \"bf16\" needs CUDA, and this worker computes on the CPU, where bf16 is about 80 times slower than \
             f32; leave it out, or start every worker with --device cuda",
        )),
        Precision::F32 | Precision::F64 | Precision::Bf16 => Ok(()),
    }
}

/// What every rank must begin with: the weights and the spec. The data are blobs that the coordinator names.
fn origin(start: &Clip, spec: &Spec) -> Result<Digest, Fault> {
    let weights = snapshot::bytes_of(&start.flat()).map_err(torch)?;
    let recipe = serde_json::to_vec(spec).map_err(fatal)?;
    let config = start.config().to_json();
    let parts = [Digest::of(&weights), Digest::of(&recipe), Digest::of(config.as_bytes())];
    Ok(Digest::of(&parts.map(|digest| digest.0).concat()))
}

/// What to train, and how.
struct Course<'a> {
    section: &'a GangSection,
    objective: &'a dyn Objective,
}

impl Course<'_> {
    fn schedule(&self) -> Cosine {
        let GangSection { steps, learning_rate, warmup_steps, .. } = *self.section;
        Cosine { peak: learning_rate, warmup_steps: warmup_steps.min(steps), steps }
    }

    fn check(&self, world_size: u32) -> Result<(), Fault> {
        let batch = self.section.batch;
        if batch >= world_size {
            return Ok(());
        }
        Err(Fault::fatal(format!("a global batch of {batch} cannot be shared by {world_size} ranks; raise it")))
    }

    /// In how many pieces a rank computes its share, so that none is larger than the micro batch. The same on all
    /// ranks, since the largest share decides.
    fn pieces(&self, world_size: u32) -> usize {
        let largest = (0..world_size)
            .map(|rank| rank_rows(self.section.batch as usize, rank as usize, world_size as usize).len());
        let micro_batch = self.section.micro_batch.map_or(usize::MAX, |pairs| pairs.max(1) as usize);
        largest.max().unwrap_or(1).div_ceil(micro_batch).max(1)
    }

    /// One generation; the group is dropped on the way out, which the peers notice at once.
    fn generation(
        &self,
        trainee: &mut Trainee,
        ctx: &TaskContext<'_>,
        mut gang: GangContext<'_>,
        origin: Digest,
    ) -> Result<Traffic, Fault> {
        let (generation, pieces) = (gang.generation, self.pieces(gang.world_size));
        // Declared before the group, so that the group goes first: that ends what is in flight.
        let bucket_bytes = (self.section.bucket_mib as usize) << 20;
        let mut reducer = Reducer::new(&trainee.clip.leaves(), bucket_bytes).map_err(collective_fault)?;
        let connect = gang.connect.take().ok_or_else(|| Fault::fatal("a generation meets once"))?;
        let group = connect().map_err(collective_fault)?;
        let group = &*group;
        Trainee::require_same_origin(origin, group)?;
        let teller = Teller::start(self.section.steps, group.ledger(), Arc::clone(&gang.tell));
        let is_new = trainee.applied() == 0;
        let kept = gang.checkpoint.as_ref().map(|checkpoint| Kept { checkpoint, blobs: ctx.blobs, origin });
        let layout = Layout {
            rank: gang.rank,
            world_size: gang.world_size,
            length: trainee.clip.parameter_count(),
            is_sharded: self.section.shard_optimizer,
        };
        trainee.agree(&layout, kept, group)?;
        if is_new && trainee.applied() > 0 {
            trainee.kept_at = None; // others trained on, and who kept it last is gone
        }
        let saver = (gang.rank == 0).then(|| self.saver(ctx, &gang));
        let schedule = self.schedule();
        let mut skipped = 0;
        while trainee.applied() < self.section.steps {
            ctx.stop_if_cancelled()?;
            let step = trainee.applied();
            tracing::debug!(rank = gang.rank, step, "a step begins");
            teller.at(step + 1);
            group.begin_step(step + 1);
            let (clip, precision) = (&trainee.clip, self.section.precision);
            let exchange = Exchange { clip, objective: self.objective, step, pieces, precision, group };
            let Reduced { loss, gradient } = exchange.gradient(&mut reducer)?;
            let is_finite = loss.is_finite() && is_finite(&gradient)?;
            let keep = saver.as_ref().is_some_and(|saver| saver.is_due(trainee));
            let verdict = Vote { generation, applied: step, is_finite, keep }.cast(group)?;
            let loss = if verdict.apply {
                skipped = 0;
                let Trainee { clip, optimizer, .. } = &mut *trainee;
                let to = Moment { steps: step + 1, generation: generation.0 };
                optimizer.step(clip, &gradient, schedule.rate(step), to, (&layout, group))?;
                loss
            } else {
                skipped += 1;
                tracing::warn!(step, "a gradient is not finite; every rank skips the step");
                f32::NAN
            };
            trainee.history.push(Applied { loss, at: Millis::now(), generation });
            if verdict.keep {
                let moments = trainee.optimizer.whole_moments(&layout, group)?;
                saver.iter().for_each(|saver| saver.keep(trainee, &moments, origin));
            }
            if skipped == MAX_SKIPPED_IN_A_ROW {
                return Err(Fault::fatal(format!(
                    "{skipped} steps in a row without a finite gradient, the last was step {step}; lower the learning rate"
                )));
            }
            (ctx.progress)(trainee.applied(), self.section.steps);
        }
        group.barrier().map_err(collective_fault)?;
        Ok(group.traffic())
    }

    fn saver(&self, ctx: &TaskContext<'_>, gang: &GangContext<'_>) -> Saver {
        let every = Duration::from_secs(self.section.checkpoint_seconds);
        Saver::new(Arc::clone(ctx.blobs), ctx.task.clone(), Arc::clone(&gang.announce), every)
    }

    fn report(&self, trainee: &Trainee, world_size: u32, began: Instant, traffic: Traffic) -> Training {
        Training {
            steps: trainee.applied(),
            losses: trainee.history.iter().map(|applied| applied.loss).collect(),
            applied_ms: trainee.history.iter().map(|applied| applied.at.0).collect(),
            generations: trainee.history.iter().map(|applied| applied.generation.0).collect(),
            samples: trainee.applied() * self.objective.batch(),
            world_size,
            seconds: began.elapsed().as_secs_f64(),
            parameters: trainee.clip.parameter_count() as u64,
            collectives: Operation::ALL.into_iter().map(|operation| calls(operation, &traffic)).collect(),
        }
    }
}

fn calls(operation: Operation, traffic: &Traffic) -> (String, Calls) {
    let Tally { calls, payload_bytes, waited } = traffic.of(operation);
    (operation.name().to_owned(), Calls { calls, payload_bytes, waited_s: waited.as_secs_f64() })
}

fn is_finite(gradient: &Tensor) -> Result<bool, Fault> {
    let sum = gradient.f_sum(gradient.kind()).and_then(|sum| sum.f_double_value(&[]));
    sum.map(f64::is_finite).map_err(torch)
}

fn torch(error: TchError) -> Fault {
    model_fault(error.into())
}

/// What a training keeps weights, gradients and the optimiser's state in.
pub fn kind(section: &GangSection) -> Kind {
    match section.precision {
        Precision::F32 | Precision::Bf16 => Kind::Float,
        Precision::F64 => Kind::Double,
    }
}

/// A finished training.
pub struct Trained {
    pub clip: Clip,
    report: Training,
}

impl Trained {
    /// Rank 0 writes the checkpoint; the others have the same bits and write nothing.
    pub fn publish(self, name: &str, ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
        if ctx.task.shard.0 != 0 {
            return Ok(TaskOutput::default());
        }
        let bytes = self.clip.save().map_err(model_fault)?;
        let report = artifacts::encode(names::TRAINING, &self.report).map_err(fatal)?;
        let outputs = vec![ctx.put(name, Bytes::from(bytes))?, ctx.put(names::TRAINING, Bytes::from(report))?];
        Ok(TaskOutput { outputs, ..TaskOutput::default() })
    }
}
