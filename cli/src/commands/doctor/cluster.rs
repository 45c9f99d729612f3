//! The coordinators as they are reached from here: certificate, who leads, releases, clocks.
//!
//! It must never take one that stands by for one that is broken.

use std::path::Path;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use lethe_proto::v1::{ClusterRequest, ListWorkersRequest};
use lethe_tls::Material;
use tonic::{Code, Status};

use super::Finding;
use crate::reach::{Client, Coordinators};

/// A certificate that ends sooner wants renewing.
const SOON_DAYS: i64 = 14;
const DAY_S: i64 = 24 * 60 * 60;
/// Certificates, tokens of clouds and logs agree on the time to within this.
const SKEW: Duration = Duration::from_secs(5);

pub(super) fn look(addresses: &[String], tls: Option<&Path>) -> anyhow::Result<Vec<Finding>> {
    let mut findings: Vec<Finding> = tls.map(certificate).into_iter().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut leaders = 0;
    for address in addresses {
        let one = Coordinators::new(std::slice::from_ref(address), tls);
        let (found, leads) = match one {
            Ok(mut one) => runtime.block_on(coordinator(&mut one, address)),
            Err(error) => {
                (vec![Finding::fail(address, error.to_string(), "correct the address or the certificate")], false)
            }
        };
        leaders += u32::from(leads);
        findings.extend(found);
    }
    if !addresses.is_empty() && leaders != 1 {
        let found = format!("{leaders} of {} addresses lead", addresses.len());
        findings.push(Finding::fail("leader", found, "name every coordinator, and look at their logs"));
    }
    Ok(findings)
}

fn certificate(folder: &Path) -> Finding {
    let what = format!("certificate in {}", folder.display());
    let material = match Material::read(folder) {
        Ok(material) => material,
        Err(error) => return Finding::fail(what, error.to_string(), "see docs/security.md"),
    };
    let days = (material.ends_at_s() - Utc::now().timestamp()).div_euclid(DAY_S);
    let found = format!("{} for {days} days", material.identity());
    match material.check() {
        Err(error) => Finding::fail(what, format!("its own ca.crt does not believe it: {error}"), "renew it"),
        Ok(()) if days < SOON_DAYS => Finding::warn(what, found, "renew it: lethe pki issue ... --renew"),
        Ok(()) => Finding::ok(what, found),
    }
}

/// What one address is, and whether it leads.
async fn coordinator(one: &mut Coordinators, address: &str) -> (Vec<Finding>, bool) {
    let asked = one.ask_once(async |mut client: Client| client.cluster(ClusterRequest {}).await).await;
    match asked {
        Ok(reply) => {
            let skew = reply.metadata().get("date").and_then(|date| skew(date.to_str().ok()?));
            let mut findings = vec![leader(address, &reply.get_ref().release, skew)];
            // Not everybody may know.
            let joined =
                one.ask_once(async |mut client: Client| client.list_workers(ListWorkersRequest {}).await).await;
            findings.extend(joined.ok().map(|reply| workers(reply.get_ref().workers.len())));
            (findings, true)
        }
        Err(status) => (vec![refused(address, &status)], false),
    }
}

fn leader(address: &str, release: &str, skew: Option<Duration>) -> Finding {
    let found = format!("leads, release {release}");
    match skew {
        Some(skew) if skew > SKEW => Finding::warn(
            address,
            format!("{found}, and its clock differs by {} s", skew.as_secs()),
            "run a time service on both machines",
        ),
        _ if release != env!("CARGO_PKG_VERSION") => {
            Finding::warn(address, found, format!("this program is of release {}", env!("CARGO_PKG_VERSION")))
        }
        Some(_) | None => Finding::ok(address, found),
    }
}

fn workers(joined: usize) -> Finding {
    match joined {
        0 => Finding::warn("workers", "none has joined", "audits wait until one does: lethe-worker --coordinator ..."),
        joined => Finding::ok("workers", format!("{joined} joined")),
    }
}

fn refused(address: &str, status: &Status) -> Finding {
    match status.code() {
        Code::Unavailable if status.metadata().contains_key("lethe-leader") => Finding::ok(address, status.message()),
        Code::Unauthenticated => Finding::fail(address, status.message(), "set LETHE_TOKEN to the coordinator's"),
        Code::PermissionDenied => Finding::fail(address, status.message(), "use another certificate"),
        _ => {
            let cause = std::iter::successors(std::error::Error::source(status), |error| error.source()).last();
            let why = cause.map_or_else(|| status.message().to_owned(), ToString::to_string);
            Finding::fail(address, format!("cannot be reached: {why}"), "is it up, and nothing in between?")
        }
    }
}

/// Between the date of an answer, which has whole seconds, and now.
fn skew(date: &str) -> Option<Duration> {
    let theirs: SystemTime = DateTime::parse_from_rfc2822(date).ok()?.into();
    let now = SystemTime::now();
    now.duration_since(theirs).or_else(|_| theirs.duration_since(now)).ok()
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_standby_is_well_and_a_stranger_is_not() {
        let mut standby = Status::unavailable("this coordinator does not lead; http://b:1 does");
        standby.metadata_mut().insert("lethe-leader", "http://b:1".parse().expect("is ascii"));
        assert_eq!(refused("http://a:1", &standby).verdict, Verdict::Ok);
        assert_eq!(refused("http://a:1", &Status::unauthenticated("no")).verdict, Verdict::Fail);
        assert_eq!(refused("http://a:1", &Status::unavailable("transport error")).verdict, Verdict::Fail);
    }

    #[test]
    fn a_cluster_without_workers_is_told() {
        assert_eq!((workers(0).verdict, workers(2).verdict), (Verdict::Warn, Verdict::Ok));
    }

    #[test]
    fn clocks_and_releases_are_compared() {
        let own = env!("CARGO_PKG_VERSION");
        assert_eq!(leader("a", own, Some(Duration::from_secs(1))).verdict, Verdict::Ok);
        assert_eq!(leader("a", own, Some(Duration::from_secs(60))).verdict, Verdict::Warn);
        assert!(leader("a", "0.0.1", None).advice.expect("warns").contains(own));
        assert!(skew("Sun, 29 Nov 2020 15:15:08 GMT").expect("is a date") > Duration::from_secs(86_400));
        assert_eq!(skew("yesterday"), None);
    }
}
