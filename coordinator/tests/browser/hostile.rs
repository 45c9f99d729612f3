//! What strangers write is text: nothing of it runs, and the browser has nothing to complain of.

use crate::finished::{HOSTILE, SMALL};
use crate::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn browser_runs_nothing_that_came_with_the_data() {
    let site = Site::with(SMALL).await;
    drop(site.browser.log().await);
    for page in [
        "/audits/march/review?sort=least",
        "/audits/march/review?text=script&show=%3Cscript%3E",
        "/audits/march/report",
        "/",
    ] {
        site.go(page).await;
        let ran: bool = site
            .browser
            .run(
                "return 'ran' in window || document.querySelector('#suspects script, #suspects .caption img') !== null",
            )
            .await;
        assert!(!ran, "{page}");
    }
    site.go("/audits/march/review?sort=least").await;
    let captions: Vec<String> =
        site.browser.run("return [...document.querySelectorAll('.caption')].map((p) => p.textContent)").await;
    for hostile in HOSTILE {
        assert!(captions.iter().any(|caption| caption == hostile), "{hostile} is not shown as it is: {captions:?}");
    }
    assert!(!site.browser.text(".who").await.is_empty(), "nobody was logged out");
    let log = site.browser.log().await;
    assert!(log.iter().all(|line| line.contains("favicon.ico")), "{log:#?}");
    // A script that were there could not run either: the policy lets none but ours.
    let put = "const script = document.createElement('script'); script.textContent = 'window.ran = 9'; document.body.append(script); return 'ran' in window";
    assert!(!site.browser.run::<bool>(put).await);
    let log = site.browser.log().await;
    assert!(log.iter().any(|line| line.contains("Content Security Policy")), "the policy says so: {log:#?}");
    site.end().await;
}
