//! For the tests of the lake: places of both kinds, a store that misbehaves once, tiny part files.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray, new_null_array,
};
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use parquet::arrow::ArrowWriter;
use serde_json::json;
use tempfile::TempDir;
use url::Url;

use super::encode::partition_value;
use super::parts::part_location;
use super::{Lake, PartFile, Place, Table};

/// The source of all that these tests commit.
pub(super) const SOURCE: &str = "local";

/// A place for a lake.
pub(super) struct Ground {
    place: Place,
    dir: Option<TempDir>,
}

impl Ground {
    /// A folder that is not there yet.
    pub(super) fn folder() -> Ground {
        let dir = tempfile::tempdir().unwrap();
        Ground { place: Place::Folder(dir.path().join("lake")), dir: Some(dir) }
    }

    /// A prefix of a bucket, with a blank in it.
    pub(super) fn store() -> Ground {
        Ground::on(Arc::new(PrefixStore::new(InMemory::new(), "some where/lake")))
    }

    pub(super) fn both() -> [Ground; 2] {
        [Ground::folder(), Ground::store()]
    }

    /// A bucket whose answers are bent by the faults.
    pub(super) fn fickle() -> (Ground, Arc<Faults>) {
        let faults = Arc::new(Faults::default());
        let store = Fickle { inner: InMemory::new(), faults: Arc::clone(&faults) };
        (Ground::on(Arc::new(store)), faults)
    }

    fn on(store: Arc<dyn ObjectStore>) -> Ground {
        let url = Url::parse("s3://amzn-s3-demo-lake/some where/lake").unwrap();
        Ground { place: Place::Store { url, store }, dir: None }
    }

    pub(super) fn place(&self) -> Place {
        self.place.clone()
    }

    /// The folder that the lake's folder is in, if it is in one.
    pub(super) fn dir(&self) -> Option<&Path> {
        self.dir.as_ref().map(TempDir::path)
    }

    pub(super) async fn create(&self) -> Lake {
        Lake::open_or_create_at(self.place()).await.map_err(|e| e.report()).unwrap()
    }

    pub(super) async fn open(&self) -> Lake {
        Lake::open_at(self.place()).await.map_err(|e| e.report()).unwrap()
    }
}

/// What befalls a PUT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It fails.
    Fail,
    /// It is done, and the answer is lost.
    Lose,
    /// It is done, the answer is lost, and the client asks again.
    Again,
}

/// Which PUT is to be bent next.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Option<(String, Fault)>>);

impl Faults {
    /// The next PUT of an object whose path has this part.
    pub(super) fn next(&self, part: &str, fault: Fault) {
        *self.0.lock().unwrap() = Some((part.to_owned(), fault));
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0.lock().unwrap().is_none()
    }

    fn take(&self, object: &ObjectPath) -> Option<Fault> {
        let mut next = self.0.lock().unwrap();
        let fault = next.as_ref().filter(|(part, _)| object.to_string().contains(part.as_str()))?.1;
        *next = None;
        Some(fault)
    }
}

#[derive(Debug)]
struct Fickle {
    inner: InMemory,
    faults: Arc<Faults>,
}

fn broken() -> StoreError {
    StoreError::Generic { store: "fickle", source: "the line broke".into() }
}

impl std::fmt::Display for Fickle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fickle")
    }
}

#[async_trait]
impl ObjectStore for Fickle {
    async fn put_opts(
        &self,
        location: &ObjectPath,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult, StoreError> {
        let fault = self.faults.take(location);
        if fault == Some(Fault::Fail) {
            return Err(broken());
        }
        let done = self.inner.put_opts(location, payload, options).await?;
        match fault {
            None | Some(Fault::Fail) => Ok(done),
            Some(Fault::Lose) => Err(broken()),
            Some(Fault::Again) => {
                Err(StoreError::AlreadyExists { path: location.to_string(), source: "asked twice".into() })
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &ObjectPath,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>, StoreError> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &ObjectPath, options: GetOptions) -> Result<GetResult, StoreError> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<ObjectPath, StoreError>>,
    ) -> BoxStream<'static, Result<ObjectPath, StoreError>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta, StoreError>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> Result<ListResult, StoreError> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &ObjectPath,
        to: &ObjectPath,
        options: CopyOptions,
    ) -> Result<(), StoreError> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A log object as its rows tell of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'a> {
    pub(super) bucket: Option<&'a str>,
    pub(super) key: &'a str,
    pub(super) layout: Option<&'a str>,
    pub(super) delivered_at: Option<i64>,
}

impl<'a> Object<'a> {
    pub(super) fn of(key: &'a str) -> Object<'a> {
        Object { bucket: None, key, layout: None, delivered_at: None }
    }
}

/// A tiny Parquet file: the log object, its etag `0f`, its two records and one reject, all else null.
pub(super) fn part(
    lake: &Lake,
    table: Table,
    object: Object<'_>,
    event_date: Option<i32>,
    rows: usize,
) -> PartFile {
    let text = |value: Option<&str>| Arc::new(StringViewArray::from(vec![value; rows])) as ArrayRef;
    let number = |value: i64| Arc::new(Int64Array::from(vec![value; rows])) as ArrayRef;
    let schema = table.file_schema();
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "log_bucket" => text(object.bucket),
        "log_key" => text(Some(object.key)),
        "layout" => text(object.layout),
        "delivered_at" => {
            let times = TimestampMicrosecondArray::from(vec![object.delivered_at; rows]);
            Arc::new(times.with_timezone("UTC")) as ArrayRef
        }
        "etag" => text(Some("0f")),
        "source_id" => text(Some(SOURCE)),
        "records" => number(2),
        "rejects" => number(1),
        "duplicates" => number(0),
        "lines" => number(3),
        _ => new_null_array(field.data_type(), rows),
    });
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap();
    let name = format!("part-{}.parquet", uuid::Uuid::new_v4());
    let path = match table {
        Table::AccessLogs => format!("event_date={}/{name}", partition_value(event_date)),
        Table::LogObjects | Table::Rejects => name,
    };
    let file = lake.table_dir(table).join(&path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&file).unwrap(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    PartFile {
        table,
        path,
        event_date,
        size_bytes: file.metadata().unwrap().len(),
        rows: rows as u64,
        stats: json!({"numRecords": rows, "nullCount": {"time": rows}}).to_string(),
        hash: None,
    }
}

/// Which of the files are in the lake, whether a table has them or not.
pub(super) async fn in_lake(lake: &Lake, parts: &[PartFile]) -> usize {
    let mut found = 0;
    for part in parts {
        let object = part_location(part).unwrap();
        found += usize::from(lake.site.store().head(&object).await.is_ok());
    }
    found
}
