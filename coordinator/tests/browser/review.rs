//! A person at the review: sorts, filters, marks by key, comes back, runs again, logs out.

use lethe_proto::v1;

use crate::finished::{SMALL, audit, key};
use crate::site::Site;

/// The captions on the page, in their order.
const CAPTIONS: &str = "return [...document.querySelectorAll('#suspects .caption')].map((p) => p.textContent)";

impl Site {
    async fn captions(&self) -> Vec<String> {
        self.browser.run(CAPTIONS).await
    }

    async fn choose(&self, name: &str, value: &str) {
        let script = format!("document.querySelector('select[name={name}]').value = {value:?}");
        self.browser.run::<serde_json::Value>(&script).await;
        self.browser.click("form.filter button").await;
        let chosen =
            format!("new URL(location).searchParams.get({name:?}) === {value:?} && document.querySelector('#saved')");
        self.browser.wait("the page that was asked for", &chosen).await;
    }

    async fn saved(&self) {
        self.browser
            .wait("the marks to be saved", "document.querySelector('#saved').textContent === 'All marks are saved.'")
            .await;
    }

    /// Numbers of suspects by their marks, as the page has them.
    async fn marked(&self) -> Vec<(String, String)> {
        let script = "return [...document.querySelectorAll('#suspects li')].filter((li) => li.dataset.mark).map((li) => [li.id, li.dataset.mark])";
        self.browser.run(script).await
    }
}

fn pairs(marks: &[(&str, &str)]) -> Vec<(String, String)> {
    marks.iter().map(|(id, mark)| ((*id).to_owned(), (*mark).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_sorts_filters_marks_by_key_and_finds_all_of_it_again() {
    let site = Site::with(SMALL).await;
    site.go("/audits/march").await;
    site.browser.click("a.review").await;
    site.browser.wait("the suspects", "document.querySelectorAll('#suspects li').length === 80").await;
    assert!(site.captions().await[0].contains("sandal"), "the most suspicious is the first");
    site.choose("sort", "least").await;
    assert!(!site.captions().await[0].contains("sandal"));
    site.choose("sort", "caption").await;
    let captions = site.captions().await;
    assert!(captions.is_sorted_by_key(|caption| caption.to_lowercase()), "{captions:?}");
    site.choose("sort", "score").await;
    site.choose("show", "forget").await;
    assert!(site.captions().await.iter().all(|caption| caption.contains("sandal")));
    site.choose("show", "all").await;
    site.browser.wait("a picture", "document.querySelector('#s1 img').naturalWidth === 28").await;

    // The first is poison, the second clean, the third is passed over, the fourth clean and then taken back.
    site.browser.press("pcjc").await;
    site.browser.press("u").await;
    assert_eq!(site.marked().await, pairs(&[("s1", "poison"), ("s2", "clean")]));
    site.saved().await;
    assert_eq!(
        (site.browser.text("#poison").await, site.browser.text("#clean").await),
        ("1".to_owned(), "1".to_owned())
    );
    site.browser.driver.refresh().await.expect("loads again");
    assert_eq!(site.marked().await, pairs(&[("s1", "poison"), ("s2", "clean")]));
    site.choose("show", "clean").await;
    assert_eq!(site.marked().await, pairs(&[("s2", "clean")]));
    site.choose("show", "all").await;
    site.browser.click("#s3 button.clean").await;
    site.saved().await;
    site.browser.press("?").await;
    site.browser.wait("the help", "document.querySelector('#keys').open").await;

    // The same by the wire, with who and when.
    let mut audits = site.audits.clone();
    let request = v1::ListMarksRequest { audit: audit().to_string() };
    let marks = audits.list_marks(request).await.expect("lists").into_inner().marks;
    let count = |judgement| marks.iter().filter(|mark| mark.judgement() == judgement).count();
    assert_eq!((count(v1::Judgement::Poison), count(v1::Judgement::Clean)), (1, 2));
    assert!(marks.iter().all(|mark| mark.by == "ann" && mark.at_ms > 0 && !mark.content.is_empty()), "{marks:?}");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_runs_an_audit_again_from_its_marks_and_logs_out() {
    let site = Site::with(SMALL).await;
    site.go("/audits/march/review").await;
    site.browser.wait("the suspects", "document.activeElement?.id === 's1'").await;
    // The strongest of all is said to be clean.
    let first: String = site.browser.run("return document.querySelector('#s1 code').textContent").await;
    site.browser.press("c").await;
    site.saved().await;
    site.browser.click(".act a.button").await;
    site.browser.wait("what will happen", "document.querySelector('input[name=next]')").await;
    let told = site.browser.text("main").await;
    assert!(told.contains("march-2") && told.contains("1 suspect marked as clean"), "{told}");
    site.browser.click("form[action$='/rerun'] button.primary").await;
    site.browser.wait("the new audit", "location.pathname === '/audits/march-2'").await;
    // It has no workers, so that it comes as far as its selection.
    site.browser.wait("its suspects", "document.querySelector('a.review')").await;
    site.go("/audits/march-2/review?show=forget").await;
    let text = "[...document.querySelectorAll('#suspects code')].map((code) => code.textContent)";
    let keys: Vec<String> = site.browser.run(&format!("return {text}")).await;
    assert!(!keys.is_empty() && !keys.contains(&first), "{first} is clean: {keys:?}");
    assert!(first.ends_with(&key(SMALL.suspects - 1)), "{first}");
    site.browser.click("form[action='/logout'] button").await;
    site.browser.wait("the end", "document.querySelector('h1').textContent === 'Logged out'").await;
    site.go("/audits/march/review").await;
    assert!(site.browser.text("main").await.contains("You are not logged in"));
    site.end().await;
}

/// What a script does, forms do too.
#[tokio::test(flavor = "multi_thread")]
async fn browser_marks_without_a_script() {
    let site = Site::with(SMALL).await;
    site.go("/audits/march/review").await;
    site.browser.wait("the suspects", "document.querySelector('#s7')").await;
    // As a browser sends it that runs none.
    let send = "document.querySelector('#suspects').requestSubmit = null; const form = document.querySelector('#suspects'); \
                const button = document.createElement('input'); button.type = 'hidden'; button.name = 'poison'; button.value = '7'; \
                form.append(button); form.submit();";
    site.browser.run::<serde_json::Value>(send).await;
    site.browser.wait("the way back", "location.hash === '#s7'").await;
    assert_eq!(site.marked().await, pairs(&[("s7", "poison")]));
    site.end().await;
}
