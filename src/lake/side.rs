//! Side tables: plain Delta tables of others, beside the three.
//!
//! A side table takes no part in the commit protocol: an append is one Parquet file and one commit, which is there
//! or is not. It is made by the first append, and until then it is empty to whoever asks. That a folder of the lake
//! is such a table, and so ours to look after, is told by `_s3trail/side/<name>.json`, which is put before the table
//! is made; other folders in the lake's place are left alone. What the rows mean is known to those who define it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use chrono::Utc;
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use deltalake::DeltaTable;
use deltalake::kernel::{Action, Add};
use futures::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode};

use super::commit::ROUNDS;
use super::delta::{self, Append, load_any, loaded};
use super::encode::{EncodedSide, encode_side};
use super::open::check_paths;
use super::parts::add_file;
use super::schema::Definition;
use super::{Lake, OWN_FOLDER, Table, store_error};
use crate::error::{Error, ErrorKind, Result};

/// A table beside the three.
#[derive(Debug, Clone)]
pub struct SideTable {
    /// Its name, of its folder in the lake and in SQL: lower-case letters, digits and `_`.
    pub name: &'static str,
    /// What one row is, for whoever opens the table with another tool.
    pub comment: &'static str,
    /// Its columns: text, binary, integers of 16, 32 and 64 bits, doubles, booleans, dates, and timestamps in
    /// microseconds, UTC.
    pub schema: SchemaRef,
}

impl SideTable {
    fn definition(&self) -> Result<Definition> {
        if is_side_name(self.name) {
            return Definition::new(self.name, self.comment, &self.schema, &[]);
        }
        Err(Error::new(ErrorKind::Internal, "the name of a side table is unfit")
            .with_context("table", self.name))
    }
}

impl Lake {
    /// Adds rows to a side table in one commit, and makes the table where it is missing. Nothing happens without
    /// rows.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the columns are not those of the table or unknown to Delta, [`ErrorKind::Lake`]
    /// when there is a table of that name with other columns or a damaged one, [`ErrorKind::Conflict`] when others
    /// keep committing to it, [`ErrorKind::Io`] when the operating system or the store refuses. The rows are then
    /// not there, or, if a store's answer was lost, all there.
    pub async fn append(&mut self, side: &SideTable, rows: RecordBatch) -> Result<()> {
        let definition = side.definition()?;
        if rows.schema().fields() != side.schema.fields() {
            return Err(Error::new(ErrorKind::Internal, "rows do not have the columns of their side table")
                .with_context("table", side.name));
        }
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let EncodedSide { content, stats, hash } = encode_side(&rows)?;
        let path = format!("part-{}.parquet", uuid::Uuid::new_v4());
        let written_ms = Utc::now().timestamp_millis();
        let add = add_file(&path, content.len() as u64, &stats, Some(&hash), HashMap::new(), written_ms)?;

        let mut delta = self.make_side(&definition).await?;
        let object = ObjectPath::from_iter([side.name, path.as_str()]);
        let put = self.site.store().put_opts(&object, content.into(), PutMode::Overwrite.into()).await;
        put.map_err(|e| store_error("write a file", self.site.name(&object), e))?;
        self.site.flush(vec![object.clone()]).await?;
        let outcome = self.commit_side(&mut delta, &definition, &add).await;
        let Err(error) = outcome else { return Ok(()) };
        // It may have gone through all the same.
        let there = match delta.update_state().await {
            Ok(()) => Some(has(self, &delta, side.name, &add)?),
            Err(_) => None,
        };
        match there {
            Some(true) => return Ok(()),
            // Nobody names the file, and nobody will.
            Some(false) if self.site.is_local() => {
                let _ = self.site.store().delete(&object).await;
            }
            // What a bucket may yet hear of is left to vacuum.
            _ => {}
        }
        Err(error)
    }

    /// A DataFusion table over the newest rows of a side table; one without rows where it is not there yet.
    ///
    /// # Errors
    /// [`ErrorKind::Lake`] when there is a table of that name with other columns or a damaged one,
    /// [`ErrorKind::Io`] when the operating system or the store refuses.
    pub async fn side_provider(&self, side: &SideTable) -> Result<Arc<dyn TableProvider>> {
        let Some(delta) = delta::load(self.site.as_ref(), &side.definition()?).await? else {
            return Ok(Arc::new(EmptyTable::new(Arc::clone(&side.schema))));
        };
        check_paths(side.name, loaded(self.site.as_ref(), side.name, &delta)?)?;
        let provider = delta.table_provider().await;
        provider.map_err(|e| store_error("read the table", self.site.name(&ObjectPath::from(side.name)), e))
    }

    /// The names of the side tables there are or were about to be, in order.
    pub(super) async fn side_names(&self) -> Result<Vec<String>> {
        let folder = sides_folder();
        let mut names = Vec::new();
        let mut objects = self.site.store().list(Some(&folder));
        let failed = |e| store_error("look into the lake", self.site.name(&folder), e);
        while let Some(object) = objects.try_next().await.map_err(failed)? {
            let name = object.location.filename().and_then(|name| name.strip_suffix(".json"));
            if let Some(name) = name.filter(|name| is_side_name(name)) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The newest state of a side table, whatever its columns; `None` when it was never made.
    pub(super) async fn side_state(&self, name: &str) -> Result<Option<DeltaTable>> {
        load_any(self.site.as_ref(), name).await
    }

    async fn make_side(&self, definition: &Definition) -> Result<DeltaTable> {
        let site = self.site.as_ref();
        if let Some(delta) = delta::load(site, definition).await? {
            return Ok(delta);
        }
        let marker = sides_folder().join(format!("{}.json", definition.name));
        match site.store().put_opts(&marker, "{}".into(), PutMode::Create.into()).await {
            Ok(_) | Err(StoreError::AlreadyExists { .. }) => {}
            Err(e) => return Err(store_error("write to the lake", site.name(&marker), e)),
        }
        site.flush(vec![marker]).await?;
        site.flush_folders(sides_folder()).await?;
        delta::create(site, definition).await
    }

    async fn commit_side(&self, delta: &mut DeltaTable, definition: &Definition, add: &Add) -> Result<()> {
        let site = self.site.as_ref();
        let name = definition.name;
        for _ in 0..ROUNDS {
            let actions = vec![Action::Add(add.clone())];
            match delta::commit(site, delta, definition, actions, Vec::new()).await? {
                Append::Done(version) => return delta::flush(site, name, version..=version).await,
                Append::Again => {}
            }
            let log = site.name(&delta::log_folder(name));
            delta.update_state().await.map_err(|e| store_error("read the Delta log", log, e))?;
            // Its own commit may have been what was in the way.
            if has(self, delta, name, add)? {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Conflict, "other processes kept committing to the table")
            .with_context("table", name)
            .with_hint("run again when fewer are writing"))
    }
}

/// Whether the table has the file, as of the state in memory.
fn has(lake: &Lake, delta: &DeltaTable, name: &str, add: &Add) -> Result<bool> {
    let state = loaded(lake.site.as_ref(), name, delta)?;
    Ok(state.log_data().iter().any(|file| file.path() == add.path))
}

fn sides_folder() -> ObjectPath {
    ObjectPath::from_iter([OWN_FOLDER, "side"])
}

/// A name becomes a folder and a word of SQL.
fn is_side_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 64
        && name.bytes().all(plain)
        && Table::ALL.iter().all(|table| table.name() != name)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use datafusion::prelude::SessionContext;
    use std::time::Duration;

    use super::super::testing::{Fault, Ground};
    use super::*;

    fn side() -> SideTable {
        let fields =
            vec![Field::new("bucket", DataType::Utf8, false), Field::new("versions", DataType::Int64, true)];
        SideTable {
            name: "bucket_config",
            comment: "One row per bucket",
            schema: Arc::new(Schema::new(fields)),
        }
    }

    fn rows(buckets: &[&str]) -> RecordBatch {
        let names: ArrayRef = Arc::new(StringArray::from(buckets.to_vec()));
        let versions: ArrayRef = Arc::new(Int64Array::from_iter((0..buckets.len() as i64).map(Some)));
        RecordBatch::try_new(side().schema, vec![names, versions]).unwrap()
    }

    async fn count(lake: &Lake) -> i64 {
        let context = SessionContext::new();
        context.register_table("t", lake.side_provider(&side()).await.unwrap()).unwrap();
        let frame = context.sql("SELECT count(*) AS n, max(bucket) AS b FROM t").await.unwrap();
        frame.collect().await.unwrap()[0].column(0).as_primitive::<Int64Type>().value(0)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rows_are_added_and_read_and_looked_after() {
        for ground in Ground::both() {
            let mut lake = ground.create().await;
            assert_eq!(count(&lake).await, 0);
            assert!(lake.side_names().await.unwrap().is_empty());
            lake.append(&side(), rows(&[])).await.unwrap();
            assert_eq!(lake.status().await.unwrap().tables.len(), 3);
            lake.append(&side(), rows(&["amzn-s3-demo-a", "amzn-s3-demo-b"])).await.unwrap();
            lake.append(&side(), rows(&["amzn-s3-demo-c"])).await.unwrap();
            assert_eq!(count(&lake).await, 3);
            assert_eq!(count(&ground.open().await).await, 3);

            // The lake is still one, and knows the table.
            let mut lake = Lake::open_or_create_at(ground.place()).await.unwrap();
            let status = lake.status().await.unwrap();
            let names: Vec<&str> = status.tables.iter().map(|table| table.table.name()).collect();
            assert_eq!(names, ["access_logs", "log_objects", "rejects", "bucket_config"]);
            assert_eq!((status.tables[3].rows, status.tables[3].content.files), (3, 2));
            assert!(status.tables[3].last_commit.is_some());
            let verification = lake.verify().await.unwrap();
            assert_eq!((verification.problems, verification.rows), (vec![], 3));

            // A file that nobody committed, and one that is not ours.
            let store = Arc::clone(lake.site.store());
            let loose = ObjectPath::from("bucket_config/part-loose.parquet");
            let foreign = ObjectPath::from("pictures/part-1.parquet");
            store.put(&loose, "x".into()).await.unwrap();
            store.put(&foreign, "x".into()).await.unwrap();
            assert_eq!(lake.status().await.unwrap().remains.files, 1);
            let done = lake.vacuum(Duration::ZERO, false).await.unwrap();
            assert_eq!((done.removed.files, done.removed.bytes), (1, 1));
            assert!(store.head(&loose).await.is_err() && store.head(&foreign).await.is_ok());
            assert_eq!(count(&lake).await, 3);

            // A damaged one is a problem of its own.
            store.delete(&delta::log_entry("bucket_config", 0)).await.unwrap();
            let problems = ground.open().await.verify().await.unwrap().problems;
            assert!(problems.iter().any(|problem| problem.contains("bucket_config")), "{problems:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_may_append_at_once() {
        for ground in Ground::both() {
            ground.create().await;
            let tasks: Vec<_> = (0..4)
                .map(|_| {
                    let place = ground.place();
                    tokio::spawn(async move {
                        let mut lake = Lake::open_at(place).await.unwrap();
                        lake.append(&side(), rows(&["amzn-s3-demo-a"])).await
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap().unwrap();
            }
            assert_eq!(count(&ground.open().await).await, 4);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_lost_answer_adds_no_row_twice_and_loses_none() {
        for (fault, fails) in [(Fault::Lose, false), (Fault::Again, false), (Fault::Fail, true)] {
            let (ground, faults) = Ground::fickle();
            let mut lake = ground.create().await;
            lake.append(&side(), rows(&["amzn-s3-demo-a"])).await.unwrap();
            faults.next("bucket_config/_delta_log/00000000000000000002.json", fault);
            assert_eq!(lake.append(&side(), rows(&["amzn-s3-demo-b"])).await.is_err(), fails);
            assert_eq!(count(&lake).await, if fails { 1 } else { 2 });
            lake.append(&side(), rows(&["amzn-s3-demo-c"])).await.unwrap();
            assert_eq!(count(&lake).await, if fails { 2 } else { 3 });
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_does_not_fit_is_refused() {
        let ground = Ground::folder();
        let mut lake = ground.create().await;
        let kind = |outcome: Result<()>| outcome.unwrap_err().kind();
        for name in ["access_logs", "../up", "", "_own", "A"] {
            let side = SideTable { name, ..side() };
            assert_eq!(kind(lake.append(&side, rows(&["a"])).await), ErrorKind::Internal);
            assert_eq!(lake.side_provider(&side).await.err().map(|e| e.kind()), Some(ErrorKind::Internal));
        }
        let fields = vec![Field::new("bucket", DataType::Int64, true)];
        let other = SideTable { schema: Arc::new(Schema::new(fields)), ..side() };
        assert_eq!(kind(lake.append(&other, rows(&["a"])).await), ErrorKind::Internal);
        lake.append(&side(), rows(&["a"])).await.unwrap();
        assert_eq!(lake.side_provider(&other).await.err().map(|e| e.kind()), Some(ErrorKind::Lake));
    }
}
