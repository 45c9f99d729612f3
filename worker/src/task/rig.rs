//! What a task needs around it, for unit tests of programs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use lethe_common::spec::Spec;
use lethe_model::tch::Device;

use super::{Blobs, Kept, TaskContext, sample_id};

/// A blob store in a folder, nothing kept, nobody who cancels.
pub(crate) struct Rig {
    pub blobs: Arc<Blobs>,
    pub kept: Kept,
    cancelled: AtomicBool,
}

impl Rig {
    pub fn new(folder: &Path) -> Self {
        let blobs = Arc::new(Blobs::open(&format!("file://{}", folder.display())).expect("opens"));
        Self { blobs, kept: Kept::default(), cancelled: AtomicBool::new(false) }
    }

    /// Of a task without inputs, on the CPU.
    pub fn context(&self) -> TaskContext<'_> {
        TaskContext {
            task: sample_id(1),
            spec: plain_spec(256),
            inputs: Vec::new(),
            batch_halvings: 0,
            device: Device::Cpu,
            blobs: &self.blobs,
            kept: &self.kept,
            opened: None.into(),
            progress: &|_, _| (),
            cancelled: &self.cancelled,
        }
    }
}

/// Names what is not there, and the batch of scoring.
pub(crate) fn plain_spec(batch: u32) -> Spec {
    let spec = serde_json::json!({
        "audit": {"id": "a"},
        "model": {"config": "m.json"},
        "data": {"shards": ["0.tar"]},
        "score": {"batch": batch},
    });
    serde_json::from_value(spec).expect("is a spec")
}
