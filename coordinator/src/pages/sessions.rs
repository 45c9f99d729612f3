//! Who is logged in to the pages: a code that is good once, and the cookie that it is changed for.
//!
//! It must never keep what it gave out, only its hash; and never outlive the process, so that a restart logs all out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::api::Caller;

/// From `lethe open` to the click.
const CODE_LIFE: Duration = Duration::from_secs(120);
const SESSION_LIFE: Duration = Duration::from_secs(12 * 60 * 60);
/// The oldest go when there are more.
const MOST: usize = 4_096;

#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    codes: Kept<Visitor>,
    sessions: Kept<Session>,
}

/// Who a page is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    pub caller: Caller,
    /// As histories have it.
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub visitor: Visitor,
    /// Every form carries it: what another site has a browser send does not.
    pub form: String,
}

impl Sessions {
    /// A code that logs a visitor in, once and soon.
    pub fn invite(&self, visitor: Visitor) -> String {
        self.lock().codes.keep(visitor, CODE_LIFE)
    }

    /// Whom a code would log in.
    pub fn invited(&self, code: &str) -> Option<Visitor> {
        self.lock().codes.find(code)
    }

    /// The cookie of a new session, for a code that was not used yet.
    pub fn log_in(&self, code: &str) -> Option<String> {
        let mut inner = self.lock();
        let visitor = inner.codes.take(code)?;
        Some(inner.sessions.keep(Session { visitor, form: lethe_tls::secret() }, SESSION_LIFE))
    }

    pub(super) fn find(&self, cookie: &str) -> Option<Session> {
        self.lock().sessions.find(cookie)
    }

    pub fn log_out(&self, cookie: &str) {
        self.lock().sessions.take(cookie);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each step leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Things by the hash of the secret that names them.
struct Kept<T>(BTreeMap<[u8; 32], (Instant, T)>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Clone> Kept<T> {
    fn keep(&mut self, what: T, life: Duration) -> String {
        let now = Instant::now();
        self.0.retain(|_, (ends, _)| *ends > now);
        if self.0.len() >= MOST
            && let Some(oldest) = self.0.iter().min_by_key(|(_, (ends, _))| *ends).map(|(name, _)| *name)
        {
            self.0.remove(&oldest);
        }
        let secret = lethe_tls::secret();
        self.0.insert(name(&secret), (now + life, what));
        secret
    }

    fn find(&self, secret: &str) -> Option<T> {
        self.0.get(&name(secret)).filter(|(ends, _)| *ends > Instant::now()).map(|(_, what)| what.clone())
    }

    fn take(&mut self, secret: &str) -> Option<T> {
        self.0.remove(&name(secret)).filter(|(ends, _)| *ends > Instant::now()).map(|(_, what)| what)
    }
}

fn name(secret: &str) -> [u8; 32] {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitor() -> Visitor {
        Visitor { caller: Caller::Trusted, name: "ann".to_owned() }
    }

    #[test]
    fn a_code_is_good_once_and_a_cookie_until_the_logout() {
        let sessions = Sessions::default();
        let code = sessions.invite(visitor());
        assert_eq!(sessions.invited(&code), Some(visitor()), "a look does not use it up");
        let cookie = sessions.log_in(&code).expect("is good");
        assert_eq!((sessions.log_in(&code), sessions.invited(&code)), (None, None));
        assert_eq!(sessions.find(&cookie).expect("is logged in").visitor, visitor());
        assert_eq!(sessions.find(&code), None, "a code is no cookie");
        sessions.log_out(&cookie);
        assert_eq!(sessions.find(&cookie), None);
        assert_eq!(sessions.log_in(""), None);
    }

    #[test]
    fn what_has_ended_and_what_is_too_much_goes() {
        let mut kept = Kept::default();
        let late = kept.keep(1, Duration::ZERO);
        assert_eq!((kept.find(&late), kept.take(&late)), (None, None));
        let first = kept.keep(0, Duration::from_secs(1));
        (0..MOST).for_each(|n| drop(kept.keep(n, Duration::from_secs(60))));
        assert_eq!((kept.0.len(), kept.find(&first)), (MOST, None));
    }
}
