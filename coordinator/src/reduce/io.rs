//! Committed blobs in, this attempt's blobs out.
//!
//! It must never depend on the order in which inputs are listed.

use std::fs::File;
use std::path::Path;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use lethe_common::blob::{BlobError, BlobRef, NamedBlob, attempt_path};
use lethe_common::fault::Fault;
use lethe_evidence::artifacts::{columns, decode, encode};
use lethe_evidence::{EvidenceError, KeyedScore, RowBatches, SignalRow, SignalTable};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ReduceContext;

/// Blobs that are on their way at once: of a bucket each takes its time, and a large data set has hundreds of thousands.
const AHEAD: usize = 32;

/// One input blob and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Input<'a> {
    pub shard: u32,
    pub phase: &'a str,
    pub blob: &'a BlobRef,
}

impl ReduceContext {
    /// Every input of this name, in ascending order of shard.
    pub(super) fn named(&self, name: &str) -> Vec<Input<'_>> {
        let mut found: Vec<Input<'_>> = self
            .inputs
            .iter()
            .flat_map(|output| output.blobs.iter().map(move |named| (output, named)))
            .filter(|(_, named)| named.name == name)
            .map(|(output, named)| Input { shard: output.shard.0, phase: &output.phase, blob: &named.blob })
            .collect();
        found.sort();
        found
    }

    /// What is read of every input of this name, in ascending order of shard, some ahead of whoever takes them.
    pub(super) fn each<'a, T: 'a, F>(
        &'a self,
        name: &str,
        read: impl Fn(Input<'a>) -> F + 'a,
    ) -> impl Stream<Item = Result<(Input<'a>, T), Fault>> + 'a
    where
        F: Future<Output = Result<T, Fault>> + 'a,
    {
        let reads = stream::iter(self.named(name)).map(move |input| {
            let read = read(input);
            async move { Ok((input, read.await?)) }
        });
        reads.buffered(AHEAD)
    }

    /// The only input of this name.
    pub(super) fn only(&self, name: &str) -> Result<Input<'_>, Fault> {
        match self.named(name)[..] {
            [one] => Ok(one),
            ref other => Err(Fault::fatal(format!(
                "{} expected one {name} among its inputs and found {}; the plan does not fit this build",
                self.program,
                other.len()
            ))),
        }
    }

    pub(super) async fn bytes(&self, input: Input<'_>) -> Result<Bytes, Fault> {
        self.blobs.get(input.blob).await.map_err(blob_fault)
    }

    pub(super) async fn json<T: DeserializeOwned>(&self, name: &str, input: Input<'_>) -> Result<T, Fault> {
        let bytes = self.bytes(input).await?;
        decode(name, &bytes).map_err(|e| Fault::fatal(e.to_string()))
    }

    pub(super) async fn only_json<T: DeserializeOwned>(&self, name: &str) -> Result<T, Fault> {
        self.json(name, self.only(name)?).await
    }

    /// A table of signals, decoded beside the driver's threads.
    pub(super) async fn signals(&self, input: Input<'_>) -> Result<SignalTable, Fault> {
        let bytes = self.bytes(input).await?;
        blocking(move || SignalTable::from_parquet(bytes).map_err(evidence_fault)).await
    }

    /// The first-pass scores of a shard a batch at a time, through a file that goes with them.
    pub(super) async fn first_scores(&self, input: Input<'_>) -> Result<RowBatches<KeyedScore>, Fault> {
        let opened = self.through_a_file(input).await?;
        blocking(move || SignalTable::scores(opened, columns::SUSPICION).map_err(evidence_fault)).await
    }

    /// The same with the captions.
    pub(super) async fn captioned_scores(&self, input: Input<'_>) -> Result<RowBatches<KeyedScore>, Fault> {
        let opened = self.through_a_file(input).await?;
        blocking(move || SignalTable::captioned_scores(opened, columns::SUSPICION).map_err(evidence_fault)).await
    }

    /// The same with every signal.
    pub(super) async fn first_signals(&self, input: Input<'_>) -> Result<RowBatches<SignalRow>, Fault> {
        let opened = self.through_a_file(input).await?;
        blocking(move || SignalTable::batches(opened).map_err(evidence_fault)).await
    }

    async fn through_a_file(&self, input: Input<'_>) -> Result<File, Fault> {
        let scratch = self.blobs.scratch();
        let made = std::fs::create_dir_all(&scratch).and_then(|()| tempfile::NamedTempFile::new_in(&scratch));
        let file = made.map_err(|e| scratch_fault(&scratch, &e))?;
        self.blobs.get_file(input.blob, file.path()).await.map_err(blob_fault)?;
        file.reopen().map_err(|e| scratch_fault(file.path(), &e))
    }

    pub(super) async fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<NamedBlob, Fault> {
        let bytes = encode(name, value).map_err(|e| Fault::fatal(e.to_string()))?;
        self.write(name, bytes.into()).await
    }

    pub(super) async fn write(&self, name: &str, bytes: Bytes) -> Result<NamedBlob, Fault> {
        let blob = self.blobs.put(&attempt_path(&self.task, name), bytes).await.map_err(blob_fault)?;
        Ok(NamedBlob { name: name.to_owned(), blob })
    }

    /// A file as a blob, never whole in memory.
    pub(super) async fn write_file(&self, name: &str, file: &Path) -> Result<NamedBlob, Fault> {
        let blob = self.blobs.put_file(&attempt_path(&self.task, name), file).await.map_err(blob_fault)?;
        Ok(NamedBlob { name: name.to_owned(), blob })
    }
}

/// Runs work that blocks or computes for long where it holds up nobody.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Fault::retryable(format!("a part of the reduce did not end: {error}"))),
    }
}

pub(crate) fn blob_fault(error: BlobError) -> Fault {
    match error {
        BlobError::Open { .. } | BlobError::Access { .. } if error.is_of_store() => Fault::storage(error.to_string()),
        BlobError::Open { .. } | BlobError::Access { .. } => Fault::retryable(error.to_string()),
        BlobError::Damaged { .. } | BlobError::TooLarge { .. } => Fault::fatal(error.to_string()),
    }
}

/// A full disk may be mended before the next try.
fn scratch_fault(path: &Path, error: &std::io::Error) -> Fault {
    Fault::storage(format!("scratch {}: {error}; check the folder's rights and free space", path.display()))
}

pub(super) fn evidence_fault(error: EvidenceError) -> Fault {
    match error.is_of_storage() {
        true => Fault::storage(format!("{error}; check the work folder's free space")),
        false => Fault::fatal(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::TryStreamExt;
    use tokio::sync::Barrier;

    use super::super::fixture;

    #[tokio::test]
    async fn inputs_are_found_by_name_in_order_of_shard() {
        let (ctx, _folder) =
            fixture::context("[]", &[(2, "a.json", "2"), (0, "a.json", "0"), (1, "b.json", "1")]).await;
        assert_eq!(ctx.named("a.json").iter().map(|input| input.shard).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(ctx.only_json::<u32>("b.json").await, Ok(1));
        assert!(ctx.only("a.json").expect_err("are two").message.contains("expected one a.json"));
    }

    #[tokio::test]
    async fn a_damaged_input_is_fatal() {
        let (ctx, folder) = fixture::context("[]", &[(0, "a.json", "7")]).await;
        let path = &ctx.only("a.json").expect("is there").blob.path;
        std::fs::write(folder.path().join("blobs").join(path), "8").expect("damages");
        let fault = ctx.only_json::<u32>("a.json").await.expect_err("is noticed");
        assert!(fault.is_fatal() && fault.message.contains("damaged"), "{fault}");
    }

    #[tokio::test]
    async fn blobs_come_in_the_order_of_shards_and_some_at_once() {
        let blobs: Vec<(u32, &str, &str)> = [(2, "n.json", "2"), (0, "n.json", "0"), (1, "n.json", "1")].into();
        let (ctx, _folder) = fixture::context("[]", &blobs).await;
        // Nobody gets on before all are under way.
        let all = Barrier::new(blobs.len());
        let read = async |input| {
            all.wait().await;
            ctx.json::<u32>("n.json", input).await
        };
        let mut found = Vec::new();
        let mut each = pin!(ctx.each("n.json", read));
        while let Some((input, number)) = each.try_next().await.expect("reads") {
            found.push((input.shard, number));
        }
        assert_eq!(found, [(0, 0), (1, 1), (2, 2)]);
    }
}
