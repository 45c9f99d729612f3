//! What is broken, by who should see it.

use serde_json::json;

use super::Broken;
use super::Change::{self, Drop, Remove, Set};

fn broken(what: &'static str, document: &'static str, change: Change, message: &'static str) -> Broken {
    Broken { what, document, change, message }
}

const COORDINATOR: &str = "StatefulSet/lethe-coordinator";
const WORKER: &str = "StatefulSet/lethe-worker";
const ETCD: &str = "StatefulSet/lethe-etcd";
const SCHEDULE: &str = "CronJob/lethe-schedule";

pub fn table() -> Vec<Broken> {
    let tables = [by_schema(), commands(), references(), selection(), lifecycle(), security(), network()];
    tables.into_iter().flatten().collect()
}

fn by_schema() -> Vec<Broken> {
    vec![
        broken("a field misspelt", COORDINATOR, Set("/spec/replica", json!(2)), "replica"),
        broken("a number as text", WORKER, Set("/spec/replicas", json!("eight")), "'eight' is not of type 'integer'"),
        broken("a version of the past", SCHEDULE, Set("/apiVersion", json!("batch/v1beta1")), "knows no such kind"),
        broken("a policy misspelt", SCHEDULE, Set("/spec/concurrencyPolicy", json!("Forbidden")), "is none of Allow"),
        broken(
            "a policy type in small letters",
            "NetworkPolicy/lethe-deny-all",
            Set("/spec/policyTypes/0", json!("ingress")),
            "\"ingress\" is none of Ingress, Egress",
        ),
        broken(
            "an effect that there is not",
            WORKER,
            Set("/spec/template/spec/tolerations/0/effect", json!("NoScheduling")),
            "\"NoScheduling\" is none of",
        ),
        broken(
            "a certificate's field misspelt",
            "Certificate/lethe-worker-tls",
            Set("/spec/dnsName", json!("w")),
            "no field \"dnsName\"",
        ),
        broken("a queue without quota", "ClusterQueue/lethe", Drop, "there is no ClusterQueue/lethe"),
    ]
}

fn commands() -> Vec<Broken> {
    let args = "/spec/template/spec/containers/0/args/-";
    vec![
        broken("a flag that is not there", COORDINATOR, Set(args, json!("--leader-elect")), "unexpected argument"),
        broken(
            "a grace beyond its bound",
            WORKER,
            Set("/spec/template/spec/containers/0/args/4", json!("--grace-ms=60000")),
            "invalid value '60000'",
        ),
        broken(
            "a flag that stands twice",
            WORKER,
            Set(args, json!("--grace-ms=20000")),
            "cannot be used multiple times",
        ),
        broken(
            "a store that is none",
            "ConfigMap/lethe-settings",
            Set("/data/store", json!("http://lethe-etcd:2379")),
            "invalid value",
        ),
        broken("a flag of another etcd", ETCD, Set(args, json!("--enable-grpc-tls=true")), "etcd knows no"),
        broken(
            "a command of another time",
            SCHEDULE,
            Set("/spec/jobTemplate/spec/template/spec/containers/0/args/0", json!("enqueue")),
            "unrecognized subcommand",
        ),
        broken(
            "a variable that nobody sets",
            WORKER,
            Set("/spec/template/spec/containers/0/args/0", json!("--id=$(NODE_NAME)")),
            "is no variable of the container",
        ),
        broken(
            "an image that is not ours",
            WORKER,
            Set("/spec/template/spec/containers/0/image", json!("lethe-wroker:0.1.0")),
            "no image lethe-wroker",
        ),
    ]
}

/// In the overlay whose blobs lie in a bucket.
pub fn of_bucket() -> Vec<Broken> {
    let work = json!({"name": "work", "persistentVolumeClaim": {"claimName": "lethe-work"}});
    vec![
        broken(
            "a bucket without credentials",
            WORKER,
            Remove("/spec/template/spec/containers/0/envFrom"),
            "no secret has its credentials",
        ),
        broken(
            "credentials of a secret that nobody knows",
            COORDINATOR,
            Set("/spec/template/spec/containers/0/envFrom/0/secretRef/name", json!("lethe-buckets")),
            "there is no Secret/lethe-buckets",
        ),
        broken(
            "a folder beside the bucket",
            WORKER,
            Set("/spec/template/spec/volumes/-", work),
            "it mounts the folder",
        ),
        broken("no way to the bucket", "NetworkPolicy/lethe-bucket", Drop, "no policy lets it out to port 443"),
        broken(
            "a way to the cloud's metadata",
            "NetworkPolicy/lethe-bucket",
            Remove("/spec/egress/0/to/0/ipBlock/except"),
            "no policy lets it out to port 443",
        ),
        broken(
            "a bucket of nobody's kind",
            "ConfigMap/lethe-settings",
            Set("/data/blobs", json!("ftp://lethe-blobs")),
            "is no place of blobs",
        ),
        broken(
            "blobs in a folder of one's own",
            "ConfigMap/lethe-settings",
            Set("/data/blobs", json!("file:///work/blobs")),
            "no claim of coordinators",
        ),
    ]
}

fn references() -> Vec<Broken> {
    let volume = "/spec/template/spec/volumes";
    vec![
        broken("settings that are gone", "ConfigMap/lethe-settings", Drop, "there is no ConfigMap/lethe-settings"),
        broken("a key that is gone", "ConfigMap/lethe-settings", Remove("/data/roots"), "has no key \"roots\""),
        broken("a certificate that nobody makes", "Certificate/lethe-worker-tls", Drop, "no Secret/lethe-worker-tls"),
        broken("a claim that is gone", "PersistentVolumeClaim/lethe-work", Drop, "no PersistentVolumeClaim/lethe-work"),
        broken(
            "blobs in a folder that workers have elsewhere",
            WORKER,
            Set("/spec/template/spec/containers/0/volumeMounts/1/mountPath", json!("/blobs")),
            "and no claim of workers",
        ),
        broken("an account that is gone", "ServiceAccount/lethe-etcd", Drop, "no ServiceAccount/lethe-etcd"),
        broken("volumes that are gone", WORKER, Set(volume, json!([])), "there is no volume scratch"),
    ]
}

fn selection() -> Vec<Broken> {
    vec![
        broken(
            "a service of nobody",
            "Service/lethe-coordinator",
            Set("/spec/selector/app.kubernetes.io~1component", json!("coordinators")),
            "Service/lethe-coordinator: it selects no pod",
        ),
        broken(
            "a budget over everybody",
            "PodDisruptionBudget/lethe-coordinator",
            Remove("/spec/selector/matchLabels/app.kubernetes.io~1component"),
            "it selects pods of",
        ),
        broken(
            "a set that loses its pods",
            WORKER,
            Set("/spec/template/metadata/labels/app.kubernetes.io~1component", json!("gpu")),
            "does not take in its own pods",
        ),
        broken(
            "a port that nobody has",
            "Service/lethe-coordinator",
            Set("/spec/ports/0/targetPort", json!("grcp")),
            "has no port \"grcp\"",
        ),
        broken(
            "a probe of a port that is closed",
            COORDINATOR,
            Set("/spec/template/spec/containers/0/livenessProbe/httpGet/port", json!("http")),
            "has no port \"http\"",
        ),
        broken(
            "figures from where there are none",
            "ServiceMonitor/lethe",
            Set("/spec/endpoints/0/port", json!("prometheus")),
            "has no port \"prometheus\"",
        ),
        broken(
            "figures of etcd behind no port",
            "Service/lethe-etcd",
            Set("/spec/ports", json!([{"name": "client", "port": 2379, "targetPort": "client"}])),
            "Service/lethe-etcd has no port \"metrics\"",
        ),
        broken(
            "a registration that waits for ready pods",
            "Service/lethe-coordinator",
            Remove("/spec/publishNotReadyAddresses"),
            "does not publish addresses",
        ),
        broken("labels that are gone", WORKER, Remove("/metadata/labels/app.kubernetes.io~1part-of"), "no label"),
        broken(
            "a label that nobody may change",
            ETCD,
            Set("/spec/volumeClaimTemplates/0/metadata/labels/app.kubernetes.io~1version", json!("0.1.0")),
            "a claim template has a version label",
        ),
        broken(
            "a component without a name",
            SCHEDULE,
            Set("/spec/jobTemplate/spec/template/metadata/labels", json!({"app.kubernetes.io/component": "client"})),
            "no label app.kubernetes.io/name",
        ),
    ]
}

fn lifecycle() -> Vec<Broken> {
    vec![
        broken(
            "a grace within the drain",
            WORKER,
            Set("/spec/template/spec/terminationGracePeriodSeconds", json!(25)),
            "within its drain of 25000 ms",
        ),
        broken(
            "a life that hangs on etcd",
            COORDINATOR,
            Set("/spec/template/spec/containers/0/livenessProbe/httpGet/path", json!("/readyz")),
            "asks /readyz, which depends on others",
        ),
        broken(
            "a budget that allows nothing",
            "PodDisruptionBudget/lethe-worker",
            Set("/spec/maxUnavailable", json!(0)),
            "no pod may ever be evicted",
        ),
        broken("audits beside each other", SCHEDULE, Set("/spec/concurrencyPolicy", json!("Allow")), "at once"),
        broken("a day that is lost", SCHEDULE, Set("/spec/startingDeadlineSeconds", json!(3600)), "has no catch-up"),
        broken("nobody's midnight", SCHEDULE, Remove("/spec/timeZone"), "it has no time zone"),
        broken(
            "audits without a key",
            SCHEDULE,
            Set(
                "/spec/jobTemplate/spec/template/spec/containers/0/args",
                json!(["submit", "/spec/audit.toml", "--coordinator=$(COORDINATORS)"]),
            ),
            "fired twice they would be two",
        ),
        broken(
            "shared memory beyond the limit",
            WORKER,
            Set("/spec/template/spec/containers/0/resources/limits/memory", json!("56Gi")),
            "does not hold its memory volumes",
        ),
        broken(
            "no limit of memory",
            COORDINATOR,
            Remove("/spec/template/spec/containers/0/resources/limits/memory"),
            "resources have no limits/memory",
        ),
        broken(
            "an image that changes",
            COORDINATOR,
            Set("/spec/template/spec/containers/0/image", json!("lethe-coordinator:latest")),
            "has no tag that stays",
        ),
    ]
}

fn security() -> Vec<Broken> {
    vec![
        broken(
            "a root file system that is written",
            WORKER,
            Set("/spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem", json!(false)),
            "its root file system can be written",
        ),
        broken("root", ETCD, Set("/spec/template/spec/securityContext/runAsUser", json!(0)), "no user but root"),
        broken("the host's network", WORKER, Set("/spec/template/spec/hostNetwork", json!(true)), "hostNetwork"),
        broken(
            "a folder of the host",
            WORKER,
            Set("/spec/template/spec/volumes/-", json!({"name": "host", "hostPath": {"path": "/dev"}})),
            "a volume of hostPath is not restricted",
        ),
        broken(
            "a right too many",
            COORDINATOR,
            Set("/spec/template/spec/containers/0/securityContext/capabilities", json!({"drop": []})),
            "capabilities are not all dropped",
        ),
        broken(
            "a token for nothing",
            COORDINATOR,
            Set("/spec/template/spec/automountServiceAccountToken", json!(true)),
            "it is given a token of the cluster's API unasked",
        ),
        broken(
            "a right to read secrets",
            "Role/lethe-events",
            Set("/rules/-", json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]})),
            "it allows more than to create events",
        ),
        broken(
            "a token without a right",
            "RoleBinding/lethe-events",
            Drop,
            "it holds a token of the cluster's API without any right",
        ),
        broken(
            "rights for somebody else",
            "RoleBinding/lethe-events",
            Set("/subjects/0/name", json!("lethe-worker")),
            "it gives rights to nobody who holds a token",
        ),
        broken(
            "a binding to an account of no namespace",
            "RoleBinding/lethe-events",
            Set("/subjects/0", json!({"kind": "ServiceAccount", "name": "lethe-schedule"})),
            "it gives rights to nobody who holds a token",
        ),
        broken(
            "an authority that is not there",
            SCHEDULE,
            Set("/spec/jobTemplate/spec/template/spec/volumes/0/projected/sources/1/configMap/name", json!("root-ca")),
            "there is no ConfigMap/root-ca",
        ),
        broken(
            "an event without a token",
            SCHEDULE,
            Set("/spec/jobTemplate/spec/template/spec/volumes/0/projected/sources", json!([])),
            "a token of the cluster's API and --kubernetes-event go together",
        ),
        broken(
            "a pod that is not let out to the API",
            SCHEDULE,
            Set("/spec/jobTemplate/spec/template/metadata/labels/lethe~1api", json!("none")),
            "no policy lets it out to the cluster's API",
        ),
        broken("a binding to no role", "Role/lethe-events", Drop, "there is no Role/lethe-events"),
        broken(
            "a token that gets nowhere",
            "NetworkPolicy/lethe-events",
            Set("/spec/egress/0/ports", json!([{"protocol": "TCP", "port": 443}])),
            "no policy lets it out to the cluster's API",
        ),
        broken(
            "a namespace that enforces nothing",
            "Namespace/lethe",
            Set("/metadata/labels/pod-security.kubernetes.io~1enforce", json!("privileged")),
            "does not enforce restricted",
        ),
        broken(
            "a role too high",
            "Certificate/lethe-schedule-tls",
            Set("/spec/uris/0", json!("spiffe://lethe/admin/schedule")),
            "expected the role submitter",
        ),
        broken(
            "names that nobody believes",
            "Certificate/lethe-coordinator-tls",
            Set("/spec/dnsNames", json!(["*.lethe-coordinator"])),
            "nobody believes the wildcard",
        ),
        broken(
            "an etcd for everybody with a certificate",
            "Certificate/lethe-etcd-tls",
            Set("/spec/issuerRef/name", json!("lethe-authority")),
            "it would serve whoever has a certificate",
        ),
        broken(
            "an etcd that asks nobody",
            ETCD,
            Set("/spec/template/spec/containers/0/args/10", json!("--client-cert-auth=false")),
            "without --client-cert-auth it serves whoever comes",
        ),
        broken(
            "members that ask nobody",
            ETCD,
            Set("/spec/template/spec/containers/0/args/14", json!("--peer-client-cert-auth=false")),
            "without --peer-client-cert-auth it serves whoever comes",
        ),
        broken(
            "a member of another name",
            "Certificate/lethe-etcd-tls",
            Set("/spec/dnsNames", json!(["localhost"])),
            "does not cover lethe-etcd-0.lethe-etcd",
        ),
        broken(
            "a store in the clear",
            "ConfigMap/lethe-settings",
            Set("/data/store", json!("etcd://lethe-etcd-0.lethe-etcd:2379/lethe")),
            "speaks in the clear to an etcd",
        ),
        broken(
            "a certificate for another host",
            "Certificate/lethe-coordinator-tls",
            Set("/spec/dnsNames", json!(["lethe.example"])),
            "does not cover lethe-coordinator-0.lethe-coordinator.lethe.svc",
        ),
    ]
}

fn network() -> Vec<Broken> {
    vec![
        broken("doors that stand open", "NetworkPolicy/lethe-deny-all", Drop, "no policy denies everything"),
        broken("workers shut in", "NetworkPolicy/lethe-worker", Remove("/spec/egress"), "no policy lets it out"),
        broken("a store out of reach", "NetworkPolicy/lethe-etcd", Remove("/spec/ingress"), "no policy lets it in"),
        broken("nobody knows a name", "NetworkPolicy/lethe-names", Drop, "no policy lets it ask for names"),
        broken(
            "a cache of names that is shut off",
            "NetworkPolicy/lethe-names",
            Set("/spec/egress/0/to/1/ipBlock/cidr", json!("169.254.20.0/32")),
            "no policy lets it ask for names",
        ),
        broken(
            "names by one protocol alone",
            "NetworkPolicy/lethe-names",
            Set("/spec/egress/0/ports/1/port", json!(853)),
            "no policy lets it ask for names",
        ),
        broken(
            "figures of etcd that nobody may fetch",
            "NetworkPolicy/lethe-metrics",
            Set("/spec/podSelector/matchExpressions/0/values", json!(["coordinator", "worker"])),
            "StatefulSet/lethe-etcd: no policy lets a Prometheus in",
        ),
        broken(
            "a door for the whole world",
            "NetworkPolicy/lethe-coordinator",
            Remove("/spec/ingress/0/from"),
            "for every peer or every port",
        ),
        broken(
            "our labels on others' pods",
            "NetworkPolicy/lethe-names",
            Set(
                "/spec/egress/0/to/0/podSelector/matchLabels",
                json!({"k8s-app": "kube-dns", "app.kubernetes.io/instance": "lethe"}),
            ),
            "pods of another namespace are asked for our label",
        ),
        broken(
            "ranks that meet on loopback",
            WORKER,
            Set("/spec/template/spec/containers/0/env/1/valueFrom/fieldRef/fieldPath", json!("status.hostIP")),
            "ranks of a gang would meet on loopback",
        ),
        broken(
            "a coordinator too many",
            "ConfigMap/lethe-settings",
            Set("/data/coordinators", json!("https://lethe-coordinator-3.lethe-coordinator.lethe.svc:7400")),
            "has no pod lethe-coordinator-3",
        ),
    ]
}
