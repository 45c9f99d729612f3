//! Pictures of every page, where LETHE_PICTURES names a folder for them: those that docs/pages.md shows.

use std::path::{Path, PathBuf};

use lethe_proto::v1;
use thirtyfour::By;

use crate::finished::SMALL;
use crate::site::Site;

const WIDE: (u32, u32) = (1_200, 900);
const LOW: (u32, u32) = (1_200, 560);
const NARROW: (u32, u32) = (420, 900);

#[tokio::test(flavor = "multi_thread")]
async fn browser_takes_pictures_of_every_page() {
    let named = std::env::var_os("LETHE_PICTURES").filter(|named| !named.is_empty()).map(PathBuf::from);
    let own = tempfile::tempdir().expect("makes a folder");
    // Relative to the workspace, as a person types it.
    let folder = named
        .map_or_else(|| own.path().to_owned(), |named| Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(named));
    let site = Site::with(SMALL).await;
    let worker = site.rig.worker("gpu-0").await;
    site.go("/audits/march/review").await;
    site.browser.wait("the list", "document.activeElement?.id === 's1'").await;
    site.browser.press("ppcp").await;
    site.browser
        .wait("the marks to be saved", "document.querySelector('#saved').textContent === 'All marks are saved.'")
        .await;
    let mut audits = site.audits.clone();
    let (audit, of, from_phase) = ("march-2".to_owned(), "march".to_owned(), "select".to_owned());
    let request = v1::RerunAuditRequest { audit, of, from_phase, submitter: "ann".to_owned(), ..Default::default() };
    audits.rerun_audit(request).await.expect("runs again");
    site.go("/audits/march-2").await;
    site.browser.wait("its selection", "document.querySelector('a.review')").await;
    let login = audits.open_pages(v1::OpenPagesRequest { by: "ann".to_owned() }).await.expect("opens").into_inner().url;
    let login = login.strip_prefix(&site.url).expect("is of the same site").to_owned();
    for (name, path, size) in [
        ("login", login.as_str(), LOW),
        ("overview", "/", LOW),
        ("audit", "/audits/march-2", WIDE),
        ("report", "/audits/march/report", WIDE),
        ("review", "/audits/march/review", WIDE),
        ("review-narrow", "/audits/march/review", NARROW),
        ("audit-narrow", "/audits/march-2", NARROW),
        ("rerun", "/audits/march/rerun", LOW),
    ] {
        site.browser.resize(size.0, size.1).await;
        site.go(path).await;
        site.browser.wait("all pictures", "[...document.images].filter((i) => i.getBoundingClientRect().top < innerHeight).every((i) => i.complete)").await;
        let png = site.browser.driver.screenshot_as_png().await.expect("is taken");
        assert!(png.len() > 5_000, "{name} is empty");
        std::fs::write(folder.join(format!("browser-{name}.png")), png).expect("writes");
    }
    // The fleet is the lower half of the first page.
    site.browser.resize(WIDE.0, WIDE.1).await;
    site.go("/").await;
    let tables = site.browser.driver.find_all(By::Css("main table")).await.expect("has tables");
    let png = tables.last().expect("has a fleet").screenshot_as_png().await.expect("is taken");
    std::fs::write(folder.join("browser-fleet.png"), png).expect("writes");
    drop(worker);
    site.end().await;
}
