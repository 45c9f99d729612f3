//! What can go wrong with a model: a bad config, a bad checkpoint, bad input, or libtorch itself.
//!
//! It must never hold a tensor or a path: an error is a sentence that can be sent.

use lethe_common::fault::Fault;
use tch::TchError;

pub type Result<T> = std::result::Result<T, ModelError>;

#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(
        "the model config is not valid: {0}; expected OpenCLIP's model config JSON with embed_dim, vision_cfg and text_cfg"
    )]
    Config(String),
    #[error("the model config asks for {what}, which is not supported: {advice}")]
    Unsupported { what: String, advice: &'static str },
    #[error(
        "the checkpoint is a pickle, which can run code when it is loaded; convert it once with: python -c \"import sys, torch, safetensors.torch as s; d = torch.load(sys.argv[1], map_location='cpu', weights_only=True); d = d.get('state_dict', d); s.save_file({{k.removeprefix('module.'): v.contiguous() for k, v in d.items()}}, sys.argv[2])\" IN.pt OUT.safetensors"
    )]
    Pickle,
    #[error(
        "the checkpoint is a TorchScript archive, as OpenAI's own files are; convert it once with: python -c \"import sys, torch, safetensors.torch as s; d = torch.jit.load(sys.argv[1], map_location='cpu').state_dict(); s.save_file({{k: v.contiguous() for k, v in d.items()}}, sys.argv[2])\" IN.pt OUT.safetensors"
    )]
    TorchScript,
    #[error(
        "the checkpoint is truncated: it has {have} bytes where its header promises {want}; copy or download it again"
    )]
    Truncated { have: u64, want: u64 },
    #[error("the checkpoint is not a safetensors file: {0}; export it with safetensors.torch.save_file")]
    NotSafetensors(String),
    #[error("the checkpoint lacks {} of {of} tensors, first {:?} of shape {shape:?}; {advice}", names.len(), first(names))]
    MissingTensors { names: Vec<String>, shape: Vec<i64>, of: usize, advice: String },
    #[error("tensor {name} has shape {have:?}, the config wants {want:?}; {advice}")]
    WrongShape { name: String, have: Vec<i64>, want: Vec<i64>, advice: String },
    #[error("the checkpoint has {} tensors that the config does not know, first {:?}; {}", names.len(), first(names), hint(names).unwrap_or(advice))]
    UnknownTensors { names: Vec<String>, advice: String },
    #[error("tensor {name} stands twice in {place}; write the checkpoint again with safetensors.torch.save_file")]
    DuplicateTensor { name: String, place: String },
    #[error("tensor {name} claims the bytes {start} to {end}, but {why}; the file is broken, copy or write it again")]
    WrongOffsets { name: String, start: u64, end: u64, why: String },
    #[error("the checkpoint's index is not valid: {0}; expected model.safetensors.index.json beside its files, whole")]
    Index(String),
    #[error("{file}: {source}")]
    InFile { file: String, source: Box<ModelError> },
    #[error("{what}, the config says {config}")]
    Contradiction { what: String, config: String },
    #[error("tensor {name} has dtype {dtype}, expected I64; write it again as PyTorch does")]
    WrongCounter { name: String, dtype: String },
    #[error("tensor {name} has a variance below 0; this checkpoint is broken, take an earlier one")]
    NegativeVariance { name: String },
    #[error("tensor {name} has dtype {dtype}, expected F32, F16, BF16 or F64; convert it")]
    WrongDtype { name: String, dtype: String },
    #[error("tensor {name} holds NaN or infinity; this checkpoint is broken, take an earlier one")]
    NotFinite { name: String },
    #[error(
        "tensor {name} has a value that is no number, or beyond the {kind:?} in which the checkpoint came; training it in f32 needs a checkpoint in f32"
    )]
    TooLarge { name: String, kind: tch::Kind },
    #[error("{what} has shape {have:?}, expected {want}")]
    WrongInput { what: &'static str, have: Vec<i64>, want: String },
    #[error("{what}: {have} is outside of {want}")]
    OutOfRange { what: &'static str, have: String, want: String },
    #[error(
        "token {token} is not among the {rows} rows of the compacted vocabulary; compact it with every caption of the training"
    )]
    NotInVocabulary { token: i64, rows: usize },
    #[error("libtorch failed: {0}")]
    Torch(String),
}

fn first(names: &[String]) -> &str {
    names.first().map_or("", String::as_str)
}

/// What unknown tensors say about where the checkpoint comes from.
fn hint(names: &[String]) -> Option<&'static str> {
    let any = |part: &str| names.iter().any(|name| name.contains(part));
    if any("logit_bias") {
        Some("logit_bias belongs to SigLIP, which is not CLIP's loss")
    } else if any("text_decoder") {
        Some("text_decoder belongs to CoCa, which is not supported")
    } else if any("module.") {
        Some("strip the prefix module. that data-parallel training left")
    } else if any("visual.trunk.") {
        Some("timm's image towers are not supported, only OpenCLIP's own ViT and ResNet")
    } else {
        None
    }
}

impl From<TchError> for ModelError {
    /// libtorch appends a C++ backtrace; only the first line tells the caller anything.
    fn from(error: TchError) -> Self {
        let text = error.to_string();
        Self::Torch(text.lines().next().unwrap_or_default().to_owned())
    }
}

impl From<ModelError> for Fault {
    /// The same model and inputs fail again, save where libtorch ran out of something.
    fn from(error: ModelError) -> Self {
        match &error {
            ModelError::Torch(text) if text.contains("memory") => Self::retryable(error.to_string()),
            ModelError::Torch(_)
            | ModelError::Config(_)
            | ModelError::Unsupported { .. }
            | ModelError::Pickle
            | ModelError::TorchScript
            | ModelError::Truncated { .. }
            | ModelError::NotSafetensors(_)
            | ModelError::MissingTensors { .. }
            | ModelError::WrongShape { .. }
            | ModelError::UnknownTensors { .. }
            | ModelError::DuplicateTensor { .. }
            | ModelError::WrongOffsets { .. }
            | ModelError::Index(_)
            | ModelError::InFile { .. }
            | ModelError::Contradiction { .. }
            | ModelError::WrongCounter { .. }
            | ModelError::NegativeVariance { .. }
            | ModelError::WrongDtype { .. }
            | ModelError::NotFinite { .. }
            | ModelError::TooLarge { .. }
            | ModelError::WrongInput { .. }
            | ModelError::OutOfRange { .. }
            | ModelError::NotInVocabulary { .. } => Self::fatal(error.to_string()),
        }
    }
}
