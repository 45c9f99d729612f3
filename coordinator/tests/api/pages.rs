//! The pages over HTTP, as a browser and as somebody who is none.

use lethe_coordinator::api::roles;
use lethe_proto::v1;
use lethe_tls::Role;
use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};

use crate::authz::{Pki, audits_as};
use crate::finished;
use crate::rig::{Rig, soon, view_where};

/// Somebody's browser: it does not follow, and shows its cookie where it has one.
struct Browser {
    client: Client,
    site: String,
    cookie: Option<String>,
}

impl Browser {
    /// Logged in by an address that `lethe open` would print.
    async fn log_in(url: &str, client: Client) -> Self {
        let (site, code) = url.split_once("/login?code=").expect("is an address to log in");
        let mut browser = Self { client, site: site.to_owned(), cookie: None };
        let page = browser.get(&format!("/login?code={code}")).await;
        assert_eq!(page.status(), StatusCode::OK, "the first look does not use the code up");
        let entered = browser.post("/login", &format!("code={code}")).await;
        assert_eq!(
            (entered.status(), entered.headers()[LOCATION].as_bytes()),
            (StatusCode::SEE_OTHER, b"/".as_slice())
        );
        let cookie = entered.headers()[SET_COOKIE].to_str().expect("is text").to_owned();
        assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
        browser.cookie = cookie.split(';').next().map(str::to_owned);
        let again = browser.post("/login", &format!("code={code}")).await;
        assert_eq!(again.status(), StatusCode::UNAUTHORIZED, "a code is good once");
        browser
    }

    fn headers(&self) -> HeaderMap {
        let cookie = self.cookie.iter().map(|cookie| (COOKIE, cookie.parse().expect("is a header")));
        cookie.collect()
    }

    async fn get(&self, path: &str) -> Response {
        let request = self.client.get(format!("{}{path}", self.site)).headers(self.headers());
        soon("a page", request.send()).await.expect("is answered")
    }

    async fn post(&self, path: &str, body: &str) -> Response {
        let request = self.client.post(format!("{}{path}", self.site)).headers(self.headers());
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body.to_owned());
        soon("an answer", request.send()).await.expect("is answered")
    }

    async fn text(&self, path: &str) -> String {
        self.get(path).await.text().await.expect("is text")
    }

    /// The secret of the forms on a page.
    async fn form(&self) -> String {
        let page = self.text("/").await;
        let from = page.split_once("name=\"form\" value=\"").expect("has a form").1;
        format!("form={}", from.split('"').next().expect("is quoted"))
    }
}

fn plain() -> Client {
    Client::builder().redirect(Policy::none()).build().expect("builds")
}

async fn opened(audits: &mut crate::rig::Audits) -> String {
    let request = v1::OpenPagesRequest { by: "ann".to_owned() };
    audits.open_pages(request).await.expect("serves pages").into_inner().url
}

#[tokio::test]
async fn a_person_looks_pauses_and_logs_out() {
    let rig = Rig::calm().await;
    let mut audits = rig.audits().await;
    let browser = Browser::log_in(&opened(&mut audits).await, plain()).await;
    let page = browser.get("/").await;
    let policy = page.headers()["content-security-policy"].to_str().expect("is text").to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let page = page.text().await.expect("is text");
    assert!(
        page.contains("ann (admin)") && page.contains("/audits/drill") && page.contains("None is connected"),
        "{page}"
    );
    assert!(browser.text("/audits/drill").await.contains("action=\"/audits/drill/pause\""));

    let form = browser.form().await;
    let forged = browser.post("/audits/drill/pause", "form=0123").await;
    assert_eq!(forged.status(), StatusCode::FORBIDDEN, "another site's form");
    assert_eq!(browser.post("/audits/drill/pause", &form).await.status(), StatusCode::SEE_OTHER);
    let view = view_where(&mut audits, |view| view.state() == v1::RunState::Paused).await;
    assert_eq!(view.history.last().expect("has one").by, "ann");
    for (path, code) in
        [("/audits/nobody", 404), ("/audits/..%2f", 404), ("/nowhere", 404), ("/audits/drill/report", 409)]
    {
        assert_eq!(browser.get(path).await.status().as_u16(), code, "{path}");
    }
    assert_eq!(browser.post("/audits/drill/explode", &form).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(browser.post("/logout", &form).await.status(), StatusCode::OK);
    assert_eq!(browser.get("/").await.status(), StatusCode::UNAUTHORIZED, "the cookie is of no use any more");
}

#[tokio::test]
async fn what_an_audit_came_to_is_on_its_page_and_among_the_others() {
    let folder = tempfile::tempdir().expect("makes a folder");
    finished::put(&folder.path().join("work"), finished::SMALL).await;
    let rig = Rig::over_folder(folder).await;
    let mut audits = rig.audits().await;
    let view = audits.get_audit(v1::GetAuditRequest { audit: "march".to_owned() }).await.expect("is there");
    let came_to = view.into_inner().audit.and_then(|view| view.conclusion).expect("came to something");
    let browser = Browser::log_in(&opened(&mut audits).await, plain()).await;
    let report = browser.text("/audits/march/report").await;
    assert!(report.contains(&came_to.headline) && report.contains(&format!("verdict {}", came_to.verdict)));
    for page in ["/", "/audits/march"] {
        assert!(browser.text(page).await.contains(&came_to.headline), "{page} does not say {:?}", came_to.headline);
    }
}

/// Every page and button x {nobody, each role that may log in}: as the call that it stands for.
#[tokio::test]
async fn authz_table_of_pages() {
    let pki = Pki::new();
    let rig = Rig::behind(pki.gate()).await;
    let trust = std::fs::read(pki.root()).expect("reads");
    let trust = reqwest::Certificate::from_pem(&trust).expect("is one");
    let client = || Client::builder().tls_certs_only([trust.clone()]).redirect(Policy::none()).build().expect("builds");
    let mut visitors = vec![];
    for role in [Role::Admin, Role::Submitter, Role::Viewer] {
        let mut audits = audits_as(&rig, &pki, role);
        let url = audits.open_pages(v1::OpenPagesRequest::default()).await.expect("serves pages").into_inner().url;
        assert!(url.starts_with("https://"), "{url}");
        visitors.push((Some(role), Browser::log_in(&url, client()).await));
    }
    let site = visitors[0].1.site.clone();
    visitors.push((None, Browser { client: client(), site, cookie: Some("__Host-lethe-session=forged".to_owned()) }));
    let looks = [
        ("/", "ListAudits"),
        ("/audits/drill", "GetAudit"),
        ("/audits/drill/report", "FetchResult"),
        ("/audits/drill/review", "ListMarks"),
        ("/audits/drill/review/pictures/1", "ListMarks"),
    ];
    let buttons = ["pause", "resume", "approve", "cancel"];
    for (role, browser) in &visitors {
        for (path, call) in looks {
            let code = browser.get(path).await.status();
            let expected = match role {
                None => code == StatusCode::UNAUTHORIZED,
                Some(role) if may(*role, call) => code == StatusCode::OK || code == StatusCode::CONFLICT,
                Some(_) => code == StatusCode::FORBIDDEN,
            };
            assert!(expected, "{path} by {role:?}: {code}");
        }
        let form = if role.is_some() { browser.form().await } else { "form=0".to_owned() };
        for button in buttons {
            let code = browser.post(&format!("/audits/drill/{button}"), &form).await.status();
            // The rig's audit is nobody's, so that a submitter may not touch it.
            let expected = match role {
                None => StatusCode::UNAUTHORIZED,
                Some(Role::Admin) => StatusCode::SEE_OTHER,
                Some(_) => StatusCode::FORBIDDEN,
            };
            assert_eq!(code, expected, "{button} by {role:?}");
        }
        // There is nothing to mark nor to run again from, for whoever may.
        for (path, body) in [("review/marks", &form), ("rerun", &format!("{form}&next=drill-2"))] {
            let code = browser.post(&format!("/audits/drill/{path}"), body).await.status();
            let expected = match role {
                None => code == StatusCode::UNAUTHORIZED,
                Some(Role::Admin) => code == StatusCode::CONFLICT || code == StatusCode::BAD_REQUEST,
                Some(_) => code == StatusCode::FORBIDDEN,
            };
            assert!(expected, "{path} by {role:?}: {code}");
        }
    }
}

fn may(role: Role, call: &str) -> bool {
    roles(&format!("/lethe.v1.Audits/{call}")).contains(&role)
}
