//! Listings, a page at a time, as S3 and Google (ListObjectsV2) or Azure (List Blobs) write them; without delimiters.

use std::sync::Arc;

use super::Shared;
use super::answer::{Answer, etag};
use super::request::Request;

/// Keys of one page, few enough that tests see several.
const PAGE_KEYS: usize = 50;

pub(super) fn list(request: &Request, shared: &Shared) -> Answer {
    let mut state = shared.state();
    state.counts.lists += 1;
    let prefix = request.parameter("prefix").unwrap_or_default();
    let after = ["continuation-token", "marker", "start-after"].iter().find_map(|name| request.parameter(name));
    let after = after.unwrap_or_default();
    let matching = state.objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after);
    let page: Vec<_> = matching.take(PAGE_KEYS + 1).collect();
    let shown = &page[..page.len().min(PAGE_KEYS)];
    let next = shown.last().filter(|_| page.len() > PAGE_KEYS).map(|(key, _)| escaped(key));
    let body = if request.parameter("comp").is_some() { azure(shown, next) } else { s3(shown, next) };
    Answer::plain("200 OK", &format!("<?xml version=\"1.0\"?>{body}"))
}

type Entry<'a> = (&'a String, &'a Arc<Vec<u8>>);

fn s3(page: &[Entry<'_>], next: Option<String>) -> String {
    let entry = |(key, object): &Entry<'_>| {
        let (key, etag, size) = (escaped(key), etag(object), object.len());
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>{etag}</ETag><Size>{size}</Size></Contents>"
        )
    };
    let more = next.is_some();
    let next = next.map_or_else(String::new, |key| format!("<NextContinuationToken>{key}</NextContinuationToken>"));
    let entries: String = page.iter().map(entry).collect();
    format!("<ListBucketResult><IsTruncated>{more}</IsTruncated>{next}{entries}</ListBucketResult>")
}

fn azure(page: &[Entry<'_>], next: Option<String>) -> String {
    let entry = |(key, object): &Entry<'_>| {
        let (key, etag, size) = (escaped(key), etag(object), object.len());
        format!(
            "<Blob><Name>{key}</Name><Properties><Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified><Etag>{etag}</Etag>\
             <Content-Length>{size}</Content-Length><Content-Type>application/octet-stream</Content-Type></Properties></Blob>"
        )
    };
    let entries: String = page.iter().map(entry).collect();
    let next = next.unwrap_or_default();
    format!("<EnumerationResults><Blobs>{entries}</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
