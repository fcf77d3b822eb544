//! SQL over the lake: one engine, its functions, its views, and the saved queries.
//!
//! [`Engine`] owns the DataFusion session. It is given tables by name and knows nothing of where they come
//! from; what it returns are Arrow batches, and it knows nothing of who reads them. Every query goes the same
//! way: [`guard`] parses it and lets only reading pass, names are looked up (near matches when they are
//! wrong), the plan is made, [`Params`] are bound as typed values, the plan is checked again, and only then
//! it runs. Where a query runs is decided here and nowhere else: heavy parts reduce on the engine, small
//! graphs are finished by the caller.

pub mod guard;
pub mod params;
pub mod reference;
pub mod saved;
pub mod suggest;
pub mod topics;
pub mod views;

mod functions;
mod memory;
mod order;
#[cfg(test)]
mod testing;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::common::runtime::SpawnedTask;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::context::{SessionConfig, SessionContext};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::task::JoinError;

pub use guard::Checked;
pub use memory::usual_bytes;
pub use params::{ParamSpec, ParamType, Params};
pub use reference::Reference;
pub use saved::{Catalog, Kind, SavedQuery};

use crate::error::{Error, ErrorKind, Result};

/// How the engine may use the machine. The default is all cores, no limits, the system's temporary directory.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// Partitions that run at once; `None` for one per core.
    pub threads: Option<usize>,
    /// Bytes that sorts, joins and aggregations may hold before they spill to disk or fail.
    pub memory_limit_bytes: Option<u64>,
    /// Where they spill to.
    pub temp_dir: Option<PathBuf>,
    /// How long one query may be planned, and how long it may run, from [`Engine::stream`] to its last batch. Of
    /// [`Engine::execute`], how long both may take.
    pub timeout: Option<Duration>,
}

/// The SQL engine: a session with s3trail's functions and the tables it is given.
pub struct Engine {
    context: SessionContext,
    timeout: Option<Duration>,
}

impl Engine {
    /// An engine without tables.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] for zero threads, [`ErrorKind::Query`] when the temporary directory cannot be
    /// used.
    pub fn new(options: &EngineOptions) -> Result<Self> {
        let threads = match options.threads {
            Some(0) => return Err(Error::usage("the number of threads cannot be 0")),
            Some(threads) => threads,
            None => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        };
        let mut config = SessionConfig::new().with_target_partitions(threads).with_information_schema(true);
        let settings = config.options_mut();
        settings.execution.time_zone = Some("UTC".to_owned());
        // Rows are filtered while columns are decoded: most questions keep few rows of wide records.
        settings.execution.parquet.pushdown_filters = true;

        let mut runtime = RuntimeEnvBuilder::new();
        if let Some(bytes) = options.memory_limit_bytes {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            runtime = runtime.with_memory_pool(Arc::new(memory::Pool::new(bytes)));
        }
        if let Some(directory) = &options.temp_dir {
            runtime = runtime.with_temp_file_path(directory);
        }
        let runtime = runtime.build_arc().map_err(Self::query_error)?;
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_optimizer_rule(Arc::new(order::CheapFirst))
            .build();
        let context = SessionContext::new_with_state(state);
        for function in functions::all() {
            context.register_udf(function);
        }
        context.register_udf(functions::date_trunc());
        for function in functions::aggregates() {
            context.register_udaf(function);
        }
        Ok(Self { context, timeout: options.timeout })
    }

    /// Makes a table known to queries, in place of one of the same name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Query`] when the session refuses it.
    pub async fn register_table(&self, name: &str, table: Arc<dyn TableProvider>) -> Result<()> {
        let name = TableReference::bare(name);
        self.context.deregister_table(name.clone()).map_err(Self::query_error)?;
        self.context.register_table(name, table).map_err(Self::query_error)?;
        Ok(())
    }

    /// Makes the program's views and reference tables known; the tables `access_logs`, `log_objects` and `rejects` must be there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Query`] when a view cannot be planned.
    pub async fn register_views(&self) -> Result<()> {
        reference::register(self, &Reference::default()).await?;
        views::register(self, &Catalog::load(None)?).await
    }

    /// Plans one query that only reads, with `params` bound to its placeholders.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Query`] for text that is no SQL, a statement that does not only read, an unknown table,
    /// column or function (with near matches and what there is), types that do not fit, and when the time is
    /// over; [`ErrorKind::Usage`] for a placeholder without value and a value without placeholder.
    pub async fn plan(&self, sql: &str, params: &Params) -> Result<DataFrame> {
        self.plan_before(&mut self.alarm()?, sql, params).await
    }

    /// Plans a query as [`Engine::plan`] does, and runs it as [`Engine::stream`] does; the limit is for both
    /// together.
    ///
    /// # Errors
    ///
    /// Those of both.
    pub async fn execute(&self, sql: &str, params: &Params) -> Result<SendableRecordBatchStream> {
        let mut alarm = self.alarm()?;
        let frame = self.plan_before(&mut alarm, sql, params).await?;
        start(alarm, frame).await
    }

    /// Runs a planned query. Batches come as they are made; the stream ends with an error when the time is
    /// over. A step that goes on then is left behind: it ends when it is done, or with the process.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Query`] when no physical plan can be made. Errors of the stream itself are DataFusion's;
    /// turn them into this crate's with [`Engine::query_error`].
    pub async fn stream(&self, frame: DataFrame) -> Result<SendableRecordBatchStream> {
        start(self.alarm()?, frame).await
    }

    async fn plan_before(&self, alarm: &mut Option<Alarm>, sql: &str, params: &Params) -> Result<DataFrame> {
        let work = plan(self.context.state(), sql.to_owned(), params.clone());
        aside(alarm, work).await.map_err(Self::query_error)?
    }

    fn alarm(&self) -> Result<Option<Alarm>> {
        self.timeout.map(Alarm::set).transpose()
    }

    /// Runs a planned query to its end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Query`].
    pub async fn collect(&self, frame: DataFrame) -> Result<Vec<RecordBatch>> {
        self.stream(frame).await?.try_collect::<Vec<_>>().await.map_err(Self::query_error)
    }

    /// Rows as JSON objects read into `T`, with every column, nulls too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Query`] for a column that JSON cannot hold and for rows that are no `T`.
    pub fn rows<T: DeserializeOwned>(batches: &[RecordBatch]) -> Result<Vec<T>> {
        let failed = |error| Error::new(ErrorKind::Query, "a column cannot be shown").with_source(error);
        let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
        batches.iter().try_for_each(|batch| writer.write(batch)).map_err(failed)?;
        writer.finish().map_err(failed)?;
        let json = writer.into_inner();
        let rows: Result<Vec<T>, _> = serde_json::Deserializer::from_slice(&json).into_iter().collect();
        rows.map_err(|e| Error::new(ErrorKind::Query, "the columns are not those expected").with_source(e))
    }

    /// A failure of a plan or a stream as this crate's error: one line, of kind [`ErrorKind::Query`].
    pub fn query_error(error: DataFusionError) -> Error {
        suggest::query_error(&error, None)
    }

    /// The session, for those who open tables with it.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// What [`Engine::plan`] does. `state` is the one for planning and running: `now()` is the same everywhere in a query.
async fn plan(state: SessionState, sql: String, params: Params) -> Result<DataFrame> {
    let checked = guard::check(&sql)?;
    let error = |error: DataFusionError| suggest::query_error(&error, Some(&state));
    check_tables(&state, &checked)?;
    let plan = state.statement_to_plan(checked.statement).await.map_err(error)?;
    let placeholders = plan.get_parameter_names().map_err(error)?;
    let nameless = placeholders.iter().filter(|id| !params::is_name(id.trim_start_matches('$')));
    if let Some(nameless) = nameless.min() {
        return Err(Error::usage(format!("parameters have names, and {nameless} is none"))
            .with_hint("write $name in the query and give it with -p name=value"));
    }
    params.check(&placeholders)?;
    let plan = plan.with_param_values(params.to_values()).map_err(error)?;
    guard::verify(&plan)?;
    Ok(DataFrame::new(state, plan))
}

/// What [`Engine::stream`] does.
async fn start(mut alarm: Option<Alarm>, frame: DataFrame) -> Result<SendableRecordBatchStream> {
    let stream = aside(&mut alarm, frame.execute_stream()).await.flatten().map_err(Engine::query_error)?;
    let schema = stream.schema();
    let batches = futures::stream::unfold(Some((stream, alarm)), |running| async move {
        let (mut stream, mut alarm) = running?;
        let next = async move {
            let batch = stream.next().await;
            (batch, stream)
        };
        match aside(&mut alarm, next).await {
            Ok((Some(batch), stream)) => Some((batch, Some((stream, alarm)))),
            Ok((None, _)) => None,
            Err(failed) => Some((Err(failed), None)),
        }
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
}

/// Does `work` on a thread of the runtime while this one waits, so that neither a long step nor a panic in it is ours:
/// a panic becomes an error. When the alarm rings, or nobody waits any more, the work is stopped as soon as it lets
/// itself be stopped.
async fn aside<T: Send + 'static>(
    alarm: &mut Option<Alarm>,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, DataFusionError> {
    let task = SpawnedTask::spawn(work);
    let ended = match alarm {
        Some(alarm) => alarm.before(task).await?,
        None => task.await,
    };
    ended.map_err(|error| DataFusionError::Internal(cause(error)))
}

/// Why a task has no result.
fn cause(error: JoinError) -> String {
    let panic = match error.try_into_panic() {
        Ok(panic) => panic,
        Err(stopped) => return stopped.to_string(),
    };
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it did not say why").to_owned()
}

/// Rings when the time is over. It has a thread of its own: the clock of the runtime stands still while all its
/// threads are busy.
struct Alarm {
    timeout: Duration,
    rings: oneshot::Receiver<()>,
    /// Dropped, it ends the thread.
    _off: mpsc::Sender<()>,
}

impl Alarm {
    fn set(timeout: Duration) -> Result<Self> {
        let (off, is_off) = mpsc::channel::<()>();
        let (ring, rings) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("alarm".to_owned())
            .spawn(move || {
                if is_off.recv_timeout(timeout) == Err(mpsc::RecvTimeoutError::Timeout) {
                    // Nobody is waiting any more when the query has just ended.
                    let _ = ring.send(());
                }
            })
            .map_err(|e| Error::new(ErrorKind::Internal, "cannot start a thread").with_source(e))?;
        Ok(Self { timeout, rings, _off: off })
    }

    /// `work`, or an error when the alarm rings.
    async fn before<T>(&mut self, work: impl Future<Output = T>) -> Result<T, DataFusionError> {
        tokio::select! {
            biased;
            _ = &mut self.rings => {
                let limit = self.timeout.as_secs_f64();
                Err(DataFusionError::Execution(format!("the query took longer than its limit of {limit} s")))
            }
            done = work => Ok(done),
        }
    }
}

/// Refuses a table that is not there, and says which are.
fn check_tables(state: &SessionState, checked: &Checked) -> Result<()> {
    let references = state
        .resolve_table_references(&checked.statement)
        .map_err(|error| suggest::query_error(&error, Some(state)))?;
    for reference in references {
        if reference.schema().is_none() && checked.table_functions.contains(reference.table()) {
            continue;
        }
        let schema = state.schema_for_ref(reference.clone());
        if schema.is_ok_and(|schema| schema.table_exist(reference.table())) {
            continue;
        }
        let mut tables = match state.schema_for_ref(TableReference::bare("")) {
            Ok(schema) => schema.table_names(),
            Err(_) => Vec::new(),
        };
        tables.sort();
        let error = Error::new(ErrorKind::Query, format!("there is no table {reference}"));
        if tables.is_empty() {
            return Err(error);
        }
        let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
        return Err(error.with_hint(suggest::hint(reference.table(), &tables, "there is")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::common::ScalarValue;

    async fn engine() -> Engine {
        testing::engine(&EngineOptions::default(), &[]).await
    }

    async fn refusal(engine: &Engine, sql: &str) -> String {
        let planned = engine.plan(sql, &Params::none()).await;
        let failed = match planned {
            Ok(frame) => engine.collect(frame).await.map(|_| ()),
            Err(error) => Err(error),
        };
        let error = failed.expect_err(sql);
        assert_eq!(error.kind(), ErrorKind::Query, "{sql}");
        let report = error.report();
        assert!(!report.contains('\n'), "{report}");
        report
    }

    fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[tokio::test]
    async fn wrong_names_come_with_the_right_ones() {
        let engine = engine().await;
        assert_eq!(
            refusal(&engine, "SELECT 1 FROM acces_logs").await,
            "there is no table acces_logs; did you mean access_logs? \
             there is: access_logs, bucket_config, bucket_configuration, configured_loops, deliveries, kms_quotas, log_deliveries, \
             log_loops, log_objects, prices, rejects, requests"
        );
        let column = refusal(&engine, "SELECT buckt FROM access_logs").await;
        assert!(column.starts_with("there is no column buckt; did you mean bucket"), "{column}");
        assert!(column.contains("there is: access_point_arn, acl_required"), "{column}");
        let function = refusal(&engine, "SELECT ip_clas(remote_ip) FROM access_logs").await;
        assert!(function.starts_with("there is no function ip_clas; did you mean ip_class"), "{function}");
        let cidr = refusal(&engine, "SELECT ip_in_cidr(remote_ip, '10.0.0.0/33') FROM access_logs").await;
        assert!(cidr.contains("`10.0.0.0/33` is no network"), "{cidr}");
        assert!(
            refusal(&engine, "SELECT * FROM other.access_logs").await.contains("no table other.access_logs")
        );
    }

    #[tokio::test]
    async fn nothing_is_changed_and_no_file_is_read() {
        let engine = engine().await;
        for sql in
            ["SELECT 1 INTO t", "CREATE TABLE t AS SELECT 1", "SET datafusion.execution.batch_size = 1"]
        {
            assert!(refusal(&engine, sql).await.contains("queries only read"), "{sql}");
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        std::fs::write(&file, "a\n1\n").unwrap();
        // Also past the guard there is no catalog that opens files by name.
        let sql = format!("SELECT * FROM \"{}\"", file.display());
        assert!(refusal(&engine, &sql).await.contains("looks like a file"));
        assert!(engine.context().sql(&sql).await.is_err());
    }

    #[tokio::test]
    async fn placeholders_work_where_queries_need_them() {
        let rows = [
            r#"{"bucket":"amzn-s3-demo-a","time":"2026-03-01T10:00:00Z","key":"a","remote_ip":"192.0.2.1"}"#,
            r#"{"bucket":"amzn-s3-demo-b","time":"2026-03-01T12:00:00Z","key":"b","remote_ip":"10.0.0.1"}"#,
        ];
        let engine = testing::engine(&EngineOptions::default(), &rows).await;
        let text = "--! id = \"q\"\n--! kind = \"report\"\n--! title = \"t\"\n--! description = \"d\"\n\
            --! [params.since]\n--! type = \"timestamp\"\n--! default = \"1970-01-01\"\n--! help = \"h\"\n\
            --! [params.window]\n--! type = \"duration\"\n--! default = \"1h\"\n--! help = \"h\"\n\
            --! [params.keys]\n--! type = \"text_list\"\n--! default = [\"a\", \"b\"]\n--! help = \"h\"\n\
            --! [params.nets]\n--! type = \"cidr_list\"\n--! default = [\"192.0.2.0/24\"]\n--! help = \"h\"\n\
            --! [params.limit]\n--! type = \"int\"\n--! default = 5\n--! help = \"h\"\n\
            SELECT key FROM access_logs WHERE time > $since + $window AND array_has($keys, key) \
            AND ip_in_cidr(remote_ip, $nets) ORDER BY key LIMIT $limit";
        let query = SavedQuery::parse("q.sql", text).unwrap();
        let keys = async |pairs: &[(&str, &str)]| {
            let params = Params::bind(&query, &given(pairs)).unwrap();
            let frame = engine.plan(query.sql(), &params).await.unwrap();
            let batches = engine.collect(frame).await.unwrap();
            let values = batches.iter().flat_map(|batch| {
                (0..batch.num_rows())
                    .map(move |row| ScalarValue::try_from_array(batch.column(0), row).unwrap())
            });
            values.map(|value| value.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(keys(&[]).await, ["a"]);
        assert_eq!(keys(&[("nets", "0.0.0.0/0")]).await, ["a", "b"]);
        assert_eq!(keys(&[("nets", "0.0.0.0/0"), ("limit", "1")]).await, ["a"]);
        assert_eq!(keys(&[("nets", "0.0.0.0/0"), ("since", "2026-03-01T10:30:00Z")]).await, ["b"]);
        assert_eq!(keys(&[("keys", "")]).await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn values_and_placeholders_must_agree() {
        let engine = engine().await;
        let missing = engine.plan("SELECT $a", &Params::none()).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Usage);
        let unused = Params::free(&given(&[("a", "1")])).unwrap();
        assert_eq!(engine.plan("SELECT 1", &unused).await.unwrap_err().kind(), ErrorKind::Usage);
        let numbered = engine.plan("SELECT $2, $1", &Params::none()).await.unwrap_err();
        assert_eq!(numbered.kind(), ErrorKind::Usage);
        let report = numbered.report();
        assert!(report.starts_with("parameters have names, and $1 is none; write $name"), "{report}");
    }

    #[tokio::test]
    async fn a_time_bound_is_compared_without_a_cast() {
        let engine = engine().await;
        let query = SavedQuery::parse(
            "q.sql",
            "--! id = \"q\"\n--! kind = \"report\"\n--! title = \"t\"\n--! description = \"d\"\n\
             --! [params.since]\n--! type = \"timestamp\"\n--! default = \"2026-03-01\"\n--! help = \"h\"\n\
             EXPLAIN SELECT key FROM requests WHERE time >= $since AND time < now()",
        )
        .unwrap();
        let frame = engine.plan(query.sql(), &Params::bind(&query, &[]).unwrap()).await.unwrap();
        let plan = pretty_format_batches(&engine.collect(frame).await.unwrap()).unwrap().to_string();
        assert!(plan.contains("access_logs.time >= TimestampMicrosecond"), "{plan}");
        assert!(!plan.contains("CAST(access_logs.time"), "{plan}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_long_step_is_left_behind() {
        let begun = std::time::Instant::now();
        let mut alarm = Some(Alarm::set(Duration::from_millis(50)).unwrap());
        let step = async { std::thread::sleep(Duration::from_secs(2)) };
        let error = Engine::query_error(aside(&mut alarm, step).await.unwrap_err());
        assert_eq!(error.report(), "the query took longer than its limit of 0.05 s");
        assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        fn broken() {
            panic!("broken");
        }
        let error = Engine::query_error(aside(&mut None, async { broken() }).await.unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Query);
        assert_eq!(error.report(), "the SQL engine failed: broken");
    }

    #[tokio::test]
    async fn limits_are_kept() {
        let options = EngineOptions {
            timeout: Some(Duration::from_millis(200)),
            threads: Some(1),
            ..Default::default()
        };
        let slow = testing::engine(&options, &[]).await;
        let sql = "SELECT sum(value % 7) FROM generate_series(1, 1000000000000)";
        assert!(refusal(&slow, sql).await.contains("longer than its limit of 0.2 s"));
        let both = match slow.execute(sql, &Params::none()).await {
            Ok(stream) => stream.try_collect::<Vec<_>>().await.map_err(Engine::query_error),
            Err(error) => Err(error),
        };
        assert!(both.unwrap_err().report().contains("longer than its limit of 0.2 s"));

        let options = EngineOptions { memory_limit_bytes: Some(1_000_000), ..Default::default() };
        let small = testing::engine(&options, &[]).await;
        let sql = "SELECT array_agg(value) FROM generate_series(1, 10000000)";
        assert!(refusal(&small, sql).await.contains("more memory"));

        assert_eq!(
            Engine::new(&EngineOptions { threads: Some(0), ..Default::default() }).unwrap_err().kind(),
            ErrorKind::Usage
        );
    }
}
