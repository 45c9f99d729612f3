//! What `data.stores` and the URLs of `data.shards` must satisfy.
//!
//! It must never repeat the value of a field that should name a variable: it may be the secret itself.

use super::address::{Scheme, StoreUrl, check_endpoint};
use super::validate::Problems;
use super::{Spec, StoreSection};

impl Problems<'_> {
    pub(super) fn stores(&mut self, spec: &Spec) {
        let data = &spec.data;
        let mut seen: Vec<StoreUrl> = Vec::new();
        for (url, store) in &data.stores {
            if let Err(problem) = check(url, store) {
                self.require(false, "data.stores", || format!("{}: {problem}", without_user(url)));
            } else if let Ok((known, _)) = StoreUrl::split(url) {
                self.require(!seen.contains(&known), "data.stores", || {
                    format!("{url}: {known} has another section under another spelling; leave one out")
                });
                seen.push(known);
            }
        }
        for pattern in data.shards.iter().filter(|pattern| pattern.contains("://")) {
            let known = StoreUrl::split(pattern).and_then(|(store, path)| {
                if !data.stores.keys().any(|known| StoreUrl::split(known).is_ok_and(|(known, _)| known == store)) {
                    return Err(format!(
                        "no store for it; add [data.stores.\"{store}\"] with its credentials or anonymous = true"
                    ));
                }
                check_path(store.scheme, path)
            });
            if let Err(problem) = known {
                self.require(false, "data.shards", || format!("{}: {problem}", without_user(pattern)));
            }
        }
    }
}

/// A URL with a password in it is not shown.
fn without_user(url: &str) -> &str {
    if url.split("://").nth(1).is_some_and(|rest| rest.split('/').next().unwrap_or_default().contains('@')) {
        "a URL with a user"
    } else {
        url
    }
}

fn check_path(scheme: Scheme, path: &str) -> Result<(), String> {
    match scheme {
        Scheme::Https | Scheme::Http if path.contains(['*', '?', '#']) => {
            Err("an https server cannot be listed; name the files, with brace ranges such as {000..019}".to_owned())
        }
        Scheme::S3 | Scheme::Gs | Scheme::Az | Scheme::Https | Scheme::Http if path.is_empty() => {
            Err("expected a path after the store".to_owned())
        }
        Scheme::S3 | Scheme::Gs | Scheme::Az | Scheme::Https | Scheme::Http => Ok(()),
    }
}

fn check(url: &str, store: &StoreSection) -> Result<(), String> {
    let (known, path) = StoreUrl::split(url)?;
    if !path.is_empty() {
        return Err(format!("expected the store alone, {known:?}, without a path").replace('"', ""));
    }
    store.endpoint.as_deref().map_or(Ok(String::new()), check_endpoint).map_err(|e| format!("endpoint: {e}"))?;
    check_variables(store)?;
    check_names(store)?;
    check_fields(known.scheme, store)?;
    check_one_way(known.scheme, store)
}

/// What callers are let in by, where a coordinator or worker runs.
const OWN_VARIABLES: [&str; 2] = ["LETHE_TOKEN", "LETHE_TLS"];

fn check_variables(store: &StoreSection) -> Result<(), String> {
    for (field, name) in [
        ("access_key_env", &store.access_key_env),
        ("secret_key_env", &store.secret_key_env),
        ("session_token_env", &store.session_token_env),
        ("token_env", &store.token_env),
    ] {
        let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if name.as_ref().is_some_and(|name| OWN_VARIABLES.contains(&name.as_str())) {
            return Err(format!("{field} names one of Lethe's own variables, which are no store's"));
        }
        if name.as_ref().is_some_and(|name| name.is_empty() || !name.chars().all(plain)) {
            return Err(format!(
                "{field} names no environment variable (capitals, digits and '_'); a secret itself never stands in a spec"
            ));
        }
    }
    Ok(())
}

/// Both become a part of a host's name.
fn check_names(store: &StoreSection) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    for (field, name) in [("region", &store.region), ("account", &store.account)] {
        if name.as_ref().is_some_and(|name| name.is_empty() || !name.chars().all(plain)) {
            return Err(format!("{field} has other characters than small letters, digits and '-'"));
        }
    }
    Ok(())
}

/// Fields that say nothing for a scheme are mistakes.
fn check_fields(scheme: Scheme, store: &StoreSection) -> Result<(), String> {
    let given = [
        ("endpoint", store.endpoint.is_some()),
        ("region", store.region.is_some()),
        ("account", store.account.is_some()),
        ("environment", store.environment),
        ("credentials_file", store.credentials_file.is_some()),
        ("access_key_env", store.access_key_env.is_some()),
        ("secret_key_env", store.secret_key_env.is_some()),
        ("session_token_env", store.session_token_env.is_some()),
        ("token_env", store.token_env.is_some()),
    ];
    let known: &[&str] = match scheme {
        Scheme::S3 => &[
            "endpoint",
            "region",
            "environment",
            "credentials_file",
            "access_key_env",
            "secret_key_env",
            "session_token_env",
        ],
        Scheme::Gs => &["endpoint", "environment", "credentials_file"],
        Scheme::Az => &["endpoint", "account", "environment", "secret_key_env", "token_env"],
        Scheme::Https | Scheme::Http => &["token_env"],
    };
    match given.iter().find(|(field, given)| *given && !known.contains(field)) {
        Some((field, _)) => {
            Err(format!("{field} says nothing for {}://; expected {}", scheme.as_str(), known.join(", ")))
        }
        None if scheme == Scheme::Az && store.account.is_none() => Err("account is missing".to_owned()),
        None => Ok(()),
    }
}

fn check_one_way(scheme: Scheme, store: &StoreSection) -> Result<(), String> {
    let keys = match scheme {
        Scheme::S3 if store.access_key_env.is_some() != store.secret_key_env.is_some() => {
            return Err("access_key_env and secret_key_env belong together".to_owned());
        }
        Scheme::S3 => store.access_key_env.is_some(),
        Scheme::Gs | Scheme::Az | Scheme::Https | Scheme::Http => store.secret_key_env.is_some(),
    };
    let ways = [store.anonymous, store.environment, store.credentials_file.is_some(), keys, store.token_env.is_some()];
    match ways.iter().filter(|given| **given).count() {
        1 => Ok(()),
        0 => Err("no credentials; expected the names of variables, a credentials_file, environment = true, or anonymous = true".to_owned()),
        _ => Err("credentials in more than one way; expected one".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str = "access_key_env = \"A\"\nsecret_key_env = \"B\"\n";

    fn outcome(url: &str, text: &str) -> Result<(), String> {
        check(url, &toml::from_str(text).expect("is a section"))
    }

    #[test]
    fn each_scheme_has_its_fields() {
        for (url, text) in [
            ("s3://b", KEYS.to_owned()),
            (
                "s3://b",
                format!("{KEYS}endpoint = \"http://127.0.0.1:9000\"\nregion = \"x\"\nsession_token_env = \"T\""),
            ),
            ("s3://b", "anonymous = true".to_owned()),
            ("gs://b", "credentials_file = \"/k.json\"".to_owned()),
            ("az://c", "account = \"a\"\nsecret_key_env = \"K\"".to_owned()),
            ("https://example.org", "token_env = \"T\"".to_owned()),
        ] {
            assert_eq!(outcome(url, &text), Ok(()), "{url} {text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_what_may_be_secret() {
        for (url, text, expected) in [
            ("s3://b", "", "no credentials"),
            ("s3://b", "access_key_env = \"A\"", "belong together"),
            ("s3://b", "anonymous = true\nenvironment = true", "more than one way"),
            ("s3://b", "access_key_env = \"A\"\nsecret_key_env = \"wJalr/hunter2\"", "names no environment variable"),
            ("s3://b", "anonymous = true\naccount = \"a\"", "account says nothing for s3://"),
            ("s3://b", "anonymous = true\nendpoint = \"http://169.254.169.254\"", "endpoint: it is an address"),
            ("s3://b", "anonymous = true\nendpoint = \"http://example.org\"", "expected https://"),
            ("s3://b/p", "anonymous = true", "without a path"),
            ("az://c", "anonymous = true", "account is missing"),
            ("ftp://h", "anonymous = true", "expected s3://"),
            // Each would be a part of the host that credentials are sent to.
            ("s3://b", "anonymous = true\nregion = \"evil.example/\"", "region has other characters"),
            ("az://c", "anonymous = true\naccount = \"evil.example/\"", "account has other characters"),
            ("https://h", "token_env = \"LETHE_TOKEN\"", "one of Lethe's own variables"),
        ] {
            let problem = outcome(url, text).expect_err(text);
            assert!(problem.contains(expected) && !problem.contains("hunter2"), "{problem}; expected {expected}");
        }
    }
}
