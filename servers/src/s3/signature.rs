//! AWS Signature Version 4, computed again from a request and the secret.
//!
//! Source: the AWS general reference, "Create a signed AWS API request".

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::request::Request;

/// Whether a request is signed with this key and secret.
pub(super) fn holds(request: &Request, (key, secret): (&str, &str)) -> bool {
    expected(request, key, secret).is_some_and(|(found, expected)| found == expected)
}

/// The signature that was sent, and the right one.
fn expected(request: &Request, key: &str, secret: &str) -> Option<(String, String)> {
    let fields = request.header("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ")?;
    let field = |name: &str| {
        fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
    };
    let (credential, signed, sent) = (field("Credential")?, field("SignedHeaders")?, field("Signature")?);
    let (named_key, scope) = credential.split_once('/')?;
    if named_key != key {
        return None;
    }
    let canonical = canonical(request, &signed)?;
    let date = request.header("x-amz-date")?;
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mut signing = format!("AWS4{secret}").into_bytes();
    for part in scope.split('/') {
        signing = keyed(&signing, part.as_bytes());
    }
    Some((sent, hex(&keyed(&signing, text.as_bytes()))))
}

fn canonical(request: &Request, signed: &str) -> Option<String> {
    let mut query: Vec<String> = request
        .query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
        .collect();
    query.sort_unstable();
    let mut headers = String::new();
    for name in signed.split(';') {
        headers += &format!("{name}:{}\n", request.header(name)?);
    }
    let payload = request.header("x-amz-content-sha256")?;
    Some(format!("{}\n{}\n{}\n{headers}\n{signed}\n{payload}", request.method, request.path, query.join("&")))
}

fn keyed(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
