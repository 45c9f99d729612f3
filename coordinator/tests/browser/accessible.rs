//! Every page by axe-core: no violation of the Web Content Accessibility Guidelines, level A and AA.

use crate::finished::SMALL;
use crate::site::Site;

/// The program, which `scripts/axe.sh` brings.
fn axe() -> String {
    let path = std::env::var("AXE").expect("no axe-core: run scripts/axe.sh and set AXE to what it prints");
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

const CHECK: &str = "
const done = arguments[0];
axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'], resultTypes: ['violations'] }).then(
  (found) => done(found.violations.map(({ id, help, nodes }) => [`${id}: ${help}`, ...nodes.map((node) => node.html)].join('\\n  '))),
  (error) => done([String(error)]),
);
";

#[tokio::test(flavor = "multi_thread")]
async fn browser_finds_no_page_that_shuts_anybody_out() {
    let axe = axe();
    let site = Site::with(SMALL).await;
    let pages = [
        "/",
        "/audits/march",
        "/audits/march/review",
        "/audits/march/review?show=poison&text=nothing",
        "/audits/march/rerun",
        "/nowhere",
    ];
    for page in pages {
        site.go(page).await;
        if page == "/audits/march/review" {
            site.browser.wait("the list", "document.activeElement?.id === 's1'").await;
            site.browser.press("pc").await;
        }
        site.browser.run::<serde_json::Value>(&axe).await;
        let found = site.browser.driver.execute_async(CHECK, Vec::new()).await.expect("is checked");
        let violations: Vec<String> = found.convert().expect("are violations");
        assert!(violations.is_empty(), "{page}:\n{}", violations.join("\n"));
    }
    site.end().await;
}
