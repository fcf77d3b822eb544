//! What its users want to find again in the lake: small pieces of their own, by name.
//!
//! They are in the lake's own folder, `_s3trail/<folder>/<name>.json`, take no part in the commit protocol, and say
//! nothing that the tables do not: whoever loses one must do without. What they mean is known to those who write them.

use object_store::path::Path as ObjectPath;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode};

use super::{Lake, OWN_FOLDER, store_error};
use crate::error::{Error, ErrorKind, Result};

/// Folders below our own whose objects mean something to the lake.
const TAKEN: [&str; 2] = ["intents", "side"];

impl Lake {
    /// Keeps `content` under a name such as `cursors/<source_id>-<job>.json`, in place of what was there.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the name is unfit, [`ErrorKind::Io`] when the operating system or the store
    /// refuses; then there is the old content or the new one.
    pub async fn write_state(&self, name: &str, content: Vec<u8>) -> Result<()> {
        self.put_state(name, content, PutMode::Overwrite).await.map(drop)
    }

    /// The same, unless something is kept under the name already: then it stays, and the answer is false.
    ///
    /// # Errors
    /// As [`Lake::write_state`].
    pub async fn create_state(&self, name: &str, content: Vec<u8>) -> Result<bool> {
        self.put_state(name, content, PutMode::Create).await
    }

    async fn put_state(&self, name: &str, content: Vec<u8>, mode: PutMode) -> Result<bool> {
        let object = location(name)?;
        match self.site.store().put_opts(&object, content.into(), mode.into()).await {
            Ok(_) => {}
            Err(StoreError::AlreadyExists { .. }) => return Ok(false),
            Err(e) => return Err(store_error("write to the lake", self.site.name(&object), e)),
        }
        self.site.flush(vec![object.clone()]).await?;
        self.site.flush_folders(object.parent().unwrap_or_default()).await?;
        Ok(true)
    }

    /// What was kept under a name; `None` when nothing was.
    ///
    /// # Errors
    /// As [`Lake::write_state`].
    pub async fn read_state(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let object = location(name)?;
        let failed = |e| store_error("read from the lake", self.site.name(&object), e);
        match self.site.store().get(&object).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(failed)?.to_vec())),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(e) => Err(failed(e)),
        }
    }
}

fn location(name: &str) -> Result<ObjectPath> {
    let plain = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    match name.strip_suffix(".json").and_then(|name| name.split_once('/')) {
        Some((folder, file)) if plain(folder) && plain(file) && !TAKEN.contains(&folder) => {
            Ok(ObjectPath::from(format!("{OWN_FOLDER}/{name}")))
        }
        _ => Err(Error::new(ErrorKind::Internal, "the name of a state is unfit").with_context("name", name)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Ground;
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_kept_is_found_again() {
        for ground in Ground::both() {
            let mut lake = ground.create().await;
            let name = "cursors/b0123456789abcdef-1of4.json";
            assert_eq!(lake.read_state(name).await.unwrap(), None);
            for content in ["first", "second, which is longer"] {
                lake.write_state(name, content.into()).await.unwrap();
                assert_eq!(lake.read_state(name).await.unwrap(), Some(content.into()));
            }
            assert!(!lake.create_state(name, "third".into()).await.unwrap());
            assert!(lake.create_state("shards/local.json", "new".into()).await.unwrap());
            lake.vacuum(std::time::Duration::ZERO, false).await.unwrap();
            assert!(ground.open().await.read_state(name).await.unwrap().is_some());
            for unfit in
                ["lake.json", "intents/1.json", "side/a.json", "../a.json", "a/../b.json", "a/b/c.json"]
            {
                assert_eq!(
                    lake.write_state(unfit, Vec::new()).await.unwrap_err().kind(),
                    ErrorKind::Internal
                );
            }
        }
    }
}
