//! Where a store is and where its credentials are: never the credentials themselves.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One of `anonymous`, `environment`, `credentials_file` and the names of variables; each worker resolves them where it
/// runs. What is absent is not written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSection {
    /// Of a server that speaks S3, or of an emulator: scheme, host and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Of S3; us-east-1 where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Of Azure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Nothing is signed.
    #[serde(skip_serializing_if = "is_false")]
    pub anonymous: bool,
    /// The cloud's own ways are tried: its standard variables, and the identity of the machine or pod.
    #[serde(skip_serializing_if = "is_false")]
    pub environment: bool,
    /// S3: a file as ~/.aws/credentials, its first profile. Google: a service account's JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
    /// S3: the variable that holds the key's id. This and the following are names of environment variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_env: Option<String>,
    /// S3's secret key, or Azure's account key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_env: Option<String>,
    /// S3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_token_env: Option<String>,
    /// Azure and https.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
}

fn is_false(value: &bool) -> bool {
    !*value
}
