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
/// The oldest go when there are more: of one visitor, so that nobody pushes out others, and of all.
const MOST_OF_ONE: usize = 8;
const MOST: usize = 4_096;

#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    codes: Kept<Invited>,
    sessions: Kept<Session>,
}

/// Who a page is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    pub caller: Caller,
    /// As histories have it.
    pub name: String,
}

#[derive(Debug, Clone)]
struct Invited {
    visitor: Visitor,
    /// With the certificate that asked for the code.
    ends: Option<Instant>,
}

impl Invited {
    fn at_most(&self, life: Duration, now: Instant) -> Duration {
        self.ends.map_or(life, |ends| life.min(ends.saturating_duration_since(now)))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub visitor: Visitor,
    /// Every form carries it: what another site has a browser send does not.
    pub form: String,
}

impl Sessions {
    /// A code that logs a visitor in, once and soon. Neither it nor the session outlives this time, which his certificate has left.
    pub fn invite(&self, visitor: Visitor, left: Option<Duration>) -> String {
        let now = Instant::now();
        let invited = Invited { visitor: visitor.clone(), ends: left.and_then(|left| now.checked_add(left)) };
        let life = invited.at_most(CODE_LIFE, now);
        self.lock().codes.keep(invited, (visitor, life))
    }

    /// Whom a code would log in.
    pub fn invited(&self, code: &str) -> Option<Visitor> {
        self.lock().codes.find(code).map(|invited| invited.visitor)
    }

    /// The cookie of a new session, for a code that was not used yet.
    pub fn log_in(&self, code: &str) -> Option<String> {
        let mut inner = self.lock();
        let invited = inner.codes.take(code)?;
        let life = invited.at_most(SESSION_LIFE, Instant::now());
        let session = Session { visitor: invited.visitor.clone(), form: lethe_tls::secret() };
        Some(inner.sessions.keep(session, (invited.visitor, life)))
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
struct Kept<T>(BTreeMap<[u8; 32], One<T>>);

#[derive(Clone)]
struct One<T> {
    ends: Instant,
    whose: Visitor,
    what: T,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Clone> Kept<T> {
    fn keep(&mut self, what: T, (whose, life): (Visitor, Duration)) -> String {
        let now = Instant::now();
        self.0.retain(|_, one| one.ends > now);
        self.make_room(MOST_OF_ONE, |one| one.whose == whose);
        self.make_room(MOST, |_| true);
        let secret = lethe_tls::secret();
        self.0.insert(name(&secret), One { ends: now + life, whose, what });
        secret
    }

    /// For one more among these.
    fn make_room(&mut self, most: usize, among: impl Fn(&One<T>) -> bool) {
        let found = self.0.iter().filter(|(_, one)| among(one));
        if found.clone().count() >= most
            && let Some(oldest) = found.min_by_key(|(_, one)| one.ends).map(|(name, _)| *name)
        {
            self.0.remove(&oldest);
        }
    }

    fn find(&self, secret: &str) -> Option<T> {
        self.0.get(&name(secret)).filter(|one| one.ends > Instant::now()).map(|one| one.what.clone())
    }

    fn take(&mut self, secret: &str) -> Option<T> {
        self.0.remove(&name(secret)).filter(|one| one.ends > Instant::now()).map(|one| one.what)
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
        let code = sessions.invite(visitor(), None);
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
    fn no_session_outlives_its_certificate() {
        let sessions = Sessions::default();
        let over = sessions.invite(visitor(), Some(Duration::ZERO));
        assert_eq!((sessions.invited(&over), sessions.log_in(&over)), (None, None));
        for (left, life) in [(Some(60), 60), (Some(1_000_000), 12 * 3_600), (None, 12 * 3_600)] {
            let before = Instant::now();
            let code = sessions.invite(visitor(), left.map(Duration::from_secs));
            let cookie = sessions.log_in(&code).expect("is good");
            let ends = sessions.lock().sessions.0[&name(&cookie)].ends;
            let lasts = ends.duration_since(before).as_secs();
            assert!(lasts <= life && lasts + 20 > life, "{left:?}: {lasts} s");
        }
    }

    #[test]
    fn what_has_ended_and_what_is_too_much_goes_and_nobody_pushes_out_others() {
        let named = |name: usize| Visitor { caller: Caller::Trusted, name: name.to_string() };
        let mut kept = Kept::default();
        let late = kept.keep(1, (named(0), Duration::ZERO));
        assert_eq!((kept.find(&late), kept.take(&late)), (None, None));
        let others = kept.keep(0, (named(0), Duration::from_secs(1)));
        let of_one: Vec<String> =
            (0..=MOST_OF_ONE).map(|n| kept.keep(n, (named(1), Duration::from_secs(10 + n as u64)))).collect();
        assert_eq!((kept.find(&of_one[0]), kept.find(&of_one[1])), (None, Some(1)));
        assert_eq!(kept.find(&others), Some(0));
        (2..MOST).for_each(|n| drop(kept.keep(n, (named(n), Duration::from_secs(60)))));
        assert_eq!((kept.0.len(), kept.find(&others)), (MOST, None), "the oldest of all");
    }
}
