//! A server that takes what others are told: it answers one request after the other as it was told to, and keeps them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

#[derive(Clone)]
pub struct Answer {
    code: u16,
    body: &'static str,
}

impl Answer {
    pub fn empty(code: u16) -> Self {
        Self { code, body: "" }
    }

    pub fn of(code: u16, body: &'static str) -> Self {
        Self { code, body }
    }
}

pub struct Receiver {
    pub address: SocketAddr,
    served: JoinHandle<Vec<String>>,
}

impl Receiver {
    /// In the clear, or by TLS.
    pub fn start(answers: Vec<Answer>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("is bound");
        let serve = move |answer: &Answer| {
            let stream = listener.accept().expect("is dialled").0;
            match &tls {
                None => exchange(stream, answer),
                Some(config) => {
                    let connection = ServerConnection::new(Arc::clone(config)).expect("begins");
                    exchange(StreamOwned::new(connection, stream), answer)
                }
            }
        };
        Self { address, served: std::thread::spawn(move || answers.iter().map(serve).collect()) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What came, once every answer was given.
    pub fn served(self) -> Vec<String> {
        self.served.join().expect("served")
    }
}

fn exchange(stream: impl Read + Write, Answer { code, body }: &Answer) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).expect("reads"), 0, "cut off after {head:?}");
    }
    let mut sent = vec![0; header(&head, "content-length").parse().expect("is a length")];
    reader.read_exact(&mut sent).expect("reads");
    let length = body.len();
    let answer =
        format!("HTTP/1.1 {code} X\r\ncontent-length: {length}\r\nconnection: close\r\nlocation: /other\r\n\r\n{body}");
    let stream = reader.get_mut();
    stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).expect("answers");
    head + &String::from_utf8(sent).expect("is text")
}

pub fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let mut lines = request.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).expect("has the header")
}
