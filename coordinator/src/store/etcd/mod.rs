//! The store on etcd: every batch is one transaction that compares and moves the fence.
//!
//! It must never watch, never trust a lost answer, and never touch a key outside its prefix.

mod campaign;
mod keeper;
mod load;
mod members;
mod space;

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Compare, CompareOp, DeleteOptions, GetOptions, GetResponse, Txn, TxnOp, TxnOpResponse, TxnResponse};
use lethe_common::ids::Term;

use super::embedded::{check_schema, no_schema};
use super::own::{SCHEMA, TERM};
use super::{Batch, EtcdAddress, Fence, Outcome, SCHEMA_VERSION, StoreError};
use members::Members;
use space::Clearings;

pub(super) use keeper::Lease;

/// The longest that one call tries, all members and pauses included.
const DEADLINE: Duration = Duration::from_secs(10);

/// Who wrote under the prefix first.
enum Origin {
    Empty,
    Schema(Vec<u8>),
    Foreign(String),
}

#[derive(Debug, Clone)]
pub struct EtcdStore {
    members: Arc<Members>,
    prefix: Arc<str>,
    clearings: Arc<Clearings>,
}

impl EtcdStore {
    pub(super) async fn open(address: &EtcdAddress) -> Result<Self, StoreError> {
        let store = Self {
            members: Arc::new(Members::new(address)?),
            prefix: Arc::from(address.prefix.as_str()),
            clearings: Arc::default(),
        };
        store.check_schema().await?;
        Ok(store)
    }

    pub(super) fn describe(&self) -> String {
        self.members.describe()
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn check_schema(&self) -> Result<(), StoreError> {
        match self.origin().await? {
            Origin::Schema(value) => return check_schema(&value),
            Origin::Foreign(key) => return Err(no_schema(key)),
            Origin::Empty => {}
        }
        let key = self.key(SCHEMA);
        let absent = Compare::create_revision(key.as_str(), CompareOp::Equal, 0);
        let put = TxnOp::put(key.as_str(), SCHEMA_VERSION.to_string(), None);
        self.write("take the schema's version", DEADLINE, Txn::new().when([absent]).and_then([put])).await?;
        // Whoever put it, it must be ours.
        match self.origin().await? {
            Origin::Schema(value) => check_schema(&value),
            Origin::Foreign(key) => Err(no_schema(key)),
            Origin::Empty => Err(no_schema(key)),
        }
    }

    /// One moment's answer: a coordinator that starts beside this one may put the schema at any time.
    async fn origin(&self) -> Result<Origin, StoreError> {
        let some = GetOptions::new().with_prefix().with_limit(1).with_keys_only();
        let gets = [TxnOp::get(self.key(SCHEMA), None), TxnOp::get(self.key(""), Some(some))];
        let read = |client: etcd_client::Client| {
            let txn = Txn::new().and_then(gets.clone());
            async move { client.kv_client().txn(txn).await }
        };
        let answer = self.members.call("read the schema's version", DEADLINE, read).await?;
        if let Some(value) = first_value(&answer) {
            return Ok(Origin::Schema(value));
        }
        let some = found(&answer, 1).and_then(|keys| keys.kvs().first().map(|kv| kv.key().to_vec()));
        Ok(some.map_or(Origin::Empty, |key| Origin::Foreign(String::from_utf8_lossy(&key).into_owned())))
    }

    /// Runs a transaction that writes; a full etcd is cleared out and asked once more. Since a lost
    /// answer is asked for again too, the transaction must tell by itself that it was applied before.
    async fn write(&self, action: &'static str, deadline: Duration, txn: Txn) -> Result<TxnResponse, StoreError> {
        let send = |client: etcd_client::Client| {
            let txn = txn.clone();
            async move { client.kv_client().txn(txn).await }
        };
        match self.members.call(action, deadline, send).await {
            Err(StoreError::NoSpace { .. }) => {
                self.make_room().await?;
                let again = self.members.call(action, deadline, send).await;
                self.after_clearing(again).await
            }
            answered => answered,
        }
    }

    pub(super) async fn commit(&self, before: Fence, fence: Fence, batch: &Batch) -> Outcome {
        let term = self.key(TERM);
        let txn = Txn::new()
            .when([Compare::value(term.as_str(), CompareOp::Equal, before.encode())])
            .and_then(self.operations(fence, batch))
            .or_else([TxnOp::get(term, None)]);
        let answer = match self.write("take a batch", DEADLINE, txn).await {
            Ok(answer) => answer,
            Err(error) => return Outcome::Unknown(error),
        };
        if answer.succeeded() {
            return Outcome::Applied;
        }
        match first_value(&answer).as_deref().map(Fence::decode).transpose() {
            Ok(Some(current)) if current == fence => Outcome::Applied,
            Ok(Some(current)) => Outcome::Conflict { current: current.term },
            Ok(None) => Outcome::Conflict { current: Term(0) },
            Err(error) => Outcome::Refused(error),
        }
    }

    fn operations(&self, fence: Fence, batch: &Batch) -> Vec<TxnOp> {
        let moved = TxnOp::put(self.key(TERM), fence.encode(), None);
        let puts = batch.puts.iter().map(|(key, value)| TxnOp::put(self.key(key), value.as_slice(), None));
        let deletes = batch.deletes.iter().map(|key| TxnOp::delete(self.key(key), None));
        let whole = || DeleteOptions::new().with_prefix();
        let forgets = batch.forgets.iter().map(|prefix| TxnOp::delete(self.key(prefix), Some(whole())));
        [moved].into_iter().chain(puts).chain(deletes).chain(forgets).collect()
    }
}

/// What the transaction's n-th operation, a get, found.
fn found(answer: &TxnResponse, index: usize) -> Option<GetResponse> {
    match answer.op_responses().into_iter().nth(index)? {
        TxnOpResponse::Get(found) => Some(found),
        TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => None,
    }
}

fn first_value(answer: &TxnResponse) -> Option<Vec<u8>> {
    Some(found(answer, 0)?.kvs().first()?.value().to_vec())
}
