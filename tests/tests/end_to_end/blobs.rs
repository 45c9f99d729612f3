//! A service whose blobs lie in a bucket that another's server keeps: coordinator and workers share no folder but the data's.

use lethe_servers::BucketServer;

use crate::audit::{Audit, Ended};
use crate::drill::{Drill, Size};
use crate::results::Results;
use crate::service::{Service, said};

const BUCKET: &str = "lethe-blobs";

#[test]
fn an_audit_with_blobs_in_a_bucket_equals_the_one_with_a_folder() {
    let drill = Drill::plant(Size { shards: 3, pairs_per_shard: 150 });
    let spec = drill.spec(|spec| spec["unlearn"]["gang"]["steps"] = 6.into());
    let Ended { status, said: told } = Audit::run(&drill, &spec, "folder");
    assert_eq!(status.code(), Some(0), "{told}");

    let bucket = BucketServer::start(BUCKET).expect("starts");
    let root = format!("s3://{BUCKET}/one/prefix");
    let service = Service::start(&drill, &["--blobs", &root], &bucket.variables());
    let spec = spec.to_string_lossy().into_owned();
    let submitted = service.lethe("ann", &["submit", &spec, "--follow"]);
    assert!(submitted.status.success(), "{}\n{}", said(&submitted), service.account());
    let fetched = service.lethe("ann", &["fetch", "drill", "--out", "anns"]);
    assert!(fetched.status.success(), "{}", said(&fetched));

    let (here, there) = (Results::of(drill.path("folder")), Results::of(service.folder.join("anns")));
    there.assert_equal(&here, "with blobs in a bucket");
    assert!(!service.folder.join("work/blobs").exists(), "blobs lie in a folder all the same");
    let scratch = service.folder.join("work/scratch");
    let left = std::fs::read_dir(&scratch).map_or(0, |entries| entries.count());
    assert_eq!(left, 0, "files are left in {}", scratch.display());
    let logs = service.account();
    assert!(!logs.contains("lethe-test-secret"), "{logs}");
}

#[test]
fn a_bucket_that_is_not_there_is_told_at_the_start() {
    let drill = Drill::plant(Size { shards: 1, pairs_per_shard: 100 });
    let bucket = BucketServer::start(BUCKET).expect("starts");
    let refused = Service::refused(&drill, &["--blobs", "s3://another-bucket"], &bucket.variables());
    assert!(refused.contains("blobs cannot be kept") && refused.contains("another-bucket"), "{refused}");
}
