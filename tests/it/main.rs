//! The integration tests, one binary: linking the query engine is what a test binary costs.
//!
//! `corpus` and `expected` read real records where `S3TRAIL_CORPUS` names a folder of them, and say that they were
//! skipped where it does not. Everything else is synthetic and always runs.

#[cfg(feature = "s3")]
mod audit;
mod cli;
mod common;
mod corpus;
mod deploy;
mod detections;
mod expected;
mod finding_formats;
mod findings;
mod fuzz_bodies;
mod hazards;
mod house;
mod ingest;
mod maintenance;
mod properties;
mod readme;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "s3")]
mod s3_source;
mod watch;
