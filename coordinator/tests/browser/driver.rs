//! A Chromium of a test's own, with the chromedriver that drives it.
//!
//! It must never outlive its test, nor reach for anything but loopback.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use thirtyfour::{By, ChromiumLikeCapabilities, DesiredCapabilities, LoggingPrefsLogLevel, WebDriver};

/// As root there is no sandbox; the rest keeps a browser from calling home.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
];
/// A page, or what a test waits for on one: this machine may have much else to do.
pub const DEADLINE: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(25);

pub struct Browser {
    pub driver: WebDriver,
    _chromedriver: Killed,
    _profile: TempDir,
}

/// Killed with what it started: a process group of its own.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // A browser that was asked to quit is gone; one of a test that failed goes with its driver.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The folder with chromium and chromedriver.
fn folder() -> PathBuf {
    let named = std::env::var_os("CHROMIUM").filter(|named| !named.is_empty()).map(PathBuf::from);
    let found = named.or_else(|| Some(PathBuf::from("/usr/bin")).filter(|bin| bin.join("chromedriver").is_file()));
    found.expect("no browser: CHROMIUM is not set and none is installed; run scripts/chromium.sh and set CHROMIUM to what it prints")
}

impl Browser {
    pub async fn start() -> Self {
        let folder = folder();
        let (chromedriver, port) = started(&folder.join("chromedriver"));
        let profile = tempfile::tempdir().expect("makes a folder");
        let mut capabilities = DesiredCapabilities::chrome();
        capabilities.set_binary(folder.join("chromium").to_str().expect("is UTF-8")).expect("is taken");
        for flag in FLAGS {
            capabilities.add_arg(flag).expect("is taken");
        }
        capabilities.add_arg(&format!("--user-data-dir={}", profile.path().display())).expect("is taken");
        capabilities.set_browser_log_level(LoggingPrefsLogLevel::All).expect("is taken");
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities).await.expect("opens a browser");
        driver.set_page_load_timeout(DEADLINE).await.expect("is set");
        driver.set_script_timeout(DEADLINE).await.expect("is set");
        let browser = Self { driver, _chromedriver: chromedriver, _profile: profile };
        browser.resize(1280, 900).await;
        browser
    }

    pub async fn resize(&self, width: u32, height: u32) {
        self.driver.set_window_rect(0, 0, width, height).await.expect("has a window");
    }

    /// What a script comes to in the page.
    pub async fn run<T: serde::de::DeserializeOwned>(&self, script: &str) -> T {
        let found = self.driver.execute(script, Vec::new()).await.unwrap_or_else(|e| panic!("{script}: {e}"));
        found.convert().unwrap_or_else(|e| panic!("{script}: {e}"))
    }

    /// The first answer of a script that is `true`.
    pub async fn wait(&self, what: &str, condition: &str) {
        let condition = format!("return Boolean({condition})");
        let waiting = async {
            // A page that is on its way has none of what is asked for, and may not answer.
            while !matches!(self.driver.execute(&condition, Vec::new()).await, Ok(found) if found.json() == true) {
                tokio::time::sleep(ASK_EVERY).await;
            }
        };
        if tokio::time::timeout(DEADLINE, waiting).await.is_err() {
            let page = self.driver.source().await.unwrap_or_default();
            panic!("waited {DEADLINE:?} for {what}: {condition}\n{page}\n{:?}", self.log().await);
        }
    }

    /// To whatever has the focus.
    pub async fn press(&self, keys: &str) {
        self.driver.action_chain().send_keys(keys).perform().await.expect("is pressed");
    }

    pub async fn click(&self, css: &str) {
        let found = self.driver.find(By::Css(css)).await.unwrap_or_else(|e| panic!("{css}: {e}"));
        found.click().await.unwrap_or_else(|e| panic!("{css}: {e}"));
    }

    pub async fn text(&self, css: &str) -> String {
        self.run(&format!("return document.querySelector({css:?})?.textContent ?? ''")).await
    }

    /// What the browser complained of since this was asked last.
    pub async fn log(&self) -> Vec<String> {
        let entries = self.driver.browser_log().await.expect("keeps a log");
        entries.into_iter().map(|entry| format!("{} {}", entry.level, entry.message)).collect()
    }

    pub async fn quit(self) {
        self.driver.quit().await.expect("quits");
    }
}

/// On a port that the system chooses, which it says on its output.
fn started(program: &Path) -> (Killed, u16) {
    let mut command = Command::new(program);
    command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    let output = BufReader::new(child.stdout.take().expect("is piped"));
    let mut said = output.lines().map_while(Result::ok);
    let port = said.find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok());
    let killed = Killed(child);
    let port = port.unwrap_or_else(|| panic!("{} ended without a port", program.display()));
    // What it says later must not fill the pipe.
    std::thread::spawn(move || said.for_each(drop));
    (killed, port)
}
