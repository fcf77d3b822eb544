//! Part files as the commit protocol sees them: where they are, that they are there, how the Delta log names them.

use std::collections::HashMap;

use deltalake::kernel::Add;
use futures::StreamExt;
use futures::stream;
use object_store::path::Path as ObjectPath;
use object_store::{Error as StoreError, ObjectStoreExt};

use super::encode::partition_value;
use super::{Lake, PartFile, Table, store_error};
use crate::error::{Error, ErrorKind, Result};

/// The tag of a file in the Delta log that holds the hash of its bytes.
pub(super) const HASH_TAG: &str = "s3trail.xxh3";

/// Files looked for at a time.
const LOOKS_AT_ONCE: usize = 16;

impl Lake {
    /// Makes sure that files about to become visible are there: a vacuum with too small an age removes what is
    /// not.
    pub(super) async fn check_parts(&self, table: Table, parts: &[PartFile]) -> Result<()> {
        let mut looks = Vec::new();
        for part in parts.iter().filter(|part| part.table == table) {
            let object = part_location(part)?;
            let (store, name) = (self.site.store().clone(), self.site.name(&object));
            let written = part.size_bytes;
            looks.push(async move {
                let failed = |e| store_error("find a file to commit", &name, e);
                check_size(&name, store.head(&object).await.map_err(failed)?.size, written)
            });
        }
        let mut looks = stream::iter(looks).buffer_unordered(LOOKS_AT_ONCE);
        while let Some(there) = looks.next().await {
            there?;
        }
        Ok(())
    }

    /// Removes a file, from the lake and from where it waited to be brought there. Whether it was in the lake; a
    /// store that does not tell says yes.
    pub(super) async fn delete_part(&self, part: &PartFile) -> Result<bool> {
        let object = part_location(part)?;
        self.site.unstage(part).await?;
        match self.site.store().delete(&object).await {
            Ok(()) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(e) => Err(store_error("remove a file", self.site.name(&object), e)),
        }
    }
}

pub(super) fn check_size(name: &str, found: u64, written: u64) -> Result<()> {
    if found == written {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Lake, "a file to commit has another size than was written")
        .with_context("path", name)
        .with_context("bytes", found.to_string())
        .with_context("written", written.to_string()))
}

/// Where the file is in the store. Intents are files that anyone may have written: a path that leads out of its
/// table, or into its log, is refused.
pub(super) fn part_location(part: &PartFile) -> Result<ObjectPath> {
    let plain = |folder: &str| !folder.starts_with(['_', '.']);
    let inside = part.path.ends_with(".parquet") && part.path.split('/').all(plain);
    match ObjectPath::parse(format!("{}/{}", part.table, part.path)) {
        Ok(location) if inside => Ok(location),
        _ => Err(Error::new(ErrorKind::Lake, "the path of a Parquet file leads out of its table")
            .with_context("table", part.table.name())
            .with_context("path", part.path.as_str())),
    }
}

pub(super) fn add_action(part: &PartFile, written_ms: i64) -> Result<Add> {
    let date = part.event_date.map(|date| partition_value(Some(date)));
    let partitions = part.table.partition_columns().iter().map(|name| ((*name).to_owned(), date.clone()));
    let hash = part.hash.as_deref();
    add_file(&part.path, part.size_bytes, &part.stats, hash, partitions.collect(), written_ms)
}

/// The Delta log's word for a new file.
pub(super) fn add_file(
    path: &str,
    bytes: u64,
    stats: &str,
    hash: Option<&str>,
    partition_values: HashMap<String, Option<String>>,
    written_ms: i64,
) -> Result<Add> {
    let size = i64::try_from(bytes).map_err(|e| {
        Error::new(ErrorKind::Internal, "a Parquet file is too large for Delta").with_source(e)
    })?;
    Ok(Add {
        path: path.to_owned(),
        partition_values,
        size,
        modification_time: written_ms,
        data_change: true,
        stats: Some(stats.to_owned()),
        tags: hash.map(|hash| HashMap::from([(HASH_TAG.to_owned(), Some(hash.to_owned()))])),
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    })
}
