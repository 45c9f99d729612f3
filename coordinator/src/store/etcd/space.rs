//! Keeping etcd within its quota: old revisions go regularly, and a full one is cleared out.
//!
//! It must never compact what a load may still read in pages: the newest revisions stay.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use etcd_client::{AlarmAction, AlarmOptions, AlarmType, Client, CompactionOptions, StatusResponse};
use tokio::time::Instant;
use tracing::{info, warn};

use super::members::Member;
use super::{DEADLINE, EtcdStore};
use crate::store::{Maintained, StoreError};

/// Revisions that stay readable; each batch makes one.
const KEPT_REVISIONS: i64 = 1_000;
/// A member that defragments answers nothing meanwhile: about 10 s a GB on a slow disk.
const DEFRAGMENT_DEADLINE: Duration = Duration::from_secs(60);
const STATUS_DEADLINE: Duration = Duration::from_secs(1);
/// A clearing stops every member for a while; after one in vain the next waits this long.
const CLEAR_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// When a clearing last did not help.
#[derive(Debug, Default)]
pub(super) struct Clearings(Mutex<Option<Instant>>);

impl Clearings {
    fn failed_lately(&self) -> bool {
        let failed = *self.0.lock().unwrap_or_else(PoisonError::into_inner); // it is replaced whole
        failed.is_some_and(|at| at.elapsed() < CLEAR_AGAIN_AFTER)
    }

    fn note_failure(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

impl EtcdStore {
    pub(in crate::store) async fn maintain(&self) -> Result<Maintained, StoreError> {
        let compacted = self.compact(KEPT_REVISIONS).await?;
        Ok(Maintained { compacted, ..self.measure().await? })
    }

    /// Frees what can be freed after a write met the quota, and lifts the alarm.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`] soon after a clearing that did not help.
    pub(super) async fn make_room(&self) -> Result<(), StoreError> {
        if self.clearings.failed_lately() {
            return Err(self.no_space().await);
        }
        warn!(store = self.describe(), "etcd is full; compacting and defragmenting it");
        self.compact(0).await?;
        for member in self.members.all() {
            let defragment = |client: Client| async move { client.maintenance_client().defragment().await };
            if let Err(error) = member.try_once(DEFRAGMENT_DEADLINE, defragment).await {
                warn!(error, "a member was not defragmented");
            }
        }
        self.disarm().await
    }

    /// What a write after a clearing came to: one that still finds no room says how large etcd is.
    pub(super) async fn after_clearing<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        match answer {
            Err(StoreError::NoSpace { .. }) => {
                self.clearings.note_failure();
                Err(self.no_space().await)
            }
            answer => answer,
        }
    }

    /// [`StoreError::NoSpace`] with the figures a person needs.
    async fn no_space(&self) -> StoreError {
        match self.measure().await {
            Ok(found) => StoreError::NoSpace {
                store: self.describe(),
                size_bytes: found.size_bytes,
                quota: found.quota_bytes.map_or("about that size".to_owned(), |quota| format!("{quota} bytes")),
            },
            Err(error) => error,
        }
    }

    /// Gives up all revisions but the newest `kept`.
    async fn compact(&self, kept: i64) -> Result<bool, StoreError> {
        let revision = self.revision().await? - kept;
        if revision <= 0 {
            return Ok(false);
        }
        let compact = |client: Client| async move {
            let options = CompactionOptions::new().with_physical();
            client.kv_client().compact(revision, Some(options)).await
        };
        match self.members.call("compact", DEADLINE, compact).await {
            Ok(_) => Ok(true),
            Err(StoreError::Etcd { reason, .. }) if reason.contains("compacted") => Ok(false), // it was already
            Err(error) => Err(error),
        }
    }

    async fn revision(&self) -> Result<i64, StoreError> {
        let read = |client: Client| async move { client.kv_client().get("\0", None).await };
        let answer = self.members.call("read", DEADLINE, read).await?;
        Ok(answer.header().map_or(0, |header| header.revision()))
    }

    async fn disarm(&self) -> Result<(), StoreError> {
        let list = |client: Client| async move {
            client.maintenance_client().alarm(AlarmAction::Get, AlarmType::None, None).await
        };
        let armed = self.members.call("list its alarms", DEADLINE, list).await?;
        for alarm in armed.alarms().iter().filter(|alarm| alarm.alarm() == AlarmType::Nospace) {
            let member = alarm.member_id();
            let disarm = |client: Client| async move {
                let mut options = AlarmOptions::new();
                options.with_member(member);
                client.maintenance_client().alarm(AlarmAction::Deactivate, AlarmType::Nospace, Some(options)).await
            };
            self.members.call("disarm its alarm", DEADLINE, disarm).await?;
            info!(member, "etcd's alarm is lifted");
        }
        Ok(())
    }

    /// The figures of the largest member that answers.
    async fn measure(&self) -> Result<Maintained, StoreError> {
        let asked = self.members.all().iter().map(status);
        let told = futures::future::join_all(asked).await;
        let last = told.iter().find_map(|status| status.as_ref().err()).cloned().unwrap_or_default();
        let largest = told.into_iter().flatten().max_by_key(StatusResponse::db_size);
        let largest = largest.ok_or_else(|| self.members.deadline("tell its size", STATUS_DEADLINE, last))?;
        Ok(Maintained {
            size_bytes: largest.db_size().unsigned_abs(),
            used_bytes: largest.raft_used_db_size().unsigned_abs(), // despite its name, of the database
            quota_bytes: Some(largest.db_size_quota().unsigned_abs()).filter(|quota| *quota > 0),
            compacted: false,
        })
    }
}

async fn status(member: &Member) -> Result<StatusResponse, String> {
    member.try_once(STATUS_DEADLINE, |client: Client| async move { client.maintenance_client().status().await }).await
}
