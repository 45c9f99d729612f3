//! How each kind of attack speaks.
//!
//! It must never wait without a bound for an answer: a coordinator that says nothing is one way to answer.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use lethe_proto::METHODS;
use lethe_tls::connect;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tonic::Code;
use tonic::codegen::http::{Request, Uri};
use tonic::transport::Uri as Address;

use super::attack::{Answer, Foe};

/// Bytes that a stranger sends.
const NOISE_BYTES: usize = 2_048;
/// How long what is held open is held.
const HELD: Duration = Duration::from_millis(1_000);
/// After the last of a burst, for what is still on its way.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Of one request's headers, in pieces of a kilobyte.
const HEADER_PIECES: usize = 64;
/// What a message's head claims, and how much of it is sent at most.
const CLAIMED_BYTES: u32 = 64 << 20;
const SENT_BYTES: usize = 1 << 20;

const LIST: &str = "/lethe.v1.Audits/ListAudits";
const GET: &str = "/lethe.v1.Audits/GetAudit";
const WATCH: &str = "/lethe.v1.Audits/WatchAudit";

pub async fn random_bytes(foe: &Foe, seed: u64) -> Vec<Answer> {
    let Ok(mut tcp) = TcpStream::connect(foe.address).await else { return vec![Answer::Closed] };
    drop(tcp.write_all(&noise(seed)).await); // it may be closed already
    vec![until_closed(&mut tcp).await]
}

pub async fn silence(foe: &Foe) -> Vec<Answer> {
    let Ok(mut tcp) = TcpStream::connect(foe.address).await else { return vec![Answer::Closed] };
    vec![until_closed(&mut tcp).await]
}

pub async fn stranger(foe: &Foe) -> Vec<Answer> {
    // The client's side of the handshake ends before its certificate was looked at.
    match connect(address(foe), foe.stranger.clone()).await {
        Ok(mut tls) => vec![until_closed(&mut tls).await],
        Err(_) => vec![Answer::Closed],
    }
}

pub async fn random_frames(foe: &Foe, seed: u64) -> Vec<Answer> {
    let Ok(mut tls) = connect(address(foe), foe.viewer.clone()).await else { return vec![Answer::Closed] };
    drop(tls.write_all(&noise(seed)).await);
    vec![until_closed(&mut tls).await]
}

pub async fn huge_headers(foe: &Foe, requests: u64) -> Vec<Answer> {
    let piece = "x".repeat(1 << 10);
    let dressed = |_| {
        let mut request = call(LIST);
        for n in 0..HEADER_PIECES {
            let name = format!("x-{n}").parse::<tonic::codegen::http::HeaderName>().expect("is a name");
            request.headers_mut().insert(name, piece.parse().expect("is a value"));
        }
        (request, message(b""))
    };
    asked(foe, &Builder::new(), requests, dressed).await
}

pub async fn huge_messages(foe: &Foe, requests: u64) -> Vec<Answer> {
    let mut claims = BytesMut::new();
    claims.put_u8(0);
    claims.put_u32(CLAIMED_BYTES);
    claims.resize(SENT_BYTES, 0);
    let claims = claims.freeze();
    asked(foe, &Builder::new(), requests, |_| (call(GET), claims.clone())).await
}

pub async fn random_messages(foe: &Foe, requests: u64, seed: u64) -> Vec<Answer> {
    let mut draws = ChaCha8Rng::seed_from_u64(seed);
    let random = |_| {
        let path = METHODS[draws.random_range(0..METHODS.len())];
        let bytes = noise(draws.random());
        (call(path), message(&bytes[..draws.random_range(0..256)]))
    };
    asked(foe, &Builder::new(), requests, random).await
}

pub async fn rapid_reset(foe: &Foe, requests: u64) -> Vec<Answer> {
    let Some(mut peer) = Peer::open(foe, &Builder::new()).await else { return vec![Answer::Closed; requests as usize] };
    let mut answers = Vec::new();
    while answers.len() < requests as usize {
        let Some((_, mut stream)) = peer.begin(call(LIST)).await else { break };
        stream.send_reset(Reason::CANCEL);
        answers.push(Answer::Reset);
        // So that what was written leaves before the next is.
        tokio::task::yield_now().await;
    }
    rest(answers, requests)
}

pub async fn stream_flood(foe: &Foe, requests: u64) -> Vec<Answer> {
    hold(foe, &Builder::new(), requests, WATCH).await
}

pub async fn slow_reader(foe: &Foe, requests: u64) -> Vec<Answer> {
    let mut deaf = Builder::new();
    deaf.initial_window_size(0);
    hold(foe, &deaf, requests, LIST).await
}

/// Opens as many streams as it is let, and holds them for a while; each either has its answer's head by then, or is held.
async fn hold(foe: &Foe, builder: &Builder, requests: u64, path: &str) -> Vec<Answer> {
    let Some(mut peer) = Peer::open(foe, builder).await else { return vec![Answer::Closed; requests as usize] };
    let mut open = Vec::new();
    while open.len() < requests as usize {
        let begun = timeout(HELD, peer.begin(call(path))).await;
        let Ok(Some((answer, mut stream))) = begun else { break };
        drop(stream.send_data(message(&audit()), false)); // it may have been reset
        open.push((answer, stream));
    }
    sleep(HELD).await;
    let mut answers = Vec::new();
    for (answer, _stream) in open {
        answers.push(timeout(Duration::from_millis(1), head(answer)).await.unwrap_or(Answer::Held));
    }
    rest(answers, requests)
}

/// Asks over one connection, all at once, and takes what comes.
async fn asked(
    foe: &Foe,
    builder: &Builder,
    requests: u64,
    mut say: impl FnMut(u64) -> (Request<()>, Bytes),
) -> Vec<Answer> {
    let Some(mut peer) = Peer::open(foe, builder).await else { return vec![Answer::Closed; requests as usize] };
    let mut open = Vec::new();
    for n in 0..requests {
        let (request, body) = say(n);
        let Some((answer, mut stream)) = peer.begin(request).await else { break };
        drop(stream.send_data(body, true)); // it may have been reset
        open.push(answer);
    }
    let mut answers = Vec::new();
    for answer in open {
        answers.push(timeout(PATIENCE, head(answer)).await.unwrap_or(Answer::Nothing));
    }
    rest(answers, requests)
}

/// Those that could not be sent any more count as refused with their connection.
fn rest(mut answers: Vec<Answer>, requests: u64) -> Vec<Answer> {
    answers.resize(requests as usize, Answer::Closed);
    answers
}

async fn head(answer: ResponseFuture) -> Answer {
    match answer.await {
        Ok(response) => match response.headers().get("grpc-status").and_then(|status| status.to_str().ok()) {
            Some(number) => Answer::Status(name(number.parse().map_or(Code::Unknown, Code::from_i32))),
            None if response.status().is_success() => Answer::Status("answered"),
            None => Answer::Status("HTTP error"),
        },
        Err(error) if error.is_reset() => Answer::Reset,
        Err(_) => Answer::Closed,
    }
}

fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::PermissionDenied => "permission denied",
        Code::ResourceExhausted => "resource exhausted",
        Code::InvalidArgument => "invalid argument",
        Code::Internal => "internal",
        Code::OutOfRange => "out of range",
        Code::NotFound => "not found",
        Code::FailedPrecondition => "failed precondition",
        Code::Unavailable => "unavailable",
        Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::AlreadyExists
        | Code::Aborted
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => "another status",
    }
}

/// A connection as a viewer, which a task of its own drives.
struct Peer {
    requests: SendRequest<Bytes>,
    driver: AbortHandle,
}

impl Peer {
    async fn open(foe: &Foe, builder: &Builder) -> Option<Self> {
        let tls = connect(address(foe), foe.viewer.clone()).await.ok()?;
        let (requests, connection) = builder.handshake(tls).await.ok()?;
        let driver = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Some(Self { requests, driver })
    }

    /// None once the connection is closed.
    async fn begin(&mut self, request: Request<()>) -> Option<(ResponseFuture, SendStream<Bytes>)> {
        self.requests = self.requests.clone().ready().await.ok()?;
        self.requests.send_request(request, false).ok()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn until_closed(stream: &mut (impl AsyncReadExt + Unpin)) -> Answer {
    let mut buffer = [0; 1_024];
    let closed = async { while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {} };
    match timeout(HELD, closed).await {
        Ok(()) => Answer::Closed,
        Err(_) => Answer::Held,
    }
}

fn address(foe: &Foe) -> Address {
    format!("https://{}", foe.address).parse().expect("an address and a port are one")
}

fn call(path: &str) -> Request<()> {
    let uri: Uri = format!("https://127.0.0.1{path}").parse().expect("our own paths are good ones");
    let request = Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
    request.body(()).expect("all of it is well-formed")
}

/// As gRPC frames one.
fn message(bytes: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + bytes.len());
    framed.put_u8(0);
    framed.put_u32(bytes.len() as u32);
    framed.put_slice(bytes);
    framed.freeze()
}

/// GetAudit's and WatchAudit's message: field 1, the audit's id.
fn audit() -> Vec<u8> {
    let id = b"bench-00";
    [&[0x0a, id.len() as u8][..], id].concat()
}

fn noise(seed: u64) -> Vec<u8> {
    let mut draws = ChaCha8Rng::seed_from_u64(seed);
    (0..NOISE_BYTES).map(|_| draws.random()).collect()
}
