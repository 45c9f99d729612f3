//! Where the leader may be: the addresses that the operator gave, and whom a refusal named.
//!
//! It must never dial or sleep: it says what to try next, and whether to pause before.

/// Hints that are followed one upon another; two coordinators may each take the other for the leader.
const MAX_HINTS: u32 = 3;

#[derive(Debug)]
pub(super) struct Search {
    addresses: Vec<String>,
    next: usize,
    /// Tried before the list: who led last, or who was said to lead.
    favourite: Option<String>,
    failures: u32,
    hints: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    None,
    /// As backoff has it, before its try of this number.
    Backoff(u32),
}

impl Search {
    /// # Panics
    /// Without an address.
    pub(super) fn new(addresses: Vec<String>) -> Self {
        assert!(!addresses.is_empty(), "a worker is given at least one address");
        Self { addresses, next: 0, favourite: None, failures: 0, hints: 0 }
    }

    pub(super) fn next(&mut self) -> String {
        self.favourite.take().unwrap_or_else(|| {
            let address = self.addresses[self.next].clone();
            self.next = (self.next + 1) % self.addresses.len();
            address
        })
    }

    /// A session opened: when its leader closes it, that one is the first to be asked again.
    pub(super) fn found(&mut self, address: String) {
        (self.favourite, self.failures, self.hints) = (Some(address), 0, 0);
    }

    /// A session broke without a word: another address is asked first, which costs little where the leader lives, since
    /// it is named in the refusal, and much is saved where its host is gone.
    pub(super) fn broke(&mut self, address: &str) {
        self.favourite = None;
        if self.addresses[self.next] == address {
            self.next = (self.next + 1) % self.addresses.len();
        }
    }

    /// An address did not lead, and may have said who does.
    pub(super) fn failed(&mut self, address: &str, leader: Option<&str>) -> Pause {
        if let Some(leader) = leader
            && self.hints < MAX_HINTS
            && leader != address
            && self.is_trusted(leader, address)
        {
            self.favourite = Some(leader.to_owned());
            self.hints += 1;
            return Pause::None;
        }
        self.hints = 0;
        let round = self.failures / self.addresses.len() as u32;
        self.failures = self.failures.saturating_add(1);
        Pause::Backoff(round)
    }

    /// A hint leads to a URL of the same scheme only: the token must not leave TLS because somebody says so.
    fn is_trusted(&self, leader: &str, by: &str) -> bool {
        let scheme = |url: &str| url.split_once("://").map(|(scheme, _)| scheme.to_owned());
        let is_web =
            ["http://", "https://"].iter().any(|s| leader.strip_prefix(s).is_some_and(|host| !host.is_empty()));
        self.addresses.iter().any(|known| known == leader) || (is_web && scheme(leader) == scheme(by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search() -> Search {
        Search::new(vec!["http://a".into(), "http://b".into()])
    }

    #[test]
    fn addresses_are_tried_in_turn_and_pauses_grow_by_the_round() {
        let mut search = search();
        let tries: Vec<_> = (0..4)
            .map(|_| {
                let address = search.next();
                let pause = search.failed(&address, None);
                (address, pause)
            })
            .collect();
        let expected = [("http://a", 0), ("http://b", 0), ("http://a", 1), ("http://b", 1)];
        assert_eq!(tries, expected.map(|(address, round)| (address.to_owned(), Pause::Backoff(round))));
    }

    #[test]
    fn a_leader_is_asked_first_after_its_session() {
        let mut search = search();
        search.next();
        search.found("http://b".into());
        assert_eq!(search.next(), "http://b");
        assert_eq!(search.failed("http://b", None), Pause::Backoff(0));
        assert_eq!(search.next(), "http://b", "the list goes on where it was");
    }

    #[test]
    fn after_a_break_another_is_asked_first() {
        for (leader, next) in [("http://a", "http://b"), ("http://b", "http://a"), ("http://c", "http://b")] {
            let mut search = search();
            while search.next() != leader && leader != "http://c" {}
            search.found(leader.into());
            search.broke(leader);
            assert_eq!(search.next(), next, "{leader} broke");
        }
        let mut alone = Search::new(vec!["http://a".into()]);
        alone.broke("http://a");
        assert_eq!(alone.next(), "http://a");
    }

    #[test]
    fn hints_are_followed_at_once_but_not_for_ever() {
        let mut search = search();
        for (address, leader) in [("http://a", "http://c"), ("http://c", "http://a"), ("http://a", "http://c")] {
            assert_eq!(search.next(), address);
            assert_eq!(search.failed(address, Some(leader)), Pause::None);
        }
        assert_eq!(search.failed("http://c", Some("http://a")), Pause::Backoff(0));
    }

    #[test]
    fn a_hint_must_be_an_address_of_the_same_form() {
        for (by, hint) in [
            ("https://a", "http://c"),
            ("http://a", "https://c"),
            ("http://a", "file:///etc"),
            ("http://a", "c:7400"),
            ("http://a", "http://"),
            ("http://a", "http://a"),
        ] {
            assert_eq!(search().failed(by, Some(hint)), Pause::Backoff(0), "{by} said {hint}");
        }
    }
}
