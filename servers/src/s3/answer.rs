//! What is answered: objects, ranges of them, listings, and the failures that were ordered.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::request::{Request, decoded};
use super::{S3Faults, Shared, listing, signature};

/// A client that says nothing for so long is gone.
const READ_DEADLINE: Duration = Duration::from_secs(60);
const PIECE_BYTES: usize = 16 << 10;

pub(super) struct Answer {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    pub fn plain(status: &'static str, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    fn error(status: &'static str, code: &str) -> Self {
        Self::plain(
            status,
            &format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as ordered</Message></Error>"),
        )
    }
}

pub(super) fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(READ_DEADLINE))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = Request::read(&mut reader)? {
        let faults = shared.state().faults;
        let answer = answer(&request, shared, &faults);
        if !send(&stream, (&request, &answer), shared, &faults)? {
            break;
        }
    }
    Ok(())
}

fn answer(request: &Request, shared: &Shared, faults: &S3Faults) -> Answer {
    {
        let counts = &mut shared.state().counts;
        counts.requests += 1;
        if faults.throttle_one_in.is_some_and(|one_in| counts.requests.is_multiple_of(one_in)) {
            counts.throttled += 1;
            return match counts.throttled % 2 {
                0 => Answer::error("429 Too Many Requests", "TooManyRequests"),
                _ => Answer::error("503 Service Unavailable", "SlowDown"),
            };
        }
    }
    if let Some((key, secret)) = &shared.options.credentials
        && !signature::holds(request, (key, secret))
    {
        shared.state().counts.denied += 1;
        return Answer::error("403 Forbidden", "SignatureDoesNotMatch");
    }
    let path = decoded(&request.path.replace('+', "%2B"));
    let Some(rest) = path.strip_prefix('/').and_then(|path| path.strip_prefix(shared.options.bucket.as_str())) else {
        return Answer::error("404 Not Found", "NoSuchBucket");
    };
    match (request.method.as_str(), rest.trim_start_matches('/')) {
        ("GET", "") => listing::list(request, shared),
        ("GET" | "HEAD", key) => object(request, key, shared, faults),
        _ => Answer::error("405 Method Not Allowed", "MethodNotAllowed"),
    }
}

fn object(request: &Request, key: &str, shared: &Shared, faults: &S3Faults) -> Answer {
    if let Some(address) = faults.redirect {
        let mut answer = Answer::plain("302 Found", "");
        answer.headers.push(("location", address.to_owned()));
        return answer;
    }
    let Some(object) = shared.state().objects.get(key).cloned() else {
        return Answer::error("404 Not Found", "NoSuchKey");
    };
    let etag = etag(&object);
    if request.header("if-match").is_some_and(|wanted| wanted != etag) {
        return Answer::error("412 Precondition Failed", "PreconditionFailed");
    }
    let mut headers = vec![
        ("etag", etag),
        ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT".to_owned()),
        ("accept-ranges", "bytes".to_owned()),
    ];
    match range(request.header("range"), object.len()) {
        None => Answer { status: "200 OK", headers, body: object.to_vec() },
        Some((first, end)) if first < end => {
            shared.state().counts.ranges += 1;
            headers.push(("content-range", format!("bytes {first}-{}/{}", end - 1, object.len())));
            Answer { status: "206 Partial Content", headers, body: object[first..end].to_vec() }
        }
        Some(_) => Answer::error("416 Range Not Satisfiable", "InvalidRange"),
    }
}

/// The first byte and the one after the last.
fn range(header: Option<&str>, size: usize) -> Option<(usize, usize)> {
    let (first, last) = header?.strip_prefix("bytes=")?.split_once('-')?;
    let first: usize = first.parse().ok()?;
    let end = last.parse::<usize>().map_or(size, |last| (last + 1).min(size));
    Some((first, end))
}

/// Of the content, so that an object put again unchanged keeps its own.
pub(super) fn etag(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(bytes);
    format!("\"{}\"", digest[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Whether the connection may go on.
fn send(
    mut stream: &TcpStream,
    (request, answer): (&Request, &Answer),
    shared: &Shared,
    faults: &S3Faults,
) -> io::Result<bool> {
    let headers: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = answer.body.len();
    stream.write_all(format!("HTTP/1.1 {}\r\ncontent-length: {length}\r\n{headers}\r\n", answer.status).as_bytes())?;
    if request.method == "HEAD" {
        return Ok(true);
    }
    let is_object = answer.status.starts_with("20") && answer.headers.iter().any(|(name, _)| *name == "etag");
    let cut = faults.cut_after_bytes.filter(|cut| is_object && *cut < length);
    for piece in answer.body[..cut.unwrap_or(length)].chunks(PIECE_BYTES) {
        if let Some(pause) = faults.pause.filter(|_| is_object) {
            std::thread::sleep(pause);
        }
        stream.write_all(piece)?;
    }
    if cut.is_some() {
        shared.state().counts.cut += 1;
        stream.shutdown(Shutdown::Both)?;
    }
    Ok(cut.is_none())
}
