//! Asks a member how it is, over etcd's JSON gateway.
//!
//! It must never wait longer than its deadline: a stopped member accepts connections and says nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_millis(500);

/// Whether the member has a leader and can take part in a write.
pub(crate) fn is_healthy(client: SocketAddr) -> bool {
    let answer = exchange(client, "GET /health HTTP/1.0\r\n\r\n");
    answer.is_some_and(|answer| answer["health"] == "true" || answer["health"] == true)
}

/// The member's own id, and the id of the leader it knows.
pub(crate) fn leader(client: SocketAddr) -> Option<(String, String)> {
    let request =
        "POST /v3/maintenance/status HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let answer = exchange(client, request)?;
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    Some((text(&answer["header"]["member_id"])?, text(&answer["leader"])?))
}

fn exchange(address: SocketAddr, request: &str) -> Option<serde_json::Value> {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_head, body) = answer.split_once("\r\n\r\n")?;
    serde_json::from_str(body).ok()
}
