//! The collection of blobs that nobody points at.
//!
//! It must never decide which blob counts: the leader's engine says so. And it must never remove a young one: that may
//! belong to a commit on its way.

use std::future::Future;
use std::time::SystemTime;

use futures::TryStreamExt;
use lethe_common::blob::{BlobError, BlobStore, Listed, parse_attempt_path};

/// Paths that the judge is asked about at once, and all that is in memory of the store's listing.
pub const MAX_PATHS_ASKED: usize = 1_000;

/// What a sweep found and did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Swept {
    pub deleted: u64,
    pub deleted_bytes: u64,
    /// Kept because something points at them.
    pub pointed: u64,
    /// Kept because they are young.
    pub young: u64,
    /// Left alone because no attempt writes under such a path.
    pub foreign: u64,
    /// Half-written uploads and scratch files of processes that died.
    pub litter: u64,
    /// Whether the judge stopped it before its end.
    pub stopped: bool,
}

/// Deletes the blobs that were last written before a time and do not count.
///
/// The judge says of each path whether something points at it, in the order asked, or `None` where it cannot know: it
/// leads no more. A path it gives no answer for is kept. Nothing that was written before that time may be pointed at
/// later, so let it lie further back than any commit takes.
pub async fn sweep<Judge, Answer>(blobs: &BlobStore, before: SystemTime, mut judge: Judge) -> Result<Swept, BlobError>
where
    Judge: FnMut(Vec<String>) -> Answer,
    Answer: Future<Output = Option<Vec<bool>>>,
{
    let mut swept = Swept::default();
    let (mut listed, mut more) = (blobs.list(), true);
    while more {
        let page;
        (page, more) = next_page(&mut listed, before, &mut swept).await?;
        let Some(counts) = judge(page.iter().map(|blob| blob.path.clone()).collect()).await else {
            return Ok(Swept { stopped: true, ..swept });
        };
        delete(blobs, page, &counts, &mut swept).await?;
    }
    swept.litter = blobs.tidy(before).await?;
    Ok(swept)
}

/// The next old blobs of attempts, and whether there may be more; what is passed over is counted.
async fn next_page(
    listed: &mut (impl futures::Stream<Item = Result<Listed, BlobError>> + Unpin),
    before: SystemTime,
    swept: &mut Swept,
) -> Result<(Vec<Listed>, bool), BlobError> {
    let mut page = Vec::new();
    while page.len() < MAX_PATHS_ASKED {
        match listed.try_next().await? {
            None => return Ok((page, false)),
            Some(blob) if parse_attempt_path(&blob.path).is_none() => swept.foreign += 1,
            Some(blob) if blob.modified >= before => swept.young += 1,
            Some(blob) => page.push(blob),
        }
    }
    Ok((page, true))
}

async fn delete(blobs: &BlobStore, page: Vec<Listed>, counts: &[bool], swept: &mut Swept) -> Result<(), BlobError> {
    let mut doomed = Vec::new();
    for (at, blob) in page.into_iter().enumerate() {
        if counts.get(at).copied().unwrap_or(true) {
            swept.pointed += 1;
        } else {
            swept.deleted += 1;
            swept.deleted_bytes += blob.size_bytes;
            doomed.push(blob.path);
        }
    }
    blobs.delete(doomed).await
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn store() -> (BlobStore, TempDir) {
        let folder = tempfile::tempdir().expect("makes a folder");
        (BlobStore::local(folder.path()).expect("opens"), folder)
    }

    /// Blobs of five bytes, last written two hours ago.
    async fn put_old(store: &BlobStore, folder: &TempDir, paths: &[&str]) {
        for path in paths {
            store.put(path, "bytes".into()).await.expect("writes");
            let file = std::fs::File::options().append(true).open(folder.path().join(path)).expect("opens");
            file.set_modified(SystemTime::now() - 2 * HOUR).expect("ages");
        }
    }

    async fn left(store: &BlobStore) -> Vec<String> {
        let mut paths: Vec<String> = store.list().map_ok(|blob| blob.path).try_collect().await.expect("lists");
        paths.sort();
        paths
    }

    /// Only these paths count.
    fn points_at(pointed: &'static [&'static str]) -> impl FnMut(Vec<String>) -> std::future::Ready<Option<Vec<bool>>> {
        move |paths| std::future::ready(Some(paths.iter().map(|path| pointed.contains(&path.as_str())).collect()))
    }

    #[tokio::test]
    async fn only_old_blobs_of_attempts_that_nothing_points_at_go() {
        let (store, folder) = store();
        const POINTED: &str = "a/001/0000000/1.2/x.json";
        let unpointed = ["a/001/0000000/1.1/x.json", "b/000/0000007/1.1/y.json"];
        let foreign = ["a/notes.txt", "a/001/0000000/1.1/x/deeper", "README"];
        put_old(&store, &folder, &[POINTED]).await;
        put_old(&store, &folder, &unpointed).await;
        put_old(&store, &folder, &foreign).await;
        let young = "a/001/0000000/1.3/x.json";
        store.put(young, "bytes".into()).await.expect("writes");

        // A task of its own: what the leader does must be able to move between threads.
        let sweeping = store.clone();
        let swept =
            tokio::spawn(async move { sweep(&sweeping, SystemTime::now() - HOUR, points_at(&[POINTED])).await });
        let swept = swept.await.expect("ends").expect("sweeps");
        let expected = Swept { deleted: 2, deleted_bytes: 10, pointed: 1, young: 1, foreign: 3, ..Swept::default() };
        assert_eq!(swept, expected);
        assert_eq!(left(&store).await, ["README", foreign[1], POINTED, young, foreign[0]]);
    }

    #[tokio::test]
    async fn a_judge_that_leads_no_more_stops_it() {
        let (store, folder) = store();
        let paths: Vec<String> = (0..MAX_PATHS_ASKED + 1).map(|n| format!("a/001/{n:07}/1.1/x")).collect();
        put_old(&store, &folder, &paths.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let judge = move |paths: Vec<String>| {
            let mut asked = seen.lock().expect("nobody panicked with it");
            asked.push(paths.len());
            std::future::ready((asked.len() == 1).then(|| vec![false; paths.len()]))
        };
        let swept = sweep(&store, SystemTime::now() - HOUR, judge).await.expect("ends");
        assert!(swept.stopped && swept.deleted == MAX_PATHS_ASKED as u64, "{swept:?}");
        assert_eq!(*asked.lock().expect("nobody panicked with it"), [MAX_PATHS_ASKED, 1]);
        assert_eq!(left(&store).await.len(), 1);
    }

    #[tokio::test]
    async fn a_blob_without_an_answer_is_kept() {
        let (store, folder) = store();
        put_old(&store, &folder, &["a/001/0000000/1.1/x", "a/001/0000001/1.1/x"]).await;
        let swept = sweep(&store, SystemTime::now() - HOUR, |_| std::future::ready(Some(vec![false]))).await;
        assert_eq!(swept.map(|swept| (swept.deleted, swept.pointed)).ok(), Some((1, 1)));
    }

    #[tokio::test]
    async fn folders_that_a_sweep_emptied_go_with_a_later_one() {
        let (store, folder) = store();
        put_old(&store, &folder, &["a/001/0000000/1.1/x"]).await;
        let later = SystemTime::now() + HOUR;
        sweep(&store, later, points_at(&[])).await.expect("sweeps");
        sweep(&store, later, points_at(&[])).await.expect("sweeps");
        assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 0);
    }
}
