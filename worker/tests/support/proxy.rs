//! A way to a coordinator that can be blocked, as a network that drops everything does: nobody is told.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub struct Proxy {
    pub url: String,
    stalled: watch::Sender<bool>,
}

impl Proxy {
    pub async fn start(to: &str) -> Self {
        let to = to.strip_prefix("http://").expect("is a URL").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let url = format!("http://{}", listener.local_addr().expect("has an address"));
        let (stalled, flag) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&to).await.expect("the coordinator listens");
                let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
                tokio::spawn(pass(from_near, to_far, flag.clone()));
                tokio::spawn(pass(from_far, to_near, flag.clone()));
            }
        });
        Self { url, stalled }
    }

    /// From now on every byte is lost, and no connection closes.
    pub fn stall(&self) {
        self.stalled.send_replace(true);
    }
}

async fn pass(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, stalled: watch::Receiver<bool>) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if !*stalled.borrow() && to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    if *stalled.borrow() {
        std::future::pending::<()>().await; // the other side hears of no end either
    }
}
