//! The files of `deploy/`: well-formed, and what they run is what the program understands.
//!
//! Every command line is given to the program twice: as it is written, with `--help` behind it, so that every option and
//! value is looked at; and with sample logs and a folder in place of buckets, to see it run.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::Deserialize;
use serde_json::Value;

use crate::common::root;
use crate::watch::{Running, end_of, wait_for};

const PROGRAM: &str = "/usr/local/bin/s3trail";
const STATE: &str = "/var/lib/s3trail";
const SOURCE: &str = "s3://amzn-s3-demo-logs/";
const LAKE: &str = "s3://amzn-s3-demo-lake/s3trail";

fn deploy() -> PathBuf {
    root().join("deploy")
}

fn read(path: &str) -> String {
    let path = deploy().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()))
}

/// Sections, keys and values of a systemd unit, in order.
fn unit(name: &str) -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut entries = Vec::new();
    for line in read(&format!("systemd/{name}")).lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            assert!(["Unit", "Service", "Timer", "Install"].contains(&title), "{name}: {line}");
            section = title.to_owned();
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{name}: {line}"));
        assert!(!section.is_empty() && !line.ends_with('\\'), "{name}: {line}");
        assert!(key.bytes().all(|b| b.is_ascii_alphanumeric()), "{name}: {line}");
        entries.push((section.clone(), key.to_owned(), value.to_owned()));
    }
    entries
}

fn value<'a>(unit: &'a [(String, String, String)], section: &str, key: &str) -> &'a str {
    let found: Vec<_> = unit.iter().filter(|(s, k, _)| s == section && k == key).collect();
    assert_eq!(found.len(), 1, "{key} in [{section}]");
    &found[0].2
}

/// The words of a command line in which nothing is quoted, expanded or escaped; without the program.
fn words(command: &str) -> Vec<String> {
    let odd = |c: char| "\"'\\$%*?;&<>()`".contains(c);
    assert!(!command.contains(odd), "more than plain words: {command}");
    let mut words = command.split(' ').map(str::to_owned);
    assert_eq!(words.next().as_deref(), Some(PROGRAM));
    words.collect()
}

fn services() -> [(&'static str, Vec<String>); 2] {
    ["s3trail.service", "s3trail-watch.service"].map(|name| {
        let unit = unit(name);
        (name, words(value(&unit, "Service", "ExecStart")))
    })
}

/// Times, user and words of each job of the cron file.
fn cron_jobs() -> Vec<(Vec<String>, String, Vec<String>)> {
    let text = read("cron/s3trail");
    assert!(text.ends_with('\n'), "cron ignores a last line that does not end");
    let is_job = |line: &&str| !line.is_empty() && !line.starts_with('#') && !line.starts_with("MAILTO=");
    let jobs = text.lines().filter(is_job).map(|line| {
        assert!(!line.contains('%'), "cron takes % for a newline: {line}");
        let mut rest = line;
        let mut field = || {
            let (field, after) = rest.split_once(' ').unwrap_or_else(|| panic!("cut short: {line}"));
            rest = after;
            field.to_owned()
        };
        let times = (0..5).map(|_| field()).collect();
        let user = field();
        let command = rest.split(" || ").next().unwrap_or_default();
        (times, user, words(command))
    });
    jobs.collect()
}

fn manifest() -> Manifest {
    serde_json::from_str(&read("kubernetes/cronjob.json")).unwrap_or_else(|e| panic!("cronjob.json: {e}"))
}

/// Every command line, with the file it is from.
fn command_lines() -> Vec<(&'static str, Vec<String>)> {
    let mut lines = Vec::from(services());
    lines.extend(cron_jobs().into_iter().map(|(_, _, words)| ("cron/s3trail", words)));
    lines.push(("cronjob.json", manifest().cron_job().container().args.clone()));
    lines
}

fn s3trail(words: &[String], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3trail"));
    command.args(words).current_dir(folder).stdin(Stdio::null());
    command.output().expect("the program starts")
}

#[test]
fn every_command_line_is_understood_as_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let lines = command_lines();
    assert!(lines.len() >= 4, "{lines:?}");
    for (file, mut words) in lines {
        words.push("--help".to_owned());
        let output = s3trail(&words, folder.path());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{file}: {words:?}: {said}");
        let typo = words.iter().map(|word| if word == "--lake" { "--lak".to_owned() } else { word.clone() });
        assert!(
            !s3trail(&typo.collect::<Vec<_>>(), folder.path()).status.success(),
            "{file}: nothing is checked"
        );
    }
}

/// The words with sample logs and `folder` in place of buckets and system folders, and one detection in place of all.
fn harmless(words: &[String], folder: &Path) -> Vec<String> {
    let samples = root().join("sample_logs/2026-03-01");
    let place = |path: &Path| path.to_str().expect("a path of the tests is text").to_owned();
    let mut harmless: Vec<String> = Vec::new();
    for word in words {
        harmless.push(match word.as_str() {
            SOURCE => place(&samples),
            LAKE => place(&folder.join("lake")),
            "127.0.0.1:9464" => "127.0.0.1:0".to_owned(),
            word => word.replace(STATE, &place(folder)),
        });
    }
    assert!(!harmless.iter().any(|word| word.contains("s3://") || word.contains("/var/")), "{harmless:?}");
    if words[0] == "run" {
        harmless.extend(["--only".to_owned(), "recursion-self".to_owned()]);
    }
    harmless
}

#[test]
fn every_command_line_runs() {
    for (file, words) in command_lines() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("metrics")).unwrap();
        let harmless = harmless(&words, folder.path());
        if words.iter().any(|word| word == "--watch") {
            let running = Running::start(&harmless, folder.path());
            let heartbeat = folder.path().join("heartbeat.json");
            wait_for("a round", || {
                let text = fs::read(&heartbeat).ok()?;
                let beat: Value = serde_json::from_slice(&text).ok()?;
                beat["last_success"].is_string().then_some(())
            });
            running.signal(libc::SIGTERM);
            assert_eq!(end_of(running).code(), Some(0), "{file}: {words:?}");
        } else {
            let output = s3trail(&harmless, folder.path());
            // 1 is for findings: it ran.
            let is_run = words[0] == "run" && output.status.code() == Some(1);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() || is_run, "{file}: {words:?}: {said}");
        }
        assert!(folder.path().join("lake/access_logs/_delta_log").is_dir(), "{file}: {words:?}");
        for (option, value) in harmless.iter().zip(harmless.iter().skip(1)) {
            let is_file =
                matches!(option.as_str(), "-o" | "--metrics" | "--heartbeat") && value.contains('/');
            assert!(!is_file || Path::new(value).is_file(), "{file}: no {value}");
        }
    }
}

#[test]
fn units_stop_well_and_have_little_power() {
    for (name, _) in services() {
        let unit = unit(name);
        for (key, expected) in [
            ("KillSignal", "SIGTERM"),
            ("TimeoutStopSec", "20"),
            ("DynamicUser", "yes"),
            // Otherwise the two units would take the folder from each other.
            ("User", "s3trail"),
            ("StateDirectory", "s3trail"),
            ("ProtectSystem", "strict"),
            ("ProtectHome", "yes"),
            ("PrivateTmp", "yes"),
            ("NoNewPrivileges", "yes"),
            ("CapabilityBoundingSet", ""),
        ] {
            assert_eq!(value(&unit, "Service", key), expected, "{name}: {key}");
        }
    }
    assert_eq!(value(&unit("s3trail.service"), "Service", "Type"), "oneshot");
    let watch = unit("s3trail-watch.service");
    assert_eq!(value(&watch, "Service", "Restart"), "on-failure");
    assert_eq!(value(&watch, "Install", "WantedBy"), "multi-user.target");
    let timer = unit("s3trail.timer");
    assert_eq!(value(&timer, "Install", "WantedBy"), "timers.target");
    assert_eq!(value(&timer, "Timer", "Persistent"), "true");
}

#[test]
fn systemd_has_nothing_to_say() {
    let has_systemd =
        Command::new("systemd-analyze").arg("--version").output().is_ok_and(|o| o.status.success());
    if !has_systemd {
        // Past the test harness, which keeps what passing tests print to itself.
        let _ =
            writeln!(std::io::stderr(), "systemd_has_nothing_to_say skipped: there is no systemd-analyze");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let names = ["s3trail.service", "s3trail-watch.service", "s3trail.timer"];
    for name in names {
        // systemd looks whether the program is there.
        let text = read(&format!("systemd/{name}")).replace(PROGRAM, env!("CARGO_BIN_EXE_s3trail"));
        fs::write(folder.path().join(name), text).unwrap();
    }
    for name in names {
        let checked = Command::new("systemd-analyze")
            .args(["verify", &format!("./{name}")])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = [checked.stdout, checked.stderr].concat();
        // Whatever else is installed on this machine is not ours.
        let about_ours = String::from_utf8_lossy(&said).lines().filter(|line| line.contains(name)).count();
        let said = String::from_utf8_lossy(&said);
        assert!(checked.status.success() && about_ours == 0, "{name}: {said}");
    }
}

#[test]
fn cron_knows_when_and_as_whom() {
    let jobs = cron_jobs();
    assert_eq!(jobs.len(), 1);
    for (times, user, words) in &jobs {
        let limits = [59, 23, 31, 12, 7];
        for (time, limit) in times.iter().zip(limits) {
            let number = time.strip_prefix("*/").unwrap_or(time);
            let in_range = number.parse::<u32>().is_ok_and(|number| number <= limit);
            assert!(time == "*" || in_range, "{times:?}");
        }
        assert_eq!(user, "s3trail");
        assert!(words.iter().any(|word| word == "--quiet"), "cron mails whatever is said: {words:?}");
    }
}

/// The fields of the Kubernetes API that the manifest uses: one that is spelled otherwise is refused.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Manifest {
    api_version: String,
    kind: String,
    items: (ServiceAccount, CronJob),
}

impl Manifest {
    fn cron_job(&self) -> &CronJob {
        &self.items.1
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ServiceAccount {
    api_version: String,
    kind: String,
    metadata: Metadata,
    automount_service_account_token: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CronJob {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: CronJobSpec,
}

impl CronJob {
    fn pod(&self) -> &PodSpec {
        &self.spec.job_template.spec.template.spec
    }

    fn container(&self) -> &Container {
        let [container] = &self.pod().containers[..] else { panic!("one container") };
        container
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CronJobSpec {
    schedule: String,
    time_zone: String,
    concurrency_policy: String,
    starting_deadline_seconds: u32,
    successful_jobs_history_limit: u32,
    failed_jobs_history_limit: u32,
    job_template: JobTemplate,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JobTemplate {
    spec: JobSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JobSpec {
    backoff_limit: u32,
    template: PodTemplate,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PodTemplate {
    metadata: Metadata,
    spec: PodSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PodSpec {
    service_account_name: String,
    automount_service_account_token: bool,
    restart_policy: String,
    termination_grace_period_seconds: u32,
    security_context: PodSecurity,
    containers: Vec<Container>,
    volumes: Vec<Volume>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PodSecurity {
    run_as_non_root: bool,
    run_as_user: u32,
    run_as_group: u32,
    fs_group: u32,
    seccomp_profile: Seccomp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Seccomp {
    r#type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Container {
    name: String,
    image: String,
    args: Vec<String>,
    env: Vec<EnvVar>,
    resources: Resources,
    security_context: ContainerSecurity,
    volume_mounts: Vec<VolumeMount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EnvVar {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Resources {
    requests: Amounts,
    limits: Amounts,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Amounts {
    cpu: Option<String>,
    memory: String,
    ephemeral_storage: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ContainerSecurity {
    allow_privilege_escalation: bool,
    read_only_root_filesystem: bool,
    capabilities: Capabilities,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Capabilities {
    drop: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VolumeMount {
    name: String,
    mount_path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Volume {
    name: String,
    empty_dir: EmptyDir,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EmptyDir {
    size_limit: String,
}

#[test]
fn the_manifest_is_one_kubernetes_could_take() {
    let manifest = manifest();
    assert_eq!((&*manifest.api_version, &*manifest.kind), ("v1", "List"));
    let (account, job) = &manifest.items;
    assert_eq!((&*account.api_version, &*account.kind), ("v1", "ServiceAccount"));
    assert!(account.metadata.annotations["eks.amazonaws.com/role-arn"].starts_with("arn:aws:iam::"));
    // The token for AWS is another one, and mounted for itself.
    assert!(!account.automount_service_account_token && !job.pod().automount_service_account_token);

    assert_eq!((&*job.api_version, &*job.kind), ("batch/v1", "CronJob"));
    assert_eq!(job.metadata.namespace, account.metadata.namespace);
    assert!(job.metadata.name.is_some() && !job.metadata.labels.is_empty());
    let spec = &job.spec;
    assert_eq!((spec.schedule.split(' ').count(), &*spec.time_zone), (5, "Etc/UTC"));
    assert_eq!(spec.concurrency_policy, "Forbid");
    assert!(spec.starting_deadline_seconds >= 10);
    assert!(spec.failed_jobs_history_limit >= spec.successful_jobs_history_limit);
    assert_eq!(spec.job_template.spec.backoff_limit, 0);
    assert!(!spec.job_template.spec.template.metadata.labels.is_empty());

    let pod = job.pod();
    assert_eq!(Some(&pod.service_account_name), account.metadata.name.as_ref());
    assert_eq!(pod.restart_policy, "Never");
    assert!(pod.termination_grace_period_seconds > 10);
    let security = &pod.security_context;
    assert!(
        security.run_as_non_root
            && [security.run_as_user, security.run_as_group, security.fs_group] == [65532; 3]
    );
    assert_eq!(security.seccomp_profile.r#type, "RuntimeDefault");

    let container = job.container();
    assert!(!container.name.is_empty() && container.image.contains(':'));
    let security = &container.security_context;
    assert!(security.read_only_root_filesystem && !security.allow_privilege_escalation);
    assert_eq!(security.capabilities.drop, ["ALL"]);
    let amount =
        |text: &str| text.strip_suffix("Gi").and_then(|n| n.parse::<u32>().ok()).expect("so many Gi");
    let Resources { requests, limits } = &container.resources;
    assert!(requests.cpu.is_some() && limits.cpu.is_none(), "a limit of CPU only slows down");
    assert!(amount(&requests.memory) <= amount(&limits.memory));
    assert!(amount(&requests.ephemeral_storage) <= amount(&limits.ephemeral_storage));
    // The root is read-only: temporary files need the volume.
    let ([volume], [mount], [variable]) =
        (&pod.volumes[..], &container.volume_mounts[..], &container.env[..])
    else {
        panic!("one volume, one mount, one variable")
    };
    assert_eq!((&volume.name, &*variable.name, &variable.value), (&mount.name, "TMPDIR", &mount.mount_path));
    assert!(amount(&volume.empty_dir.size_limit) <= amount(&limits.ephemeral_storage));
}

/// What the calls of the SDKs need: method of the client, actions of IAM. From AWS's "Required permissions for Amazon S3
/// API operations" and its Service Authorization Reference. Calls that need no permission have no actions.
const CALLS: [(&str, &[&str]); 40] = [
    ("list_objects_v2", &["s3:ListBucket"]),
    // It is asked for the Region only, which a refusal tells too.
    ("head_bucket", &[]),
    ("list_buckets", &["s3:ListAllMyBuckets"]),
    ("get_object", &["s3:GetObject"]),
    ("head_object", &["s3:GetObject"]),
    ("put_object", &["s3:PutObject"]),
    ("copy_object", &["s3:GetObject", "s3:PutObject"]),
    ("delete_object", &["s3:DeleteObject"]),
    ("delete_objects", &["s3:DeleteObject"]),
    ("create_multipart_upload", &["s3:PutObject"]),
    ("upload_part", &["s3:PutObject"]),
    ("complete_multipart_upload", &["s3:PutObject"]),
    ("abort_multipart_upload", &["s3:AbortMultipartUpload"]),
    ("get_bucket_location", &["s3:GetBucketLocation"]),
    ("get_bucket_logging", &["s3:GetBucketLogging"]),
    ("get_bucket_versioning", &["s3:GetBucketVersioning"]),
    ("get_bucket_encryption", &["s3:GetEncryptionConfiguration"]),
    // Of a bucket and, in the other SDK, of the account.
    ("get_public_access_block", &["s3:GetBucketPublicAccessBlock", "s3:GetAccountPublicAccessBlock"]),
    ("get_bucket_policy", &["s3:GetBucketPolicy"]),
    ("get_bucket_policy_status", &["s3:GetBucketPolicyStatus"]),
    ("get_bucket_acl", &["s3:GetBucketAcl"]),
    ("get_bucket_ownership_controls", &["s3:GetBucketOwnershipControls"]),
    ("get_bucket_cors", &["s3:GetBucketCORS"]),
    ("get_object_lock_configuration", &["s3:GetBucketObjectLockConfiguration"]),
    ("get_bucket_request_payment", &["s3:GetBucketRequestPayment"]),
    ("get_bucket_lifecycle_configuration", &["s3:GetLifecycleConfiguration"]),
    ("get_bucket_replication", &["s3:GetReplicationConfiguration"]),
    ("get_bucket_notification_configuration", &["s3:GetBucketNotification"]),
    ("get_bucket_tagging", &["s3:GetBucketTagging"]),
    ("get_bucket_website", &["s3:GetBucketWebsite"]),
    ("list_access_points", &["s3:ListAccessPoints"]),
    ("get_access_point", &["s3:GetAccessPoint"]),
    ("get_access_point_policy", &["s3:GetAccessPointPolicy"]),
    ("get_access_point_policy_status", &["s3:GetAccessPointPolicyStatus"]),
    ("list_access_points_for_object_lambda", &["s3:ListAccessPointsForObjectLambda"]),
    ("get_access_point_for_object_lambda", &["s3:GetAccessPointForObjectLambda"]),
    ("get_access_point_configuration_for_object_lambda", &["s3:GetAccessPointConfigurationForObjectLambda"]),
    ("get_access_point_policy_for_object_lambda", &["s3:GetAccessPointPolicyForObjectLambda"]),
    ("list_multi_region_access_points", &["s3:ListMultiRegionAccessPoints"]),
    ("get_caller_identity", &[]),
];

/// What the S3 store of `object_store` asks for; it is not seen as calls in our source.
const STORE_CALLS: [&str; 8] = [
    "list_objects_v2",
    "get_object",
    "put_object",
    "delete_objects",
    "create_multipart_upload",
    "upload_part",
    "complete_multipart_upload",
    "abort_multipart_upload",
];

fn actions_of(call: &str) -> &'static [&'static str] {
    CALLS.iter().find(|(name, _)| *name == call).unwrap_or_else(|| panic!("{call} is not in CALLS")).1
}

/// The calls in the sources below `src` whose path `is_wanted`: `.name()` of a request that is built and then sent.
fn calls(is_wanted: impl Fn(&Path) -> bool) -> BTreeSet<&'static str> {
    let src = root().join("src");
    let mut calls = BTreeSet::new();
    for entry in walkdir::WalkDir::new(&src) {
        let path = entry.unwrap().into_path();
        let below = path.strip_prefix(&src).unwrap();
        if path.extension().is_none_or(|ending| ending != "rs") || !is_wanted(below) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let found = CALLS.iter().map(|(name, _)| *name).filter(|name| text.contains(&format!(".{name}()")));
        calls.extend(found);
        if text.contains("AmazonS3Builder") {
            calls.extend(STORE_CALLS);
        }
    }
    calls
}

/// The actions that the policies allow; each policy is checked for its form.
fn allowed(policies: &[&str]) -> BTreeSet<String> {
    let mut actions = BTreeSet::new();
    for name in policies {
        let policy: Value = serde_json::from_str(&read(&format!("iam/{name}.json"))).unwrap();
        let keys: BTreeSet<&str> = policy.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, BTreeSet::from(["Statement", "Version"]), "{name}");
        assert_eq!(policy["Version"], "2012-10-17");
        let texts = |value: &Value| match value {
            Value::String(text) => vec![text.clone()],
            Value::Array(texts) => texts.iter().map(|text| text.as_str().unwrap().to_owned()).collect(),
            other => panic!("{name}: {other}"),
        };
        for statement in policy["Statement"].as_array().unwrap() {
            assert_eq!(statement["Effect"], "Allow", "{name}");
            assert!(statement["Sid"].as_str().unwrap().bytes().all(|b| b.is_ascii_alphanumeric()), "{name}");
            let resources = texts(&statement["Resource"]);
            for resource in &resources {
                assert!(
                    resource == "*" || resource.starts_with("arn:aws:s3:::amzn-s3-demo-"),
                    "{name}: {resource}"
                );
                assert!(*name == "audit" || resource != "*", "{name} is for one bucket");
            }
            for action in texts(&statement["Action"]) {
                assert!(!action.contains('*'), "{name}: {action}");
                let is_of_objects = action.contains("Object") && !action.contains("ObjectL");
                let is_on_objects = resources.iter().all(|resource| resource.ends_with("/*"));
                assert!(
                    *name == "audit" || is_of_objects == is_on_objects || action.contains("Multipart"),
                    "{name}: {action}"
                );
                actions.insert(action);
            }
        }
    }
    actions
}

#[test]
fn policies_allow_what_the_program_asks_for_and_nothing_else() {
    let needed = |calls: &BTreeSet<&'static str>| -> BTreeSet<String> {
        calls.iter().flat_map(|call| actions_of(call)).map(|action| (*action).to_owned()).collect()
    };
    let for_audit = calls(|path| path.starts_with("audit"));
    let for_lakes = calls(|path| !path.starts_with("audit"));
    assert!(for_audit.contains("get_bucket_logging") && for_lakes.contains("list_objects_v2"));
    assert_eq!(allowed(&["audit"]), needed(&for_audit), "iam/audit.json and the calls in src/audit");
    let policies = ["source-read", "source-delete", "lake-writer"];
    assert_eq!(allowed(&policies), needed(&for_lakes), "iam/*.json and the calls outside of src/audit");
    assert!(
        !allowed(&["source-read"]).iter().any(|action| !action.contains(":Get") && !action.contains(":List"))
    );
}

#[test]
fn every_file_is_told_of() {
    let readme = read("README.md");
    for entry in walkdir::WalkDir::new(deploy()) {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().is_file() && name != "README.md" {
            let folder = entry.path().parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
            let is_told =
                readme.contains(&format!("{folder}/{name}")) || folder == "iam" && readme.contains(&name);
            assert!(is_told, "deploy/README.md does not name {folder}/{name}");
        }
    }
}
