//! The guard against feeding ourselves: whether what is written to a bucket comes back as log objects to read.
//!
//! A write to bucket L is logged to the bucket that L logs to, that delivery is logged where *that* bucket logs to,
//! and so on. When the way leads to the bucket that log objects are read from, every run makes work for the next.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;

use super::Cloud;
use crate::error::Result;

/// Hops followed at most. Real chains have one or two.
const HOPS: usize = 32;

/// A way from the bucket written to, to the bucket read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loop {
    /// The buckets, in order, first the one written to, last the one read. One entry when they are the same.
    pub path: Vec<String>,
}

impl std::fmt::Display for Loop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path.join(" -> "))
    }
}

/// What following the logs of a bucket came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loops {
    /// Writing does not come back.
    None,
    /// It does.
    Found(Loop),
    /// The logging of this bucket may not be read, so it cannot be told.
    Unknown(String),
}

impl Cloud {
    /// Whether writing to bucket `written` makes log objects in bucket `read`, by the logging configuration as it is.
    ///
    /// Errors only when the server cannot be reached or a bucket does not exist.
    pub async fn loops(&self, written: &str, read: &str) -> Result<Loops> {
        let mut path = vec![written.to_owned()];
        while path.len() <= HOPS {
            let bucket = &path[path.len() - 1];
            if bucket == read {
                return Ok(Loops::Found(Loop { path }));
            }
            let client = self.s3_in(&self.region_of(bucket).await?);
            let target = match logs_to(&client, bucket).await {
                Ok(target) => target,
                Err(()) => return Ok(Loops::Unknown(bucket.clone())),
            };
            match target {
                // A circle that does not come by the source is not ours to judge.
                Some(target) if !path.contains(&target) => path.push(target),
                _ => return Ok(Loops::None),
            }
        }
        Ok(Loops::None)
    }
}

/// The bucket that the log of `bucket` is delivered to; an error when it may not be known.
async fn logs_to(client: &Client, bucket: &str) -> Result<Option<String>, ()> {
    match client.get_bucket_logging().bucket(bucket).send().await {
        Ok(found) => Ok(found.logging_enabled.map(|enabled| enabled.target_bucket)),
        // Servers without access logs have none to loop.
        Err(e) if e.code() == Some("NotImplemented") => Ok(None),
        Err(_) => Err(()),
    }
}
