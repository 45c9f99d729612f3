//! Which shards keep the scores of an earlier audit, and under which numbers.
//!
//! It must never keep a score that rests on anything else: other code, another model, another reference set, other parts of the spec, or
//! a shard of which a byte is another, as far as its pin tells.

use std::collections::{BTreeMap, BTreeSet};

use lethe_common::blob::{BlobStore, Digest};
use lethe_common::earlier::{Basis, Changes, EARLIER, Since, Taken};
use lethe_common::fault::Fault;
use lethe_common::ids::AuditId;
use lethe_common::pin::Pin;
use lethe_common::program::MapProgram;
use lethe_common::record::{Found, ModelFile};
use lethe_common::spec::Spec;
use lethe_engine::AuditView;
use lethe_evidence::artifacts::{ShardEntry, Shards, names};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::code;

/// The result that is compared with what is dropped now.
const DROP_LIST: &str = "drop-list.txt";

/// An earlier audit.
pub(super) struct Before {
    shards: Shards,
    basis: Basis,
    taken: Vec<Taken>,
    drop_list: Option<lethe_common::blob::NamedBlob>,
}

/// What a plan comes to.
pub(super) struct Settled {
    pub basis: Basis,
    /// Where scores are kept: the shards with the numbers that they had, and those that the reference set is of.
    pub rearranged: Option<(Shards, Vec<u32>)>,
}

/// Gives why it is of no use, where it is.
///
/// # Errors
/// The blob store does not answer, which is no reason to score everything anew.
pub(super) async fn read(
    known: Result<(AuditView, Vec<Taken>), String>,
    blobs: &BlobStore,
) -> Result<Result<Before, String>, Fault> {
    let (view, taken) = match known {
        Ok(known) => known,
        Err(why) => return Ok(Err(why)),
    };
    let (shards, basis) = (artefact(&view, names::SHARDS, blobs).await?, artefact(&view, EARLIER, blobs).await?);
    let drop_list = view.phases.iter().flat_map(|phase| &phase.outputs).find(|output| output.name == DROP_LIST);
    let drop_list = drop_list.cloned();
    Ok(shards.and_then(|shards| Ok(Before { shards, basis: basis?, taken, drop_list })))
}

async fn artefact<T: DeserializeOwned + Send + 'static>(
    view: &AuditView,
    name: &'static str,
    blobs: &BlobStore,
) -> Result<Result<T, String>, Fault> {
    let audit = view.audit.clone();
    let Some(found) = view.phases.iter().flat_map(|phase| &phase.outputs).find(|output| output.name == name) else {
        return Ok(Err(format!("{audit} has no {name}: an older release planned it")));
    };
    let bytes = match blobs.get(&found.blob).await {
        Ok(bytes) => bytes,
        Err(error) if error.is_of_store() => {
            return Err(Fault::storage(format!("{error}; `--full` goes on without it")));
        }
        Err(error) => return Ok(Err(format!("{name} of {audit} cannot be read: {error}"))),
    };
    let read = tokio::task::spawn_blocking(move || {
        serde_json::from_slice(&bytes)
            .map_err(|error| format!("{name} of {audit} is not what this build writes: {error}"))
    });
    read.await.map_err(|panic| Fault::retryable(panic.to_string()))
}

pub(super) fn settle(
    spec: &Spec,
    shards: Shards,
    model: &[ModelFile],
    before: Option<(AuditId, Result<Before, String>)>,
) -> Settled {
    let scored_by = scored_by(spec, model);
    let own = |since| Basis {
        scored_by,
        reference_of: spec.audit.id.clone(),
        drawn_from_bytes: shards.total_bytes,
        turned_over_bytes: 0,
        since,
    };
    let Some((audit, before)) = before else { return Settled { basis: own(None), rearranged: None } };
    let anew = |why: String, changes, drop_list| {
        let since = Since { audit: audit.clone(), changes, anew: Some(why), taken: Vec::new(), drop_list };
        Settled { basis: own(Some(since)), rearranged: None }
    };
    let before = match before {
        Ok(before) => before,
        Err(why) => return anew(why, None, None),
    };
    let Before { shards: old, basis, taken, drop_list } = before;
    let compared = Compared::of(&old, &shards);
    let changes = Some(compared.changes);
    let reference: BTreeSet<u32> =
        taken.iter().filter(|one| one.phase == MapProgram::Reference.as_str()).map(|one| one.shard.0).collect();
    if let Some(why) = why_anew(spec, (&shards, scored_by), (&old, &basis, &reference), &compared) {
        return anew(why, changes, drop_list);
    }
    let rearranged = compared.in_old_places(shards);
    let keep = |one: &Taken| {
        rearranged
            .get(one.shard.0 as usize)
            .is_some_and(|entry| compared.unchanged.get(&entry.path) == Some(&one.shard.0))
    };
    let taken: Vec<Taken> = taken.into_iter().filter(keep).collect();
    let total_bytes = rearranged.iter().map(|shard| shard.size_bytes).sum();
    let since = Since { audit, changes, anew: None, taken, drop_list };
    let turned_over_bytes = basis.turned_over_bytes + compared.turned_over_bytes;
    Settled {
        basis: Basis { since: Some(since), scored_by, turned_over_bytes, ..basis },
        rearranged: Some((
            Shards { dataset: old.dataset, shards: rearranged, total_bytes },
            reference.into_iter().collect(),
        )),
    }
}

/// Why no score may be kept, where that is so.
fn why_anew(
    spec: &Spec,
    (shards, scored_by): (&Shards, Option<Digest>),
    (old, basis, reference): (&Shards, &Basis, &BTreeSet<u32>),
    compared: &Compared,
) -> Option<String> {
    if scored_by.is_none() {
        return Some("a file of the model could not be read".to_owned());
    }
    if scored_by != basis.scored_by {
        return Some("the model, this release, or what the spec says of scoring is another".to_owned());
    }
    if reference.is_empty() {
        return Some("it has no reference set".to_owned());
    }
    if compared.is_renamed {
        return Some("the folder that all shards have in common is another, and so are their names".to_owned());
    }
    // A number that is still among the numbers, of a shard that is still the same.
    let stays = |id: &u32| {
        let entry = old.shards.get(*id as usize).filter(|_| (*id as usize) < shards.shards.len());
        entry.is_some_and(|entry| compared.unchanged.contains_key(&entry.path))
    };
    if let Some(lost) = reference.iter().find(|id| !stays(id)) {
        let name = old.shards.get(*lost as usize).map_or("a shard", |entry| entry.name());
        return Some(format!("{name}, from which the reference set was drawn, has changed or is gone"));
    }
    let turned_over = basis.turned_over_bytes + compared.turned_over_bytes;
    let (share, most) = (turned_over as f64 / basis.drawn_from_bytes.max(1) as f64, spec.audit.max_growth());
    (share > most).then(|| {
        format!(
            "shards that came, went or changed since {} drew the reference set are {:.0} % of what it was drawn from; audit.max_growth is {:.0} %",
            basis.reference_of,
            100.0 * share,
            100.0 * most
        )
    })
}

/// A digest of all that a score depends on but its shard and the reference set.
fn scored_by(spec: &Spec, model: &[ModelFile]) -> Option<Digest> {
    let digests = model.iter().map(|file| match &file.found {
        Found::Whole { blake3, .. } => Some((file.field.as_str(), blake3.to_hex())),
        Found::Unread { .. } => None,
    });
    let digests: Vec<(&str, String)> = digests.collect::<Option<_>>()?;
    let code = code::built();
    let whole = json!({
        "release": code.release,
        "method": code.method,
        "model": digests,
        "seed": spec.audit.seed,
        "score": spec.score,
        "reference": spec.reference,
        "jpeg": spec.data.jpeg,
    });
    Some(Digest::of(whole.to_string().as_bytes()))
}

/// What became of the shards.
struct Compared {
    /// The path of each that is the same, with the number that it had.
    unchanged: BTreeMap<String, u32>,
    changes: Changes,
    /// Bytes of shards that are new, changed or gone.
    turned_over_bytes: u64,
    /// Whether one of them is the same under another name.
    is_renamed: bool,
}

impl Compared {
    fn of(old: &Shards, new: &Shards) -> Self {
        let before: BTreeMap<&str, &ShardEntry> = old.shards.iter().map(|shard| (shard.path.as_str(), shard)).collect();
        let (mut unchanged, mut changes) = (BTreeMap::new(), Changes::default());
        let (mut turned_over_bytes, mut is_renamed, mut met_bytes) = (0, false, 0);
        for shard in &new.shards {
            match before.get(shard.path.as_str()) {
                Some(known) if is_same(known, shard) => {
                    unchanged.insert(shard.path.clone(), known.id);
                    changes.unchanged += 1;
                    is_renamed |= known.name != shard.name;
                    met_bytes += known.size_bytes;
                    continue;
                }
                Some(known) => {
                    changes.changed += 1;
                    met_bytes += known.size_bytes;
                }
                None => changes.new += 1,
            }
            turned_over_bytes += shard.size_bytes;
        }
        changes.gone = old.shards.len() as u32 - changes.unchanged - changes.changed;
        turned_over_bytes += old.total_bytes.saturating_sub(met_bytes);
        Self { unchanged, changes, turned_over_bytes, is_renamed }
    }

    /// The shards with the numbers that they had, where those are numbers still; others take what is free, in order.
    fn in_old_places(&self, shards: Shards) -> Vec<ShardEntry> {
        let count = shards.shards.len();
        let mut places: Vec<Option<ShardEntry>> = vec![None; count];
        let mut others = Vec::new();
        for shard in shards.shards {
            match self.unchanged.get(&shard.path).and_then(|id| places.get_mut(*id as usize)) {
                Some(place) if place.is_none() => *place = Some(shard),
                Some(_) | None => others.push(shard),
            }
        }
        let mut others = others.into_iter();
        let filled = places.into_iter().filter_map(|place| place.or_else(|| others.next()));
        (0..).zip(filled).map(|(id, shard)| ShardEntry { id, ..shard }).collect()
    }
}

/// A time of change, to the second, is enough while an audit runs and not over weeks in which nobody reads the shard.
fn is_same(known: &ShardEntry, shard: &ShardEntry) -> bool {
    let is_told = match shard.pin {
        Pin::Digest(_) | Pin::Etag(_) => true,
        Pin::Modified(_) => false,
    };
    is_told && (&known.pin, known.size_bytes) == (&shard.pin, shard.size_bytes)
}

#[cfg(test)]
#[path = "earlier_tests.rs"]
mod tests;
