//! The configuration of buckets as S3 tells it, as rows that SQL can join with the logs.
//!
//! Answers come from the API (`read`, feature `s3`) or from a file made with the AWS CLI ([`file`]); both are brought into
//! one shape, from which [`Snapshot::of`] concludes what is known. What could not be read stays unknown all the
//! way into the table. Nothing is judged here: that is what detections are for.

pub mod answer;
pub mod config;
mod convert;
pub mod file;
mod partition;
pub mod policy;
#[cfg(feature = "s3")]
pub mod read;
#[cfg(feature = "s3")]
mod sdk;

pub use answer::Answers;
pub use config::{BucketConfig, Kind, Snapshot, TABLE, Unanswered, schema, side_table};
