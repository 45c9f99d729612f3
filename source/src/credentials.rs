//! From a store's section to a store: finds the credentials that it points at.
//!
//! It must never keep a secret where Debug or a message could show it.

use std::path::Path;
use std::sync::Arc;

use lethe_common::spec::{Scheme, StoreSection, StoreUrl};
use object_store::aws::AmazonS3Builder;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::{ObjectStore, RetryConfig};

use crate::error::SourceError;
use crate::http::{Connector, Redirects};

const REGION: &str = "us-east-1";

/// What was found, so that it can be struck out of what servers say.
#[derive(Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    pub fn hide(&self, text: String) -> String {
        self.0.iter().filter(|secret| !secret.is_empty()).fold(text, |text, secret| text.replace(secret, "***"))
    }
}

/// What a store is opened for.
pub(crate) struct Purpose<'a> {
    /// What names it, for messages.
    named_by: String,
    /// Where an https server may send a reader on to.
    allowed: &'a [StoreUrl],
    retry: RetryConfig,
}

impl<'a> Purpose<'a> {
    /// Requests are made again by whoever asks: he knows how far he came.
    pub fn shards(url: &StoreUrl, allowed: &'a [StoreUrl]) -> Self {
        let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
        Self { named_by: format!("data.stores.\"{url}\""), allowed, retry }
    }

    /// Requests are made again by the store itself, for three minutes.
    pub fn blobs(root: &str) -> Self {
        Self { named_by: format!("blob store {root}"), allowed: &[], retry: RetryConfig::default() }
    }
}

/// Where a section's references are looked up.
struct Finder<'a> {
    url: &'a StoreUrl,
    purpose: &'a Purpose<'a>,
    secrets: Secrets,
}

impl Finder<'_> {
    fn wrong(&self, problem: &str) -> SourceError {
        SourceError::Spec(format!("{}: {problem}", self.purpose.named_by))
    }

    fn not_here(&self, problem: &str) -> SourceError {
        SourceError::NotHere(format!("{}: {problem}", self.purpose.named_by))
    }

    /// The value of the variable that a field names.
    fn variable(&mut self, field: &str, name: Option<&String>) -> Result<Option<String>, SourceError> {
        let Some(name) = name else { return Ok(None) };
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| {
            self.not_here(&format!(
                "{field} names ${name}, which is not set here; set it for the coordinator and every worker"
            ))
        })?;
        self.secrets.0.push(value.clone());
        Ok(Some(value))
    }

    /// The first profile of a file as ~/.aws/credentials: id, key, and token if there is one.
    fn profile(&mut self, path: &Path) -> Result<(String, String, Option<String>), SourceError> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| self.not_here(&format!("credentials_file {}: {e}", path.display())))?;
        let lines = text.lines().map(str::trim).skip_while(|line| !line.starts_with('[')).skip(1);
        let lines: Vec<(&str, &str)> = lines
            .take_while(|line| !line.starts_with('['))
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        let find = |wanted: &str| lines.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned());
        let (Some(id), Some(key)) = (find("aws_access_key_id"), find("aws_secret_access_key")) else {
            return Err(self.not_here(&format!(
                "credentials_file {} has no profile with aws_access_key_id and aws_secret_access_key",
                path.display()
            )));
        };
        let token = find("aws_session_token");
        self.secrets.0.push(key.clone());
        self.secrets.0.extend(token.clone());
        Ok((id, key, token))
    }
}

/// # Errors
/// A variable or file that is not there; a section that makes no store.
pub(crate) fn store(
    url: &StoreUrl,
    section: &StoreSection,
    purpose: &Purpose<'_>,
) -> Result<(Arc<dyn ObjectStore>, Secrets), SourceError> {
    let mut finder = Finder { url, purpose, secrets: Secrets::default() };
    let objects = match url.scheme {
        Scheme::S3 => s3(&mut finder, section)?,
        Scheme::Gs => gs(&finder, section)?,
        Scheme::Az => az(&mut finder, section)?,
        Scheme::Https | Scheme::Http => https(&mut finder, section)?,
    };
    Ok((objects, finder.secrets))
}

fn connector(section: &StoreSection) -> Connector {
    let plain = section.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    // A machine's identity is served without encryption, by an address that nothing else may name.
    Connector {
        allow_http: plain || section.environment,
        allow_metadata: section.environment,
        redirects: Redirects::None,
        token: None,
    }
}

fn s3(finder: &mut Finder<'_>, section: &StoreSection) -> Result<Arc<dyn ObjectStore>, SourceError> {
    let mut builder = if section.environment { AmazonS3Builder::from_env() } else { AmazonS3Builder::new() };
    builder = builder
        .with_bucket_name(&finder.url.authority)
        .with_skip_signature(section.anonymous)
        .with_retry(finder.purpose.retry.clone())
        .with_allow_http(connector(section).allow_http)
        .with_http_connector(connector(section));
    match &section.region {
        Some(region) => builder = builder.with_region(region),
        None if section.environment => {}
        None => builder = builder.with_region(REGION),
    }
    if let Some(endpoint) = &section.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    let keys = (
        finder.variable("access_key_env", section.access_key_env.as_ref())?,
        finder.variable("secret_key_env", section.secret_key_env.as_ref())?,
    );
    let token = finder.variable("session_token_env", section.session_token_env.as_ref())?;
    let found = match (&section.credentials_file, keys) {
        (Some(file), _) => Some(finder.profile(file)?),
        (None, (Some(id), Some(key))) => Some((id, key, token)),
        (None, (Some(_) | None, Some(_) | None)) => None,
    };
    if let Some((id, key, token)) = found {
        builder = builder.with_access_key_id(id).with_secret_access_key(key);
        if let Some(token) = token {
            builder = builder.with_token(token);
        }
    }
    Ok(Arc::new(builder.build().map_err(|e| finder.wrong(&e.to_string()))?))
}

fn gs(finder: &Finder<'_>, section: &StoreSection) -> Result<Arc<dyn ObjectStore>, SourceError> {
    let mut builder =
        if section.environment { GoogleCloudStorageBuilder::from_env() } else { GoogleCloudStorageBuilder::new() };
    builder = builder
        .with_bucket_name(&finder.url.authority)
        .with_skip_signature(section.anonymous)
        .with_retry(finder.purpose.retry.clone())
        .with_http_connector(connector(section));
    if let Some(endpoint) = &section.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    if let Some(file) = &section.credentials_file {
        if !file.is_file() {
            return Err(finder.not_here(&format!("credentials_file {} is not there", file.display())));
        }
        builder = builder.with_service_account_path(file.to_string_lossy());
    }
    // Its error may quote the file.
    let built = builder
        .build()
        .map_err(|_| finder.not_here("its credentials cannot be used; expected a service account's JSON"))?;
    Ok(Arc::new(built))
}

fn az(finder: &mut Finder<'_>, section: &StoreSection) -> Result<Arc<dyn ObjectStore>, SourceError> {
    let mut builder =
        if section.environment { MicrosoftAzureBuilder::from_env() } else { MicrosoftAzureBuilder::new() };
    builder = builder
        .with_container_name(&finder.url.authority)
        .with_skip_signature(section.anonymous)
        .with_retry(finder.purpose.retry.clone())
        .with_allow_http(connector(section).allow_http)
        .with_http_connector(connector(section));
    match &section.account {
        Some(account) => builder = builder.with_account(account),
        None if section.environment => {}
        None => builder = builder.with_account(""),
    }
    if let Some(endpoint) = &section.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    if let Some(key) = finder.variable("secret_key_env", section.secret_key_env.as_ref())? {
        builder = builder.with_access_key(key);
    }
    if let Some(token) = finder.variable("token_env", section.token_env.as_ref())? {
        builder = builder.with_config(AzureConfigKey::SasKey, token);
    }
    // Its error may quote the key.
    let built = builder.build().map_err(|_| {
        finder.not_here("its credentials cannot be used; expected a base64 account key, or a SAS token")
    })?;
    Ok(Arc::new(built))
}

fn https(finder: &mut Finder<'_>, section: &StoreSection) -> Result<Arc<dyn ObjectStore>, SourceError> {
    let token = finder.variable("token_env", section.token_env.as_ref())?;
    let connector = Connector {
        allow_http: finder.url.scheme == Scheme::Http,
        allow_metadata: false,
        redirects: Redirects::To(finder.purpose.allowed.to_vec()),
        token,
    };
    let builder = HttpBuilder::new()
        .with_url(finder.url.to_string())
        .with_retry(finder.purpose.retry.clone())
        .with_http_connector(connector);
    Ok(Arc::new(builder.build().map_err(|e| finder.wrong(&e.to_string()))?))
}
