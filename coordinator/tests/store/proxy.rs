//! A TCP proxy between the store and an etcd member that can lose what passes in either direction.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the proxy does with bytes. A change of mode cuts every connection, since each has lost some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// The member hears and its answers are lost.
    LoseAnswers,
    /// The member hears nothing.
    LoseQuestions,
}

pub struct Proxy {
    address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
}

impl Proxy {
    pub async fn before(endpoint: &str) -> Self {
        let target = endpoint.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("has an address");
        let mode = Arc::new(watch::Sender::new(Mode::Pass));
        let modes = Arc::clone(&mode);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, target.clone(), modes.subscribe()));
            }
        });
        Self { address, mode }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes effect on what is on its way.
    pub fn lose(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Cuts what lost bytes; new connections pass.
    pub fn mend(&self) {
        self.mode.send_replace(Mode::Pass);
    }
}

async fn carry(client: TcpStream, target: String, modes: watch::Receiver<Mode>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let ((client_out, client_in), (server_out, server_in)) = (client.into_split(), server.into_split());
    let mut cut = modes.clone();
    tokio::select! {
        () = pump(client_out, server_in, modes.clone(), Mode::LoseQuestions) => {}
        () = pump(server_out, client_in, modes, Mode::LoseAnswers) => {}
        () = mended(&mut cut) => {}
    }
}

/// Ends when a mode that loses bytes ends.
async fn mended(modes: &mut watch::Receiver<Mode>) {
    modes.wait_for(|mode| *mode != Mode::Pass).await.ok();
    modes.wait_for(|mode| *mode == Mode::Pass).await.ok();
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, modes: watch::Receiver<Mode>, losing: Mode) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if *modes.borrow() != losing && to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
