//! A coordinator with a finished audit, and a browser that is logged in to its pages as `lethe open` would have it.

use lethe_proto::v1;

use crate::driver::Browser;
use crate::finished::{self, Size};
use crate::rig::{Audits, Rig};

pub struct Site {
    pub rig: Rig,
    pub audits: Audits,
    pub browser: Browser,
    /// Where the pages are.
    pub url: String,
}

impl Site {
    pub async fn with(size: Size) -> Self {
        let folder = tempfile::tempdir().expect("makes a folder");
        let work = folder.path().join("work");
        finished::put(&work, size).await;
        let rig = Rig::over_folder(folder).await;
        let mut audits = rig.audits().await;
        let browser = Browser::start().await;
        let url = log_in(&mut audits, &browser).await;
        Self { rig, audits, browser, url }
    }

    /// To a page, by its path.
    pub async fn go(&self, path: &str) {
        self.browser.driver.goto(format!("{}{path}", self.url)).await.unwrap_or_else(|e| panic!("{path}: {e}"));
    }

    pub async fn end(self) {
        self.browser.quit().await;
        drop(self.rig.stop().await);
    }
}

/// By the address that is good once, and its button.
async fn log_in(audits: &mut Audits, browser: &Browser) -> String {
    let request = v1::OpenPagesRequest { by: "ann".to_owned() };
    let address = audits.open_pages(request).await.expect("serves pages").into_inner().url;
    browser.driver.goto(&address).await.expect("is a page");
    browser.click("form[action='/login'] button").await;
    browser.wait("the first page", "document.querySelector('.who')").await;
    address.split_once("/login").expect("is an address to log in").0.to_owned()
}
