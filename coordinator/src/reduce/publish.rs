//! The train plan's result, as blobs of this attempt: the trained checkpoint, its config, the shards it learned from, and
//! how the training went.
//!
//! It must never write where the operator looks: that is `deliver`'s, once the store points at these.

use lethe_common::fault::Fault;
use lethe_evidence::artifacts::names;

use super::package::{Package, model_config};
use super::{ReduceContext, ReduceResult};

pub(super) async fn run(ctx: &ReduceContext) -> Result<ReduceResult, Fault> {
    let mut package = Package::begin(ctx).await?;
    package.put_file("model.json", model_config(ctx)).await?;
    package.put_input(names::SHARDS, ctx.only(names::SHARDS)?).await?;
    package.put_input(names::MODEL, ctx.only(names::MODEL)?).await?;
    package.put_input(names::TRAINING, ctx.only(names::TRAINING)?).await?;
    Ok(ReduceResult::of(package.finish()))
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    const INPUTS: [(u32, &str, &str); 3] =
        [(0, names::MODEL, "weights"), (0, names::TRAINING, "{}"), (0, names::SHARDS, "[]")];

    #[tokio::test]
    async fn a_trained_checkpoint_becomes_a_blob_and_no_file() {
        let (ctx, _folder) = fixture::context("[]", &INPUTS).await;
        let outputs = run(&ctx).await.expect("publishes").outputs;
        assert_eq!(
            outputs.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(),
            ["model.json", "shards.json", "model.safetensors", "training.json"]
        );
        assert_eq!(ctx.blobs.get(&outputs[2].blob).await.expect("reads"), "weights");
        assert!(!ctx.result_folder.exists(), "the operator sees nothing before delivery");
        assert_eq!(std::fs::read_dir(ctx.blobs.scratch()).expect("lists").count(), 0, "the scratch folder is gone");
    }

    #[tokio::test]
    async fn a_config_that_is_gone_is_named_and_leaves_no_scratch() {
        let (ctx, _folder) = fixture::context("[]", &INPUTS).await;
        std::fs::remove_file(&ctx.spec.model.config).expect("removes the config");
        let fault = run(&ctx).await.expect_err("lacks its config");
        assert!(fault.is_fatal() && fault.message.contains("model.config"), "{fault}");
        assert_eq!(std::fs::read_dir(ctx.blobs.scratch()).expect("lists").count(), 0);
    }
}
