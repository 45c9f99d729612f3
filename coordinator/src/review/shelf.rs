//! All that a person is shown of an audit's suspects, kept in memory while somebody looks.
//!
//! It must never show what another audit's artefacts say: what is kept is found by the digests of what it was made from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lethe_common::blob::{BlobRef, BlobStore, Digest};
use lethe_engine::AuditView;
use lethe_evidence::artifacts::{
    Confirmed, Exhibits, ForgetSet, Judged, ShadedWord, Shards, TokenGrid, WordScore, decode, names,
};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::flights::Flights;
use super::suspects::{Suspects, SuspectsError, output};

/// Others wait for their turn meanwhile.
const DEADLINE: Duration = Duration::from_secs(5 * 60);
/// Audits that are kept: of a large one the suspects take a hundred MiB.
const MOST: usize = 2;

/// The suspects, and what became of each.
#[derive(Debug)]
pub struct Reviewed {
    /// Names the table that the suspects' numbers count in.
    pub of: Digest,
    pub suspects: Suspects,
    pub clusters: Vec<Group>,
    /// By shard and key.
    members: BTreeMap<(u32, String), Membership>,
    exhibits: BTreeMap<(u32, String), Region>,
    shards: Shards,
}

/// A cluster of the forget set.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub words: Vec<WordScore>,
    /// Whether a shortcut is behind it; nothing before `confirm` is done.
    pub is_shortcut: Option<bool>,
}

/// A suspect's place in the forget set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    pub cluster: u32,
    pub held_out: bool,
}

/// Where in a suspect the match of picture and caption lies.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    pub grid: TokenGrid,
    pub words: Vec<ShadedWord>,
}

impl Reviewed {
    /// # Errors
    /// There are no suspects yet, or an artefact cannot be read.
    async fn read(view: &AuditView, blobs: &BlobStore) -> Result<Self, SuspectsError> {
        let suspects = Suspects::read(view, blobs).await?;
        let of = Suspects::blob(view).map_or(Digest([0; 32]), |blob| blob.digest);
        let shards: Option<Shards> = artefact(view, ("plan", names::SHARDS), blobs).await?;
        let forget: Option<ForgetSet> = artefact(view, ("select", names::FORGET), blobs).await?;
        let confirmed: Option<Confirmed> = artefact(view, ("confirm", names::CONFIRMED), blobs).await?;
        let exhibits: Option<Exhibits> = artefact(view, ("report", names::EXHIBITS), blobs).await?;
        let (forget, clusters) = groups(forget, confirmed);
        let members = forget.into_iter().flat_map(|forget| forget.members).map(|member| {
            let place = Membership { cluster: member.cluster, held_out: member.held_out };
            ((member.shard, member.key), place)
        });
        let exhibits = exhibits
            .into_iter()
            .flat_map(|all| all.exhibits)
            .map(|exhibit| ((exhibit.shard, exhibit.key), Region { grid: exhibit.grid, words: exhibit.words }));
        let (members, exhibits) = (members.collect(), exhibits.collect());
        let none = || Shards { dataset: String::new(), shards: Vec::new(), total_bytes: 0 };
        Ok(Self { of, suspects, clusters, members, exhibits, shards: shards.unwrap_or_else(none) })
    }

    /// By its number, from 1.
    pub fn membership(&self, number: usize) -> Option<Membership> {
        self.of_row(number, &self.members).copied()
    }

    pub fn region(&self, number: usize) -> Option<&Region> {
        self.of_row(number, &self.exhibits)
    }

    fn of_row<'m, T>(&self, number: usize, map: &'m BTreeMap<(u32, String), T>) -> Option<&'m T> {
        let row = self.suspects.rows.get(number.checked_sub(1)?)?;
        map.get(&(row.shard, row.key.clone()))
    }

    /// As the drop list has it: `shard name/key`.
    pub fn full_key(&self, shard: u32, key: &str) -> String {
        let entry = self.shards.shards.get(shard as usize);
        entry.map_or_else(|| format!("{shard}/{key}"), |entry| entry.full_key(key))
    }
}

/// As `confirm` left the forget set, where it has; all clusters with what it made of them.
fn groups(forget: Option<ForgetSet>, confirmed: Option<Confirmed>) -> (Option<ForgetSet>, Vec<Group>) {
    let group =
        |judged: &Judged| Group { words: judged.cluster.words.clone(), is_shortcut: Some(judged.is_shortcut()) };
    match (forget, confirmed) {
        (_, Some(Confirmed { forget, clusters })) => (Some(forget), clusters.iter().map(group).collect()),
        (Some(forget), None) => {
            let groups = forget.clusters.iter().map(|one| Group { words: one.words.clone(), is_shortcut: None });
            let groups = groups.collect();
            (Some(forget), groups)
        }
        (None, None) => (None, Vec::new()),
    }
}

async fn artefact<T: DeserializeOwned + Send + 'static>(
    view: &AuditView,
    (phase, name): (&str, &'static str),
    blobs: &BlobStore,
) -> Result<Option<T>, SuspectsError> {
    let Some(blob) = output(view, phase, name) else { return Ok(None) };
    let bytes = blobs.get(blob).await?;
    // Of a large set it takes a while, in which others are to be served.
    let decoded = tokio::task::spawn_blocking(move || decode(name, &bytes)).await;
    let decoded = decoded.map_err(|panic| SuspectsError::Other(panic.to_string()))?;
    decoded.map(Some).map_err(|error| SuspectsError::Other(error.to_string()))
}

/// What was read last, for everybody who looks or marks.
#[derive(Debug, Clone)]
pub struct Shelf {
    kept: Arc<Mutex<Vec<Kept>>>,
    flights: Flights<Vec<Digest>, Result<Arc<Reviewed>, Arc<SuspectsError>>>,
    /// One audit's at a time, whoever asks: each takes as much memory as all that are kept.
    reading: Arc<Semaphore>,
}

/// What was read, and of which blobs.
type Kept = (Vec<Digest>, Arc<Reviewed>);

impl Default for Shelf {
    fn default() -> Self {
        Self { kept: Arc::default(), flights: Flights::default(), reading: Arc::new(Semaphore::new(1)) }
    }
}

impl Shelf {
    /// # Errors
    /// As [`Reviewed`] is read.
    pub async fn take(&self, view: &AuditView, blobs: &BlobStore) -> Result<Arc<Reviewed>, Arc<SuspectsError>> {
        let name = made_from(view);
        if let Some(found) = self.find(&name) {
            return Ok(found);
        }
        let read = || {
            let (shelf, name, view, blobs) = (self.clone(), name.clone(), view.clone(), blobs.clone());
            async move { shelf.read(name, &view, &blobs).await }
        };
        let taken = self.flights.join(name.clone(), read).await;
        taken.unwrap_or_else(|| Err(Arc::new(SuspectsError::Other("reading them panicked".to_owned()))))
    }

    async fn read(
        &self,
        name: Vec<Digest>,
        view: &AuditView,
        blobs: &BlobStore,
    ) -> Result<Arc<Reviewed>, Arc<SuspectsError>> {
        let _place = self.reading.acquire().await;
        // A read that landed while this one began.
        if let Some(found) = self.find(&name) {
            return Ok(found);
        }
        let read = timeout(DEADLINE, Reviewed::read(view, blobs)).await;
        let late = |_| SuspectsError::Other(format!("the store took more than {} minutes", DEADLINE.as_secs() / 60));
        let read = Arc::new(read.map_err(late)??);
        let mut kept = self.lock();
        kept.retain(|(known, _)| *known != name);
        kept.push((name, Arc::clone(&read)));
        if kept.len() > MOST {
            kept.remove(0);
        }
        Ok(read)
    }

    fn find(&self, name: &[Digest]) -> Option<Arc<Reviewed>> {
        let mut kept = self.lock();
        let at = kept.iter().position(|(known, _)| known == name)?;
        let found = kept.remove(at);
        let reviewed = Arc::clone(&found.1);
        kept.push(found); // the last to go
        Some(reviewed)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        // Each step leaves it whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an audit's page of suspects is made from, as far as there is some.
fn made_from(view: &AuditView) -> Vec<Digest> {
    let sources = [
        ("plan", names::SHARDS),
        ("select", names::RANKED),
        ("select", names::FORGET),
        ("confirm", names::CONFIRMED),
        ("report", names::EXHIBITS),
    ];
    let digest = |blob: Option<&BlobRef>| blob.map_or(Digest([0; 32]), |blob| blob.digest);
    sources.into_iter().map(|(phase, name)| digest(output(view, phase, name))).collect()
}
