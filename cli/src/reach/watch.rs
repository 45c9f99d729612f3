//! An audit's views, one after the other, whichever coordinator sends them.
//!
//! It must never give up while the audit may go on: a stream that breaks or ends early is asked for again.

use lethe_common::backoff::Backoff;
use lethe_proto::v1::{AuditView, WatchAuditReply, WatchAuditRequest};
use rand::RngExt;
use tonic::{Status, Streaming};

use super::deed::{Deed, deed};
use super::{CallError, Coordinators, Patience};

/// Streams that break one after the other, without a view between them.
const MAX_BROKEN: u32 = 30;

pub struct Views {
    coordinators: Coordinators,
    audit: String,
    stream: Option<Streaming<WatchAuditReply>>,
    /// Streams that broke since the last view.
    broken: u32,
}

/// What there is to show next.
#[derive(Debug)]
pub enum News {
    View(Box<AuditView>),
    /// The stream broke for this reason, and another is asked for.
    Interrupted(String),
}

impl Views {
    pub fn new(coordinators: Coordinators, audit: &str) -> Self {
        Self { coordinators, audit: audit.to_owned(), stream: None, broken: 0 }
    }

    /// The coordinators, for what is to be asked beside the views.
    pub fn coordinators(&mut self) -> &mut Coordinators {
        &mut self.coordinators
    }

    /// # Errors
    /// An audit that is not there, or no leader for a minute.
    pub async fn next(&mut self) -> Result<News, CallError> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let opened = self.open().await?;
                self.stream.insert(opened)
            }
        };
        match stream.message().await {
            Ok(Some(WatchAuditReply { audit: Some(view) })) => {
                self.broken = 0;
                Ok(News::View(Box::new(view)))
            }
            Ok(Some(WatchAuditReply { audit: None }) | None) => Ok(self.interrupted("the stream of views ended")),
            Err(status) => self.after(status),
        }
    }

    async fn open(&mut self) -> Result<Streaming<WatchAuditReply>, CallError> {
        if self.broken > MAX_BROKEN {
            return Err(CallError::NoLeader(format!("{MAX_BROKEN} streams of views in a row broke before the first")));
        }
        if self.broken > 0 {
            let pause = Backoff::RECONNECT.pause(self.broken - 1, self.coordinators.jitter.random());
            tokio::time::sleep(pause).await;
        }
        // Nothing has been seen yet: a wrong address is told soon.
        let patience = if self.broken == 0 { Patience::CALL } else { Patience::WATCH };
        let audit = &self.audit;
        self.coordinators
            .call(patience, async |mut client| client.watch_audit(WatchAuditRequest { audit: audit.clone() }).await)
            .await
    }

    fn after(&mut self, status: Status) -> Result<News, CallError> {
        match deed(&status) {
            Deed::GiveUp => Err(CallError::Refused(status)),
            Deed::Redirect(leader) => {
                let why = format!("it leads no more, and names {leader}");
                self.coordinators.leader = Some(leader);
                Ok(self.interrupted(&why))
            }
            Deed::TryOther { why, .. } => Ok(self.interrupted(&why)),
        }
    }

    fn interrupted(&mut self, why: &str) -> News {
        self.stream = None;
        self.broken = self.broken.saturating_add(1);
        News::Interrupted(why.to_owned())
    }
}
