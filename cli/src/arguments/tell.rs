//! Where the end of an audit is told, beside the terminal.
//!
//! It must never take the secret as an argument: every user of a machine can read those.

use std::path::PathBuf;

use clap::Args;
use lethe_tls::is_loopback;
use reqwest::Url;

#[derive(Debug, Clone, Args)]
pub struct Tell {
    /// Address that the audit's end is posted to, as JSON with a signature (standardwebhooks.com); tried for five minutes
    #[arg(long, value_name = "URL", requires = "webhook_secret", value_parser = url)]
    pub webhook: Option<Url>,
    /// File with the secret of the signature: whsec_ and 24 to 64 bytes in base64
    #[arg(long, value_name = "FILE", requires = "webhook")]
    pub webhook_secret: Option<PathBuf>,
    /// In a pod: a Job, and its uid, that the audit's end becomes a Kubernetes Event of; tried for five minutes
    #[arg(long, value_name = "JOB/UID", value_parser = job)]
    pub kubernetes_event: Option<Job>,
    /// Folder of the pod's account, which may create events
    #[arg(
        long,
        value_name = "FOLDER",
        requires = "kubernetes_event",
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount"
    )]
    pub kubernetes_account: PathBuf,
}

/// The Job that runs us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub name: String,
    pub uid: String,
}

/// What is told is nobody else's: in the clear it goes to this machine alone.
fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if url.host_str().is_some_and(is_loopback) => Ok(url),
        _ => Err("expected https://, or http:// to a loopback address".to_owned()),
    }
}

fn job(text: &str) -> Result<Job, String> {
    match text.split_once('/') {
        Some((name, uid)) if !name.is_empty() && !uid.is_empty() && !uid.contains('/') => {
            Ok(Job { name: name.to_owned(), uid: uid.to_owned() })
        }
        Some(_) | None => Err("expected the Job's name, a slash and its uid".to_owned()),
    }
}
