//! A service over TLS, by the commands that docs/security.md lists: certificates, a coordinator, workers, and people of three roles.

use std::process::Command;

use crate::audit::binary;
use crate::drill::{Drill, Size};
use crate::service::{Service, pki, said};

#[test]
fn people_of_three_roles_share_a_service_over_tls() {
    let drill = Drill::plant(Size { shards: 3, pairs_per_shard: 100 });
    let service = Service::start(&drill, &[], &[]);
    let spec = drill.spec(|spec| spec["unlearn"]["gang"]["steps"] = 4.into());
    // Certificates change under the running service, which nobody notices.
    pki(
        &service.folder,
        &["issue", "pki", "--role", "coordinator", "--name", "lethe-0", "--out", "lethe-0", "--renew"],
    );
    pki(&service.folder, &["issue", "pki", "--role", "worker", "--name", "cpu", "--out", "cpu", "--renew"]);
    let spec = spec.to_string_lossy().into_owned();
    let submitted = service.lethe("ann", &["submit", &spec, "--follow"]);
    // What a drill of this size comes to is not looked at here.
    assert!(matches!(submitted.status.code(), Some(0 | 3)), "{}\n{}", said(&submitted), service.account());

    let listed = service.lethe("eve", &["list", "--all"]);
    assert!(said(&listed).contains("ann"), "it has her certificate's name: {}", said(&listed));
    let page = service.lethe("eve", &["fetch", "drill", "report.html", "--out", "eves"]);
    assert!(page.status.success(), "{}", said(&page));
    for (who, arguments, why) in [
        ("eve", vec!["fetch", "drill", "clean.safetensors", "--out", "eves"], "is for ann and admins"),
        ("bob", vec!["fetch", "drill", "drop-list.txt", "--out", "bobs"], "is for ann and admins"),
        ("eve", vec!["submit", &spec], "takes one of role admin or submitter"),
        ("bob", vec!["cancel", "drill"], "drill is ann's"),
        ("cpu", vec!["list"], "expected one of admin, submitter, viewer"),
    ] {
        let refused = service.lethe(who, &arguments);
        assert!(!refused.status.success() && said(&refused).contains(why), "{who} {arguments:?}: {}", said(&refused));
    }
    let fetched = service.lethe("ann", &["fetch", "drill", "--out", "anns"]);
    assert!(fetched.status.success() && service.folder.join("anns/clean.safetensors").is_file(), "{}", said(&fetched));
    let verify = || service.lethe("eve", &["verify", "anns"]);
    let verified = verify();
    assert!(verified.status.success(), "{}", said(&verified));
    assert!(said(&verified).contains("as the coordinator's state has it"), "{}", said(&verified));
    let record = service.folder.join("anns/record.json");
    let text = std::fs::read_to_string(&record).expect("is there").replace("\"0.1.0\"", "\"0.1.1\"");
    std::fs::write(&record, text).expect("is ours");
    let verified = verify();
    assert_eq!(verified.status.code(), Some(1), "the record is another: {}", said(&verified));
    assert!(said(&verified).contains("by the coordinator's state it should be"), "{}", said(&verified));

    let stranger = Command::new(binary("lethe"))
        .args(["list", "--coordinator", &service.address])
        .env_remove("LETHE_TLS")
        .output()
        .expect("runs");
    assert!(stranger.status.code() == Some(2) && said(&stranger).contains("--tls FOLDER"), "{}", said(&stranger));
}
