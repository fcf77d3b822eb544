//! `s3trail audit`: from a file, and from a real S3 server that others wrote.
//!
//! The server is moto (`pip install 'moto[server]'`), once with signatures and permissions checked. Where `moto_server`
//! is not installed its tests say so and have nothing to do. moto knows no access points of another host, keeps no key
//! format of log objects, and cannot say whether a bucket is public: what it cannot answer must be reported and change
//! nothing else. No server here answers the lists of access points: what comes of them is tested by files only.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use s3trail::record::Field;
use serde_json::{Value, json};

use crate::common::{BUCKET, Spelled, root};
use crate::s3::{KeyFormat, S3Server};

/// The access key and secret that the servers of these tests know.
const KEYS: (&str, &str) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
const ACCOUNT: &str = "111122223333";

/// Says something past the test harness, which keeps what passing tests print to itself.
fn aloud(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A folder with a lake in it, and the program run there.
struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, args: &[&str]) -> Output {
        self.run_as(KEYS, args)
    }

    /// The same with other keys.
    fn run_as(&self, (id, secret): (&str, &str), args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_s3trail"))
            .args(args)
            .current_dir(self.dir.path())
            .env_remove("S3TRAIL_LAKE")
            .env("AWS_ACCESS_KEY_ID", id)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Standard output of a run that must succeed.
    #[track_caller]
    fn out(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {:?}: {err}", output.status.code());
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let out = self.out(args);
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {out}"))
    }

    /// The rows that answer `sql`.
    #[track_caller]
    fn rows(&self, sql: &str) -> Value {
        self.json(&["-q", "query", sql, "--lake", "lake", "--format", "json"])
    }

    /// Audits kept in the lake.
    #[track_caller]
    fn audits(&self) -> Value {
        self.rows("SELECT count(DISTINCT audit_id) AS n FROM bucket_config")[0]["n"].clone()
    }

    /// Takes in a configuration file.
    #[track_caller]
    fn audit_file(&self, configuration: &str) -> String {
        let file = self.write("config.json", configuration);
        self.out(&["-q", "audit", "--config-file", text(&file), "--lake", "lake"])
    }

    /// `detection | bucket | subject` of the findings that the audit takes part in, in order.
    #[track_caller]
    fn found(&self) -> Vec<String> {
        let found = self.json(&["-q", "detect", "--lake", "lake", "--tag", "audit", "--format", "json"]);
        assert_eq!(found["skipped"], serde_json::json!([]));
        let mut all: Vec<String> = found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| ["id", "bucket", "subject"].map(|name| f[name].as_str().unwrap()).join(" | "))
            .collect();
        all.sort();
        all
    }
}

fn sample(name: &str) -> PathBuf {
    root().join("sample_logs/detections").join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A configuration file from day `day` of a month, of an account that owns the buckets `own` and no others.
fn configuration(day: u32, account: &str, own: &[&str], mut members: Value) -> String {
    let listed: Vec<Value> = own.iter().map(|name| json!({ "Name": name })).collect();
    members["@audited-at"] = format!("2026-03-{day:02}T12:00:00Z").into();
    members["@account"] = json!({
        "get-caller-identity": { "Account": account, "Arn": format!("arn:aws:iam::{account}:user/auditor") },
        "list-buckets": { "Buckets": listed }
    });
    members.to_string()
}

fn refused() -> Value {
    json!({ "Error": { "Code": "AccessDenied" } })
}

#[test]
fn a_file_made_with_the_aws_cli_is_audited() {
    let desk = Desk::new();
    let file = sample("config-delivery-broken/fires.config.json");
    let out = desk.out(&["-q", "audit", "--config-file", text(&file), "--lake", "lake"]);
    assert!(out.contains("amzn-s3-demo-far/amzn-s3-demo-a/"), "{out}");
    assert!(out.contains("could not be read:"), "{out}");
    assert!(out.contains("head-bucket: 404: amzn-s3-demo-gone"), "{out}");
    assert!(
        desk.found()
            .contains(&"config-delivery-broken | amzn-s3-demo-d | delivery to amzn-s3-demo-shut".to_owned())
    );

    let json = desk.json(&["-q", "audit", "--config-file", text(&file), "--lake", "lake", "--json"]);
    assert_eq!((&json["source"], &json["is_complete"]), (&"111122223333".into(), &true.into()));
    assert_eq!(json["rows"].as_array().unwrap().len(), 15);
    let sql = "SELECT count(*) AS n, count(DISTINCT audit_id) AS audits FROM bucket_config";
    let counted = desk.json(&["-q", "query", sql, "--lake", "lake", "--format", "json"]);
    assert_eq!(counted, serde_json::json!([{ "n": 30, "audits": 2 }]), "both audits are kept");
}

#[test]
fn the_newest_audit_counts_and_the_older_ones_are_history() {
    let desk = Desk::new();
    let first = fs::read_to_string(sample("config-recursion-loop/fires.config.json")).unwrap();
    let first = desk.write("first.json", &first);
    let second = fs::read_to_string(sample("config-recursion-loop/quiet.config.json")).unwrap();
    let second = desk.write("second.json", &second.replace("2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z"));
    desk.out(&["-q", "audit", "--config-file", text(&first), "--lake", "lake"]);
    assert_eq!(desk.found().iter().filter(|line| line.starts_with("config-recursion-loop")).count(), 3);
    desk.out(&["-q", "audit", "--config-file", text(&second), "--lake", "lake"]);
    assert_eq!(desk.found(), [""; 0], "what the newest audit does not find is gone");
    // An older file that comes late changes nothing.
    desk.out(&["-q", "audit", "--config-file", text(&first), "--lake", "lake"]);
    assert_eq!(desk.found(), [""; 0]);
}

#[test]
fn mistakes_in_the_file_are_named() {
    let desk = Desk::new();
    let file = desk.write(
        "config.json",
        r#"{"@audited-at": "2026-03-01T12:00:00Z", "amzn-s3-demo-web": {"get-bucket-loging": {}}}"#,
    );
    let output = desk.run(&["audit", "--config-file", text(&file), "--lake", "lake"]);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{err}");
    for part in ["config.json", "amzn-s3-demo-web", "get-bucket-loging", "did you mean get-bucket-logging"] {
        assert!(err.contains(part), "{part} is not in {err}");
    }
    assert!(!desk.dir.path().join("lake").exists(), "no lake is made for a file that cannot be read");
    assert!(desk.out(&["audit", "--print-script"]).starts_with("#!/bin/sh\n"));
}

#[test]
fn a_file_that_tells_nothing_of_any_bucket_is_trouble() {
    let time = ("@audited-at", "2026-03-01T12:00:00Z");
    for members in [
        json!({ "@account": { "list-buckets": refused() } }),
        json!({}),
        json!({ "amzn-s3-demo-web": { "head-bucket": { "BucketRegion": "eu-west-1" }, "get-bucket-logging": refused() } }),
    ] {
        let desk = Desk::new();
        let mut file = members.clone();
        file[time.0] = time.1.into();
        let file = desk.write("config.json", &file.to_string());
        let output = desk.run(&["audit", "--config-file", text(&file), "--lake", "lake"]);
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{members}: {err}");
        assert!(err.contains("no configuration of any bucket could be read"), "{members}: {err}");
        assert!(!desk.dir.path().join("lake").exists(), "{members}");
    }
}

#[test]
fn a_list_that_failed_takes_no_access_points_away() {
    let desk = Desk::new();
    let point = json!({ "get-access-point": {
        "Name": "demo-ap", "Bucket": "amzn-s3-demo-web", "NetworkOrigin": "Internet",
        "AccessPointArn": "arn:aws:s3:us-east-1:111122223333:accesspoint/demo-ap"
    } });
    let mut day = 0;
    let mut left = |points: Value, lambda: Value| {
        day += 1;
        let members = json!({
            "amzn-s3-demo-web": {
                "head-bucket": { "BucketRegion": "us-east-1" }, "get-bucket-logging": {}, "access-points": points
            },
            "@regions": { "us-east-1": { "object-lambda-access-points": lambda } }
        });
        desk.audit_file(&configuration(day, ACCOUNT, &["amzn-s3-demo-web"], members));
        let sql = "SELECT name FROM bucket_configuration WHERE kind LIKE '%access_point' ORDER BY name";
        let rows = desk.rows(sql);
        let names = rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let (points, lambda) = (json!({ "demo-ap": point }), json!({ "demo-olap": {} }));
    assert_eq!(left(points, lambda), ["demo-ap", "demo-olap"]);
    assert_eq!(left(refused(), refused()), ["demo-ap", "demo-olap"], "nobody said that they are gone");
    assert_eq!(left(refused(), json!({})), ["demo-ap"]);
    assert_eq!(left(json!({}), json!({})), [""; 0]);
}

#[test]
fn what_an_account_says_of_its_own_bucket_counts_before_what_others_see() {
    let desk = Desk::new();
    let (logs, app) = ("amzn-s3-demo-logs", "amzn-s3-demo-app");
    let here = json!({ "BucketRegion": "us-east-1" });
    let own = json!({ logs: { "head-bucket": here, "get-bucket-logging": {}, "get-bucket-versioning": {} } });
    desk.audit_file(&configuration(1, ACCOUNT, &[logs], own));
    let logging = json!({ "LoggingEnabled": { "TargetBucket": logs, "TargetPrefix": "app/" } });
    let others = json!({
        app: { "head-bucket": here, "get-bucket-logging": logging },
        logs: { "head-bucket": here, "get-bucket-logging": refused(), "get-bucket-versioning": refused() }
    });
    desk.audit_file(&configuration(2, "444455556666", &[app], others));
    let sql = "SELECT account_id, versioning FROM bucket_configuration WHERE name = 'amzn-s3-demo-logs'";
    assert_eq!(desk.rows(sql), json!([{ "account_id": ACCOUNT, "versioning": "Off" }]));
    let broken = "config-delivery-broken | amzn-s3-demo-app | delivery to amzn-s3-demo-logs".to_owned();
    assert!(desk.found().contains(&broken), "the accounts differ");
    // When its owner has it no more, what others see is all there is.
    let rest = json!({ "amzn-s3-demo-web": { "get-bucket-logging": {} } });
    desk.audit_file(&configuration(3, ACCOUNT, &["amzn-s3-demo-web"], rest));
    assert_eq!(desk.rows(sql), json!([{ "account_id": null, "versioning": null }]));
}

#[test]
fn the_history_names_what_was_removed_and_who_changes_buckets() {
    let desk = Desk::new();
    let of = |policy: Value, retention: Value| {
        let lock =
            json!({ "ObjectLockConfiguration": { "ObjectLockEnabled": "Enabled", "Rule": retention } });
        json!({ BUCKET: { "get-bucket-policy": policy, "get-object-lock-configuration": lock } })
    };
    let days = |days: u32| json!({ "DefaultRetention": { "Mode": "GOVERNANCE", "Days": days } });
    let policy = json!({ "Policy": "{\"Statement\": []}" });
    desk.audit_file(&configuration(1, ACCOUNT, &[BUCKET], of(policy, days(30))));
    let none = json!({ "Error": { "Code": "NoSuchBucketPolicy" } });
    desk.audit_file(&configuration(3, ACCOUNT, &[BUCKET], of(none, days(7))));
    let call = |id: &str, operation: &str, key: &str, caller: &str| {
        let line = Spelled::new()
            .with(Field::Time, "[02/Mar/2026:10:00:00 +0000]")
            .with(Field::RequestId, id)
            .with(Field::Requester, format!("arn:aws:iam::{ACCOUNT}:user/{caller}"))
            .with(Field::Operation, operation)
            .with(Field::Key, key);
        String::from_utf8(line.line()).unwrap()
    };
    let tags = call("A000000000000001", "REST.PUT.OBJECT_TAGGING", "a.txt", "ana");
    let lines = [tags, call("A000000000000002", "REST.DELETE.BUCKETPOLICY", "-", "ben")];
    let logs = desk.write("2026-03-02-10-15-00-0123456789ABCDEF", &format!("{}\n", lines.join("\n")));
    desk.out(&["-q", "ingest", text(&logs), "--lake", "lake"]);
    let history = desk.json(&["-q", "query", "configuration-history", "--lake", "lake", "--format", "json"]);
    let changes: Vec<_> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|row| ["fact", "before", "after", "changed_by"].map(|name| row[name].as_str().unwrap()))
        .collect();
    let ben = "arn:aws:iam::111122223333:user/ben";
    assert!(changes.contains(&["policy", "17 characters", "none", ben]), "{changes:?}");
    assert!(changes.contains(&["default_retention_days", "30", "7", ben]), "{changes:?}");
}

/// `aws`, as far as the script asks it, for an account with two buckets, each in another Region.
const AWS: &str = r#"#!/bin/sh
refuse() { echo "An error occurred ($1) when calling the operation: no" >&2; exit 254; }
case "$*" in
    *get-caller-identity*--query*) echo 111122223333 ;;
    *get-caller-identity*) echo '{"Account": "111122223333", "Arn": "arn:aws:iam::111122223333:user/ana"}' ;;
    *list-buckets*--query*) printf 'amzn-s3-demo-a\tamzn-s3-demo-eu\n' ;;
    *list-buckets*) echo '{"Buckets": [{"Name": "amzn-s3-demo-a"}, {"Name": "amzn-s3-demo-eu"}]}' ;;
    *head-bucket*) refuse 403 ;;
    *get-bucket-location*demo-eu*--query*) echo EU ;;
    *get-bucket-location*--query*) echo None ;;
    *get-bucket-location*demo-eu*) echo '{"LocationConstraint": "EU"}' ;;
    *get-bucket-location*) echo '{"LocationConstraint": null}' ;;
    *list-access-points-for-object-lambda*eu-west-1*) echo demo-olap ;;
    *list-access-points-for-object-lambda*us-east-1*) refuse AccessDenied ;;
    *list-access-points\ *eu-west-1*) echo demo-ap ;;
    *list-access-points\ *us-east-1*) refuse SlowDown ;;
    *get-access-point-policy*) refuse NoSuchAccessPointPolicy ;;
    *get-access-point\ *eu-west-1*)
        echo '{"Name": "demo-ap", "Bucket": "amzn-s3-demo-eu", "NetworkOrigin": "Internet"}' ;;
    *get-access-point-configuration*eu-west-1*) echo '{"Configuration": {}}' ;;
    *get-bucket-policy\ *) refuse NoSuchBucketPolicy ;;
    *--bucket*) echo '{}' ;;
    *) refuse Unexpected ;;
esac
"#;

#[test]
fn the_script_lists_access_points_in_every_region_and_says_what_it_could_not() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    fs::create_dir(desk.dir.path().join("bin")).unwrap();
    let aws = desk.write("bin/aws", AWS);
    fs::set_permissions(&aws, fs::Permissions::from_mode(0o755)).unwrap();
    let script = desk.write("audit.sh", &desk.out(&["audit", "--print-script"]));
    let path = format!("{}:{}", text(aws.parent().unwrap()), std::env::var("PATH").unwrap());
    let written = Command::new("sh").arg(script).env("PATH", path).output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let out = desk.audit_file(std::str::from_utf8(&written.stdout).unwrap());
    for line in [
        "list-access-points: SlowDown: amzn-s3-demo-a",
        "list-access-points-for-object-lambda: AccessDenied: us-east-1",
    ] {
        assert!(out.contains(line), "{line} is not in {out}");
    }
    let sql = "SELECT kind, name, region FROM bucket_configuration WHERE kind LIKE '%point' ORDER BY name";
    let expected = json!([
        { "kind": "access_point", "name": "demo-ap", "region": "eu-west-1" },
        { "kind": "object_lambda_access_point", "name": "demo-olap", "region": "eu-west-1" }
    ]);
    assert_eq!(desk.rows(sql), expected);
    let sql = "SELECT name, access_points FROM bucket_configuration WHERE kind = 'bucket' ORDER BY name";
    let counted = json!([
        { "name": "amzn-s3-demo-a", "access_points": null }, { "name": "amzn-s3-demo-eu", "access_points": 1 }
    ]);
    assert_eq!(desk.rows(sql), counted);
}

#[test]
fn an_audit_that_is_refused_everything_leaves_the_one_before() {
    let server = S3Server::start();
    let bucket = "amzn-s3-demo-web";
    // In another Region, S3 tells where it is before it looks who asks.
    server.create_bucket_in(bucket, "eu-west-1");
    server.set_logging(bucket, bucket, "logs/", KeyFormat::Simple);
    let desk = Desk::new();
    let endpoint = server.endpoint();
    let ask = ["audit", bucket, "--endpoint-url", &endpoint, "--lake", "lake"];
    desk.out(&ask);
    let found = desk.found();
    assert!(found.iter().any(|line| line.starts_with("config-recursion-loop")), "{found:?}");
    for api in ["GetBucketLogging", "GetBucketPolicy", "GetBucketRequestPayment", "GetBucketVersioning"] {
        server.deny_action(bucket, api);
    }
    let output = desk.run(&ask);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{out}{err}");
    assert!(out.contains("eu-west-1") && out.contains("get-bucket-logging: AccessDenied"), "{out}");
    assert!(err.contains("no configuration of any bucket could be read"), "{err}");
    assert_eq!((desk.audits(), desk.found()), (json!(1), found));
}

/// The guard of `ingest` reads the same configuration.
#[test]
fn a_log_that_goes_nowhere_makes_no_loop_and_an_access_point_cannot_be_told() {
    let server = S3Server::start();
    let (logs, lake, alias) =
        ("amzn-s3-demo-logs", "amzn-s3-demo-lake", "demo-ap-hrzrlukc5m36ft7okagglf3-s3alias");
    for bucket in [logs, lake, alias] {
        server.create_bucket(bucket);
        server.put(
            bucket,
            "2026-03-01-10-15-00-0123456789ABCDEF",
            [Spelled::new().line(), vec![b'\n']].concat(),
        );
    }
    server.set_logging(lake, "amzn-s3-demo-deleted", "", KeyFormat::Simple);
    let desk = Desk::new();
    let endpoint = server.endpoint();
    let said = |source: &str| {
        let target = format!("s3://{lake}/lake");
        let source = format!("s3://{source}/");
        let args = ["ingest", &source, "--lake", &target, "--endpoint-url", &endpoint, "--path-style"];
        let output = desk.run(&args);
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{source}: {err}");
        err
    };
    assert!(!said(logs).contains("cannot tell"));
    let err = said(alias);
    assert!(err.contains(&format!("the bucket behind the access point {alias}")), "{err}");
}

#[test]
fn without_an_audit_nothing_is_found_and_nothing_fails() {
    let desk = Desk::new();
    let logs = sample("config-recursion-loop/fires.log");
    desk.out(&["-q", "ingest", text(&logs), "--lake", "lake"]);
    assert_eq!(desk.found(), [""; 0]);
    let out = desk.out(&["-q", "query", "bucket-posture", "--lake", "lake", "--format", "csv"]);
    assert_eq!(out.lines().count(), 1, "{out}");
}

#[cfg(feature = "s3")]
mod against_moto {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::process::Child;
    use std::time::{Duration, Instant};

    use aws_sdk_s3::Client;
    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
    use aws_sdk_s3::types::{
        BucketLifecycleConfiguration, BucketLocationConstraint, BucketLoggingStatus,
        CreateBucketConfiguration, ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter,
        LoggingEnabled, ServerSideEncryption, ServerSideEncryptionByDefault,
        ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
    };

    use super::*;

    /// A moto server of our own; gone with this.
    struct Moto {
        child: Child,
        url: String,
    }

    impl Moto {
        /// Starts it; `None`, said aloud, where it is not installed.
        fn start() -> Option<Moto> {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let started = Command::new("moto_server")
                .args(["-H", "127.0.0.1", "-p", &port.to_string()])
                // Check no signatures until we say so.
                .env("INITIAL_NO_AUTH_ACTION_COUNT", "1000000000")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            let Ok(child) = started else {
                aloud(
                    "audit against moto skipped: moto_server is not installed (pip install 'moto[server]')",
                );
                return None;
            };
            let mut moto = Moto { child, url: format!("http://127.0.0.1:{port}") };
            let begun = Instant::now();
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                if let Some(status) = moto.child.try_wait().unwrap() {
                    aloud(&format!("audit against moto skipped: moto_server ended with {status}"));
                    return None;
                }
                assert!(begun.elapsed() < Duration::from_secs(60), "moto_server does not answer");
                std::thread::sleep(Duration::from_millis(100));
            }
            Some(moto)
        }

        fn client(&self, region: &'static str) -> Client {
            let keys = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "test");
            let config = aws_sdk_s3::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::from_static(region))
                .credentials_provider(keys)
                .endpoint_url(&self.url)
                .force_path_style(true);
            Client::from_conf(config.build())
        }

        /// What is answered to a POST that must be understood.
        fn post(&self, path: &str, headers: &str, body: &str) -> String {
            let address = self.url.trim_start_matches("http://");
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n\r\n{body}",
                body.len()
            );
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{path} {body}: {answer}");
            answer
        }

        /// A call of IAM. The service is told by the scope of the signature, which nobody checks yet.
        fn iam(&self, action: &str, user: &str, more: &[(&str, &str)]) -> String {
            let mut body = url::form_urlencoded::Serializer::new(String::new());
            body.extend_pairs([("Version", "2010-05-08"), ("Action", action), ("UserName", user)]);
            body.extend_pairs(more);
            let headers = "Content-Type: application/x-www-form-urlencoded\r\nAuthorization: AWS4-HMAC-SHA256 \
                           Credential=AKIAIOSFODNN7EXAMPLE/20260301/us-east-1/iam/aws4_request, \
                           SignedHeaders=host, Signature=0";
            self.post("/", headers, &body.finish())
        }

        /// Makes a user that may do what `policy` says: its access key and secret.
        fn user(&self, name: &str, policy: Option<&Value>) -> (String, String) {
            self.iam("CreateUser", name, &[]);
            if let Some(policy) = policy {
                let document = policy.to_string();
                let more = [("PolicyName", "test"), ("PolicyDocument", document.as_str())];
                self.iam("PutUserPolicy", name, &more);
            }
            let made = self.iam("CreateAccessKey", name, &[]);
            let between = |tag: &str| {
                let (_, rest) = made.split_once(&format!("<{tag}>")).unwrap();
                rest.split('<').next().unwrap().to_owned()
            };
            (between("AccessKeyId"), between("SecretAccessKey"))
        }

        /// From now on signatures and permissions are checked.
        fn lock(&self) {
            self.post("/moto-api/reset-auth", "Content-Type: text/plain", "0");
        }
    }

    impl Drop for Moto {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    fn name(bucket: &str) -> String {
        format!("amzn-s3-demo-{bucket}")
    }

    /// A bucket that can take logs: log delivery may write for the account, and they expire.
    async fn make(s3: &Client, bucket: &str, location: Option<BucketLocationConstraint>) {
        let bucket = name(bucket);
        let place =
            location.map(|place| CreateBucketConfiguration::builder().location_constraint(place).build());
        s3.create_bucket().bucket(&bucket).set_create_bucket_configuration(place).send().await.unwrap();
        let policy = serde_json::json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": { "Service": "logging.s3.amazonaws.com" }, "Action": "s3:PutObject",
            "Resource": format!("arn:aws:s3:::{bucket}/*"),
            "Condition": { "StringEquals": { "aws:SourceAccount": "123456789012" } }
        }] });
        s3.put_bucket_policy().bucket(&bucket).policy(policy.to_string()).send().await.unwrap();
        let rule = LifecycleRule::builder()
            .id("expire")
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix("").build())
            .expiration(LifecycleExpiration::builder().days(90).build())
            .build()
            .unwrap();
        let rules = BucketLifecycleConfiguration::builder().rules(rule).build().unwrap();
        let call = s3.put_bucket_lifecycle_configuration().bucket(&bucket).lifecycle_configuration(rules);
        call.send().await.unwrap();
    }

    async fn log(s3: &Client, source: &str, target: &str) {
        let prefix = format!("{}/", name(source));
        let enabled =
            LoggingEnabled::builder().target_bucket(name(target)).target_prefix(prefix).build().unwrap();
        let status = BucketLoggingStatus::builder().logging_enabled(enabled).build();
        s3.put_bucket_logging().bucket(name(source)).bucket_logging_status(status).send().await.unwrap();
    }

    /// A self-loop, circles of two and of three, a chain, a target in another Region, and one with SSE-KMS.
    async fn set_up(moto: &Moto) {
        let (s3, eu) = (moto.client("us-east-1"), moto.client("eu-west-1"));
        let buckets = [
            "self", "east", "west", "one", "two", "three", "web", "logs", "audit", "data", "far", "app",
            "kms",
        ];
        for bucket in buckets {
            make(&s3, bucket, None).await;
        }
        let edges = [
            ("self", "self"),
            ("east", "west"),
            ("west", "east"),
            ("one", "two"),
            ("two", "three"),
            ("three", "one"),
            ("web", "logs"),
            ("logs", "audit"),
            ("data", "far"),
            ("app", "kms"),
        ];
        for (source, target) in edges {
            log(&s3, source, target).await;
        }
        let by = ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::AwsKms);
        let rule = ServerSideEncryptionRule::builder()
            .apply_server_side_encryption_by_default(by.build().unwrap())
            .build();
        let rules = ServerSideEncryptionConfiguration::builder().rules(rule).build().unwrap();
        let call = s3.put_bucket_encryption().bucket(name("kms"));
        call.server_side_encryption_configuration(rules).send().await.unwrap();
        // Neither AWS nor moto lets a log go to another Region; a target that is deleted and made anew can be in one.
        let left = s3.list_objects_v2().bucket(name("far")).send().await.unwrap();
        for object in left.contents() {
            s3.delete_object().bucket(name("far")).key(object.key().unwrap()).send().await.unwrap();
        }
        s3.delete_bucket().bucket(name("far")).send().await.unwrap();
        make(&eu, "far", Some(BucketLocationConstraint::EuWest1)).await;
    }

    #[test]
    fn loops_chains_and_broken_deliveries_are_found() {
        let Some(moto) = Moto::start() else { return };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(set_up(&moto));
        let desk = Desk::new();
        let ask = ["-q", "audit", "--endpoint-url", &moto.url, "--lake", "lake", "--json"];
        let audit = desk.json(&ask);
        assert_eq!((&audit["source"], &audit["is_complete"]), (&"123456789012".into(), &true.into()));
        let rows = audit["rows"].as_array().unwrap();
        let row = |bucket: &str| rows.iter().find(|row| row["name"] == name(bucket).as_str()).unwrap();
        assert_eq!(row("far")["region"], "eu-west-1");
        assert_eq!(
            (&row("kms")["encryption_algorithm"], &row("web")["encryption_algorithm"]),
            (&"aws:kms".into(), &"none".into())
        );
        assert_eq!(
            (&row("web")["logging_permitted"], &row("web")["logging_expires"]),
            (&true.into(), &true.into())
        );
        assert_eq!(row("audit")["logging_known"], true);
        assert_eq!(row("web")["policy_is_public"], Value::Null, "moto does not say");
        assert!(!audit["unanswered"].as_array().unwrap().is_empty());

        let expected = [
            "config-delivery-broken | amzn-s3-demo-app | delivery to amzn-s3-demo-kms",
            "config-delivery-broken | amzn-s3-demo-data | delivery to amzn-s3-demo-far",
            "config-recursion-chain | amzn-s3-demo-logs | amzn-s3-demo-logs -> amzn-s3-demo-audit",
            "config-recursion-loop | amzn-s3-demo-east | amzn-s3-demo-east -> amzn-s3-demo-west -> amzn-s3-demo-east",
            "config-recursion-loop | amzn-s3-demo-one | amzn-s3-demo-one -> amzn-s3-demo-two -> amzn-s3-demo-three -> amzn-s3-demo-one",
            "config-recursion-loop | amzn-s3-demo-self | amzn-s3-demo-self -> amzn-s3-demo-self",
        ];
        assert_eq!(desk.found(), expected);

        // With logs in which two of the loops show.
        let logs = sample("config-recursion-loop/fires.log");
        let run = ["-q", "run", text(&logs), "--lake", "lake", "--tag", "audit", "--format", "json"];
        let found = desk.json(&run);
        let kind = |subject: &str| {
            let findings = found["findings"].as_array().unwrap();
            let finding = findings.iter().find(|f| f["subject"] == subject).unwrap();
            (finding["details"]["evidence_kind"].clone(), finding["evidence"].as_array().unwrap().len())
        };
        let (observed, only) = ("configured and observed", "configured only");
        assert_eq!(kind("amzn-s3-demo-self -> amzn-s3-demo-self"), (observed.into(), 5));
        assert_eq!(kind("amzn-s3-demo-east -> amzn-s3-demo-west -> amzn-s3-demo-east"), (observed.into(), 5));
        let three = "amzn-s3-demo-one -> amzn-s3-demo-two -> amzn-s3-demo-three -> amzn-s3-demo-one";
        assert_eq!(kind(three).0, only);
    }

    #[test]
    fn a_server_that_checks_who_asks_is_believed() {
        let Some(moto) = Moto::start() else { return };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let s3 = moto.client("us-east-1");
            make(&s3, "web", None).await;
            make(&s3, "logs", None).await;
            log(&s3, "web", "logs").await;
        });
        let policy = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "s3:*", "Resource": "*" },
            { "Effect": "Deny", "Action": "s3:GetBucketPolicy", "Resource": "*" }
        ] });
        let (id, secret) = moto.user("auditor", Some(&policy));
        let (stranger, own) = moto.user("stranger", None);
        moto.lock();

        let desk = Desk::new();
        let ask =
            ["-q", "audit", "amzn-s3-demo-web", "--endpoint-url", &moto.url, "--lake", "lake", "--json"];
        let output = desk.run_as((id.as_str(), secret.as_str()), &ask);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{err}");
        let audit: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(audit["source"], "123456789012");
        let rows = audit["rows"].as_array().unwrap();
        let web = rows.iter().find(|row| row["name"] == "amzn-s3-demo-web").unwrap();
        assert_eq!(web["logging_target_bucket"], "amzn-s3-demo-logs");
        assert_eq!((&web["policy_known"], &web["denied"]), (&false.into(), &"get-bucket-policy".into()));
        assert_eq!(web["logging_permitted"], Value::Null, "the target's policy is refused too");

        let refusals = [
            (stranger.as_str(), own.as_str(), "AccessDenied"),
            (id.as_str(), "wrong", "SignatureDoesNotMatch"),
        ];
        for (id, secret, code) in refusals {
            let output = desk.run_as((id, secret), &ask);
            let out = String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(2), "{code}: {out}");
            assert!(out.contains(code), "{code}: {out}");
        }
        assert_eq!(desk.audits(), 1, "what was refused everything is not kept");
    }

    #[test]
    fn a_named_bucket_brings_the_buckets_its_logs_lead_to() {
        let Some(moto) = Moto::start() else { return };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(set_up(&moto));
        let desk = Desk::new();
        let ask =
            ["-q", "audit", "amzn-s3-demo-one", "--endpoint-url", &moto.url, "--lake", "lake", "--json"];
        let audit = desk.json(&ask);
        assert_eq!(audit["is_complete"], false);
        let rows = audit["rows"].as_array().unwrap();
        let buckets =
            rows.iter().filter(|row| row["kind"] == "bucket").map(|row| row["name"].as_str().unwrap());
        assert_eq!(buckets.collect::<Vec<_>>(), ["one", "three", "two"].map(name));
        assert_eq!(desk.found().len(), 1);

        let missing =
            ["-q", "audit", "amzn-s3-demo-nowhere", "--endpoint-url", &moto.url, "--lake", "lake", "--json"];
        let audit = desk.json(&missing);
        let rows = audit["rows"].as_array().unwrap();
        assert_eq!(rows.iter().find(|row| row["kind"] == "bucket").unwrap()["bucket_exists"], false);
    }
}
