//! Detections against their sample logs: raw lines through the whole pipeline, findings out.
//!
//! `sample_logs/detections/<id>` holds `fires` and `quiet`: a file `.log` of lines, or a folder that mirrors a log
//! bucket; and, for detections that join the configuration, `fires.config.json` and `quiet.config.json`, files as
//! `s3trail audit --config-file` reads them. `expected.toml` says what `fires` gives, by bucket, subject and count, and
//! which other detections `quiet` may give.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use s3trail::audit::{self, Snapshot};
use s3trail::detect::{Job, Selection, Suppressions, detect};
use s3trail::finding::{Finding, Findings};
use s3trail::ingest::{IngestOptions, Silent, ingest};
use s3trail::lake::{Lake, Table};
use s3trail::query::{Catalog, Engine, EngineOptions, Kind, Params, SavedQuery, params::value_text, views};
use s3trail::source::{SourceOptions, Sources};
use s3trail::stop::Stop;
use serde::Deserialize;

use crate::common::{self, Spelled};

/// What `expected.toml` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// The bucket that the log objects are said to come from.
    log_bucket: Option<String>,
    /// Values of the detection's parameters.
    #[serde(default)]
    params: BTreeMap<String, toml::Value>,
    findings: Vec<ExpectedFinding>,
    #[serde(default)]
    quiet: Quiet,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedFinding {
    bucket: String,
    subject: String,
    count: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Quiet {
    /// Other detections that the lines rightly set off.
    #[serde(default)]
    also: BTreeSet<String>,
}

fn folder() -> PathBuf {
    common::root().join("sample_logs/detections")
}

/// The ids that have sample logs.
fn samples() -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder()).expect("there are sample logs");
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn expected(id: &str) -> Expected {
    let path = folder().join(id).join("expected.toml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// `fires` or `quiet` of a detection: a file or a folder.
fn logs(id: &str, name: &str) -> PathBuf {
    let file = folder().join(id).join(format!("{name}.log"));
    if file.exists() { file } else { folder().join(id).join(name) }
}

/// The configuration that goes with `fires` or `quiet`, where there is one.
fn configuration(id: &str, name: &str) -> Option<PathBuf> {
    let file = folder().join(id).join(format!("{name}.config.json"));
    file.exists().then_some(file)
}

/// An engine over a lake made of log objects and of the configuration, if there is one, and the lake's folder.
async fn engine(
    logs: &Path,
    log_bucket: Option<&str>,
    configuration: Option<&Path>,
    catalog: &Catalog,
) -> (Arc<Engine>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let location = dir.path().join("lake");
    let mut lake = Lake::open_or_create(location.to_str().unwrap()).await.map_err(|e| e.report()).unwrap();
    let sources = Sources::files(&[logs.to_str().unwrap().to_owned()], &SourceOptions::default())
        .map_err(|e| e.report())
        .unwrap();
    let options = IngestOptions {
        log_bucket: log_bucket.map(str::to_owned),
        durable: false,
        ..IngestOptions::default()
    };
    let summary = ingest(Some(&mut lake), sources, &options, &Silent, &Stop::new())
        .await
        .map_err(|e| e.report())
        .unwrap();
    assert_eq!(summary.rejects, 0, "{}", logs.display());
    if let Some(path) = configuration {
        let (answers, audited_at) = audit::file::read(path).map_err(|e| e.report()).unwrap();
        let rows = Snapshot::of(&answers, audited_at).batch().map_err(|e| e.report()).unwrap();
        lake.append(&audit::side_table(), rows).await.map_err(|e| e.report()).unwrap();
    }
    let options = EngineOptions { threads: Some(1), ..EngineOptions::default() };
    let engine = Engine::new(&options).unwrap();
    for table in Table::ALL {
        let provider = lake.provider(table).await.map_err(|e| e.report()).unwrap();
        engine.register_table(table.name(), provider).await.unwrap();
    }
    let provider = lake.side_provider(&audit::side_table()).await.map_err(|e| e.report()).unwrap();
    engine.register_table(audit::TABLE, provider).await.unwrap();
    s3trail::query::reference::register(&engine, &Default::default()).await.unwrap();
    views::register(&engine, catalog).await.map_err(|e| e.report()).unwrap();
    (Arc::new(engine), dir)
}

/// Puts the rows of tables and views in their place, in memory: planning them once and not for every detection is what
/// makes it possible to run all detections on all quiet logs.
async fn materialise(engine: &Engine, catalog: &Catalog) {
    let tables = Table::ALL.into_iter().map(|table| table.name().to_owned());
    let views = catalog.of_kind(Kind::View).map(|view| view.id.clone());
    for name in tables.chain([audit::TABLE.to_owned()]).chain(views) {
        let sql = format!("SELECT * FROM {name}");
        let frame =
            engine.plan(&sql, &Params::none()).await.unwrap_or_else(|e| panic!("{name}: {}", e.report()));
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let rows = engine.collect(frame).await.unwrap_or_else(|e| panic!("{name}: {}", e.report()));
        let table = datafusion::datasource::MemTable::try_new(schema, vec![rows]).unwrap();
        engine.register_table(&name, Arc::new(table)).await.unwrap();
    }
}

/// A detection as its sample logs want it run: their parameters for itself, the defaults for others.
fn job(query: &SavedQuery, id: &str, expected: &Expected) -> Job {
    let own = if query.id == id { Some(&expected.params) } else { None };
    let given: Vec<(String, String)> =
        own.into_iter().flatten().map(|(name, value)| (name.clone(), value_text(value))).collect();
    let params = Params::bind(query, &given).unwrap_or_else(|e| panic!("{id}: {}", e.report()));
    Job { query: query.clone(), params }
}

async fn run(engine: &Arc<Engine>, jobs: &[Job]) -> Findings {
    let found = detect(engine, jobs, &Suppressions::default(), 1, &|_, _, _| {}).await;
    assert_eq!(found.skipped, [], "every detection runs");
    found
}

/// `bucket subject count` of findings.
fn summary<'f>(findings: impl Iterator<Item = &'f Finding>) -> Vec<ExpectedFinding> {
    let mut all: Vec<ExpectedFinding> = findings
        .map(|f| ExpectedFinding { bucket: f.bucket.clone(), subject: f.subject.clone(), count: f.count })
        .collect();
    all.sort();
    all
}

/// Evidence names lines that are there. What is found in the configuration alone has none.
fn check_evidence(id: &str, finding: &Finding, logs: &Path) {
    let needs_evidence = !finding.tags.iter().any(|tag| tag == "audit");
    assert!(!needs_evidence || !finding.evidence.is_empty(), "{id}: {} has no evidence", finding.subject);
    for evidence in &finding.evidence {
        let key = evidence.log_key.as_deref().unwrap_or_else(|| panic!("{id}: evidence without log key"));
        let path = if logs.is_dir() { logs.join(key) } else { logs.to_owned() };
        let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{id}: {}: {e}", path.display()));
        let Some(offset) = evidence.log_offset else { continue };
        let offset = usize::try_from(offset).unwrap();
        assert!(offset == 0 || text[offset - 1] == b'\n', "{id}: no line begins at {offset} of {key}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_stack_size(16 << 20)
        .enable_all()
        .build()
        .unwrap()
}

/// Runs `check` for every detection that has sample logs, two at a time, and reports all that is wrong.
/// `S3TRAIL_DETECTION` names the only one to check.
fn for_each(check: impl AsyncFn(&Catalog, &str) -> Vec<String> + Sync) {
    let catalog = Catalog::load(None).map_err(|e| e.report()).unwrap();
    let only = std::env::var("S3TRAIL_DETECTION").ok();
    let ids: Vec<String> = samples().into_iter().filter(|id| only.as_ref().is_none_or(|o| o == id)).collect();
    let next = std::sync::Mutex::new(ids.into_iter());
    let work = || {
        let mut wrong = Vec::new();
        let runtime = runtime();
        loop {
            let id = next.lock().unwrap().next();
            let Some(id) = id else { return wrong };
            wrong.extend(runtime.block_on(check(&catalog, &id)));
        }
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_detection_has_sample_logs() {
    let catalog = Catalog::load(None).map_err(|e| e.report()).unwrap();
    let detections: BTreeSet<String> =
        catalog.of_kind(Kind::Detection).map(|query| query.id.clone()).collect();
    assert_eq!(samples(), detections);
    assert!(detections.len() > 50, "{}", detections.len());
    for query in catalog.of_kind(Kind::Detection) {
        let file = Path::new(&query.origin);
        assert_eq!(file.parent().unwrap(), Path::new("queries/detections"), "{}", query.id);
        for name in ["since", "until"] {
            assert!(query.params.contains_key(name), "{} has no parameter {name}", query.id);
        }
        assert!(!query.runbook.is_empty(), "{} has no runbook", query.id);
        assert!(!query.falsepositives.is_empty(), "{} has no false positives", query.id);
    }
}

#[test]
fn what_should_fire_fires() {
    for_each(async |catalog, id| {
        let expected = expected(id);
        let logs = logs(id, "fires");
        let configuration = configuration(id, "fires");
        let log_bucket = expected.log_bucket.as_deref();
        let (engine, _dir) = engine(&logs, log_bucket, configuration.as_deref(), catalog).await;
        let query = catalog.get(id).map_err(|e| e.report()).unwrap();
        let found = run(&engine, &[job(query, id, &expected)]).await;
        let mut wrong = Vec::new();
        let got = summary(found.findings.iter());
        let mut wanted = expected.findings;
        wanted.sort();
        assert!(!wanted.is_empty(), "{id}: nothing is expected");
        if got != wanted {
            wrong.push(format!("{id}: got {got:#?}, wanted {wanted:#?}"));
        }
        let fingerprints: BTreeSet<&str> = found.findings.iter().map(|f| f.fingerprint.as_str()).collect();
        if fingerprints.len() != found.findings.len() {
            wrong.push(format!("{id}: two findings have the same bucket and subject"));
        }
        for finding in &found.findings {
            check_evidence(id, finding, &logs);
        }
        // What the configuration says is found whenever it was read.
        for (name, bound) in [("since", "2090-01-01"), ("until", "1990-01-01")] {
            if id.starts_with("config-") {
                break;
            }
            let mut params = expected.params.clone();
            params.insert(name.to_owned(), bound.into());
            let bounded =
                Expected { log_bucket: None, params, findings: Vec::new(), quiet: Quiet::default() };
            let found = run(&engine, &[job(query, id, &bounded)]).await;
            if let Some(finding) = found.findings.first() {
                wrong.push(format!("{id}: found {} with --{name} {bound}", finding.subject));
            }
        }
        wrong
    });
}

#[test]
fn what_should_be_quiet_is_quiet() {
    for_each(async |catalog, id| {
        let expected = expected(id);
        let configuration = configuration(id, "quiet");
        let log_bucket = expected.log_bucket.as_deref();
        let (engine, _dir) = engine(&logs(id, "quiet"), log_bucket, configuration.as_deref(), catalog).await;
        materialise(&engine, catalog).await;
        let all = Selection::default().choose(catalog).map_err(|e| e.report()).unwrap();
        let jobs: Vec<Job> = all.into_iter().map(|query| job(query, id, &expected)).collect();
        let found = run(&engine, &jobs).await;
        let fired: BTreeSet<String> = found.findings.iter().map(|f| f.id.clone()).collect();
        let mut wrong: Vec<String> = found
            .findings
            .iter()
            .filter(|f| !expected.quiet.also.contains(&f.id))
            .map(|f| format!("{id}: quiet gives {}: {} {} {}", f.id, f.bucket, f.subject, f.count))
            .collect();
        for idle in expected.quiet.also.difference(&fired) {
            wrong.push(format!("{id}: quiet may give {idle} and does not"));
        }
        wrong
    });
}

/// A value for every parameter that must be given.
fn any_params(query: &SavedQuery) -> Params {
    let required = query.params.iter().filter(|(_, spec)| spec.required);
    let given: Vec<_> = required.map(|(name, _)| (name.clone(), "x".to_owned())).collect();
    Params::bind(query, &given).unwrap_or_else(|e| panic!("{}: {}", query.id, e.report()))
}

/// Every saved query on a lake of these lines and this configuration.
fn run_all(lines: &[Vec<u8>], configuration: Option<&Path>) {
    let catalog = Catalog::load(None).map_err(|e| e.report()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("2026-03-01-10-00-00-0123456789ABCDEF");
    let text: Vec<u8> = lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect();
    std::fs::write(&logs, text).unwrap();
    runtime().block_on(async {
        let (engine, _dir) = engine(&logs, Some("amzn-s3-demo-logs"), configuration, &catalog).await;
        for query in catalog.iter() {
            let (sql, params) = match query.kind {
                Kind::View => (format!("SELECT * FROM {}", query.id), Params::none()),
                _ => (query.sql().to_owned(), any_params(query)),
            };
            let frame = engine
                .plan(&sql, &params)
                .await
                .unwrap_or_else(|e| panic!("{}: {}", query.origin, e.report()));
            engine.collect(frame).await.unwrap_or_else(|e| panic!("{}: {}", query.origin, e.report()));
        }
    });
}

#[test]
fn every_saved_query_runs_on_an_empty_lake() {
    run_all(&[], None);
}

#[test]
fn every_saved_query_runs_on_one_record() {
    run_all(&[Spelled::new().line()], None);
}

#[test]
fn every_saved_query_runs_on_old_records_only() {
    let line = |id: &str| {
        Spelled::new()
            .with(s3trail::Field::Time, "[04/Sep/2013:10:20:30 +0000]")
            .with(s3trail::Field::RequestId, id)
            .cut(18)
            .line()
    };
    run_all(&[line("A000000000000001"), line("A000000000000002")], None);
}

#[test]
fn every_saved_query_runs_on_an_audit_without_records() {
    run_all(&[], configuration("config-delivery-broken", "fires").as_deref());
}

#[test]
fn detections_of_the_configuration_have_one_in_their_samples() {
    let catalog = Catalog::load(None).map_err(|e| e.report()).unwrap();
    for query in catalog.of_kind(Kind::Detection).filter(|query| query.tags.iter().any(|tag| tag == "audit"))
    {
        assert!(query.id.starts_with("config-"), "{} is tagged audit", query.id);
        for name in ["fires", "quiet"] {
            assert!(configuration(&query.id, name).is_some(), "{} has no {name}.config.json", query.id);
        }
    }
}
