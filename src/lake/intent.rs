//! Intents: what an attempt is going to commit, written down before it commits anything.
//!
//! `_s3trail/intents/<source_id>/<n>.json` is put if absent, whole or not at all, and goes away when the attempt is
//! done or has lost. What an intent means is told in [`commit`](super::commit); here it is only written, found and
//! removed. Anyone who can write to the lake can write one: its paths are checked before they are used.

use std::cmp::Ordering;
use std::time::Duration;

use chrono::Utc;
use deltalake::kernel::Version;
use futures::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode};
use serde::{Deserialize, Serialize};

use super::parts::part_location;
use super::{Attempt, Lake, OWN_FOLDER, PartFile, Table, store_error};
use crate::error::{Error, ErrorKind, Result};

/// An attempt whose intent is older is dead, or will find itself fenced.
pub(super) const DEAD_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The formats of intents. Another number is an intent of a newer version, which must finish it; so is the second to
/// an s3trail that only ever appended.
const APPENDS: u32 = 1;
const REPLACES: u32 = 2;

/// What an attempt is going to commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Intent {
    format: u32,
    pub(super) source_id: String,
    pub(super) n: i64,
    /// Milliseconds since the epoch; the `modificationTime` of the files, whoever commits them.
    pub(super) written_ms: i64,
    /// Versions of the tables when the attempt began, as in [`Table::ALL`]: its commits are later ones.
    pub(super) versions: [Version; 3],
    pub(super) parts: Vec<PartFile>,
    #[serde(default)]
    pub(super) change: Change,
    /// Of this intent and no other, so that its writer knows it again.
    #[serde(default)]
    token: String,
}

/// What an attempt takes out of the tables, besides what it adds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Change {
    /// Files by table and path.
    pub(super) removed: Vec<(Table, String)>,
    /// Whether rows go for good; otherwise the files added hold them.
    pub(super) is_loss: bool,
    /// Days since the epoch: event dates before it are to be missing from `access_logs`.
    pub(super) expired_before: Option<i32>,
}

impl Intent {
    pub(super) fn location(&self) -> Result<ObjectPath> {
        check_source_id(&self.source_id)?;
        Ok(intents_folder().join(self.source_id.as_str()).join(format!("{}.json", self.n)))
    }
}

/// An intent as found in the lake.
#[derive(Debug)]
pub(super) struct StoredIntent {
    pub(super) source_id: String,
    pub(super) n: i64,
    age: Duration,
    pub(super) location: ObjectPath,
    /// `None` when it cannot be read: torn, or of a newer format.
    pub(super) body: Option<Intent>,
}

impl StoredIntent {
    /// Whether recovery would remove the intent without committing anything, given its source's `txn`.
    pub(super) fn is_dead(&self, decided: Option<i64>) -> bool {
        match Some(self.n).cmp(&decided) {
            Ordering::Less => true,
            Ordering::Equal => false,
            Ordering::Greater => self.age >= DEAD_AFTER,
        }
    }
}

impl Lake {
    /// The intent of an attempt, not yet written.
    pub(super) fn intent(&self, attempt: &Attempt, parts: &[PartFile], change: Change) -> Result<Intent> {
        // Before anything is written: once `access_logs` has committed, every file must go in.
        parts.iter().try_for_each(|part| part_location(part).map(drop))?;
        let mut versions = [0; 3];
        for table in Table::ALL {
            versions[table as usize] = self.version(table)?;
        }
        Ok(Intent {
            format: if change == Change::default() { APPENDS } else { REPLACES },
            source_id: attempt.source_id.clone(),
            n: attempt.n,
            written_ms: Utc::now().timestamp_millis(),
            versions,
            parts: parts.to_vec(),
            change,
            token: uuid::Uuid::new_v4().to_string(),
        })
    }

    /// Step 2 of the protocol. [`ErrorKind::Conflict`] when the attempt's number is taken.
    pub(super) async fn write_intent(&self, intent: &Intent) -> Result<()> {
        let location = intent.location()?;
        let name = self.site.name(&location);
        let json =
            serde_json::to_vec(intent).map_err(|e| store_error("write the intent of a commit", &name, e))?;
        let put = self.site.store().put_opts(&location, json.into(), PutMode::Create.into()).await;
        match put {
            Ok(_) => {}
            // Another process drew the same number; or a client asked twice because the first answer was lost.
            Err(StoreError::AlreadyExists { .. }) => {
                if self.read_intent(&location).await?.as_ref() != Some(intent) {
                    return Err(conflict(intent));
                }
            }
            Err(e) => return Err(store_error("write the intent of a commit", &name, e)),
        }
        let mut flushed = self.site.flush(vec![location.clone()]).await;
        if flushed.is_ok() {
            flushed = self.site.flush_folders(intents_folder().join(intent.source_id.as_str())).await;
        }
        if flushed.is_err() {
            // Nothing was committed under it; should this fail too, it dies in a day.
            let _ = self.remove_intent(&location).await;
        }
        flushed
    }

    /// Every intent in the lake, in no order.
    pub(super) async fn intents(&self) -> Result<Vec<StoredIntent>> {
        let folder = intents_folder();
        let failed = |e| store_error("read the intents", self.site.name(&folder), e);
        let found: Vec<ObjectMeta> =
            self.site.store().list(Some(&folder)).try_collect().await.map_err(failed)?;
        let mut intents = Vec::with_capacity(found.len());
        for object in found {
            let Some((source_id, n)) = intent_name(&folder, &object.location) else { continue };
            let body = match self.site.store().get(&object.location).await {
                Ok(body) => body.bytes().await.map_err(failed)?,
                // Done in the meantime.
                Err(StoreError::NotFound { .. }) => continue,
                Err(e) => return Err(failed(e)),
            };
            let body = parse_intent(&body).filter(|body| body.source_id == source_id && body.n == n);
            let age = (Utc::now() - object.last_modified).to_std().unwrap_or_default();
            intents.push(StoredIntent { source_id, n, age, location: object.location, body });
        }
        Ok(intents)
    }

    pub(super) async fn remove_intent(&self, location: &ObjectPath) -> Result<()> {
        match self.site.store().delete(location).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(e) => Err(store_error("remove the intent of a commit", self.site.name(location), e)),
        }
    }

    async fn read_intent(&self, location: &ObjectPath) -> Result<Option<Intent>> {
        let failed = |e| store_error("read an intent", self.site.name(location), e);
        match self.site.store().get(location).await {
            Ok(body) => Ok(parse_intent(&body.bytes().await.map_err(failed)?)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(e) => Err(failed(e)),
        }
    }
}

fn parse_intent(body: &[u8]) -> Option<Intent> {
    serde_json::from_slice::<Intent>(body).ok().filter(|body| (APPENDS..=REPLACES).contains(&body.format))
}

pub(super) fn intents_folder() -> ObjectPath {
    ObjectPath::from_iter([OWN_FOLDER, "intents"])
}

/// The source and the number in the name of an intent.
fn intent_name(folder: &ObjectPath, location: &ObjectPath) -> Option<(String, i64)> {
    let (location, folder): (&str, &str) = (location.as_ref(), folder.as_ref());
    let (source_id, file) = location.strip_prefix(folder)?.strip_prefix('/')?.split_once('/')?;
    let n = file.strip_suffix(".json")?.parse().ok()?;
    check_source_id(source_id).is_ok().then(|| (source_id.to_owned(), n))
}

/// A source id becomes a folder name: a hash in hexadecimal, or a plain word.
pub(super) fn check_source_id(source_id: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if source_id.is_empty() || source_id.len() > 128 || !source_id.bytes().all(plain) {
        return Err(Error::new(ErrorKind::Internal, "the id of a source is unfit for a file name")
            .with_context("source", source_id));
    }
    Ok(())
}

#[cold]
pub(super) fn conflict(intent: &Intent) -> Error {
    Error::new(ErrorKind::Conflict, "another process committed for the same source")
        .with_context("source", intent.source_id.as_str())
        .with_context("attempt", intent.n.to_string())
}
