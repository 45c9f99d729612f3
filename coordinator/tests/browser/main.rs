//! The pages in a real browser: Debian's chromium, driven by its chromedriver.

mod accessible;
mod driver;
#[path = "../api/finished.rs"]
mod finished;
mod hostile;
mod pictures;
mod review;
#[expect(dead_code, reason = "what only the other tests use")]
#[path = "../api/rig.rs"]
mod rig;
mod site;
mod smooth;
