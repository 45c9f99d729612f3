//! A request's head, as HTTP/1.1 sends it.

use std::io::{self, BufRead, ErrorKind, Read};

const MAX_HEAD_BYTES: u64 = 64 << 10;

#[derive(Debug)]
pub(super) struct Request {
    pub method: String,
    /// As it came, percent-encoded.
    pub path: String,
    /// As it came.
    pub query: String,
    /// Names in lower case, in order of arrival.
    headers: Vec<(String, String)>,
}

impl Request {
    /// The next request of a connection; none where the client closed it.
    pub fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = reader.take(MAX_HEAD_BYTES);
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let strange = || io::Error::new(ErrorKind::InvalidData, "not HTTP");
        let mut parts = line.split_whitespace();
        let (method, target) = (parts.next().ok_or_else(strange)?.to_owned(), parts.next().ok_or_else(strange)?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Self { method, path: path.to_owned(), query: query.to_owned(), headers: Vec::new() };
        loop {
            let mut line = String::new();
            head.read_line(&mut line)?;
            let line = line.trim_end();
            if line.is_empty() {
                return Ok(Some(request));
            }
            let (name, value) = line.split_once(':').ok_or_else(strange)?;
            request.headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter of the query, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(known, _)| *known == name).map(|(_, value)| decoded(value))
    }
}

pub(super) fn decoded(text: &str) -> String {
    let (mut bytes, raw) = (Vec::new(), text.as_bytes());
    let mut at = 0;
    while at < raw.len() {
        let hex = raw.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (raw[at], hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                at += 3;
            }
            (b'+', _) => {
                bytes.push(b' ');
                at += 1;
            }
            (byte, _) => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
