//! Amazon S3 server access logs into answers.
//!
//! ```text
//! log text -> nom parser -> Arrow batches (in parallel, rayon) -> Parquet in Delta tables -> DataFusion SQL
//!  source      parse          batch                                 lake, ingest              query -> report
//! ```
//!
//! What is deliberately absent, module by module:
//! * [`record`] is the vocabulary; it depends on nothing.
//! * [`parse`] knows nom and bytes: no Arrow, no files. [`batch`] knows Arrow: no nom, no files. They meet in
//!   [`record`].
//! * [`source`] yields bytes and keys; it knows no records. [`lake`] makes Parquet files visible; it knows no lines.
//! * [`ingest`] is the only place where tokio meets rayon.
//! * [`query`] is given tables; it does not know where they are stored. [`report`] is given batches.
//! * [`generate`] shares no code with the parser, so that it can serve as its opponent.
//! * Only [`cli`] and [`report`] write to the terminal, and only `main` exits.
//!
//! Every line of every log object becomes a record, a reject with its reason, or a counted duplicate, and every
//! record can be printed back byte for byte.
#![warn(missing_docs)]

pub mod audit;
pub mod batch;
pub mod cli;
pub mod cloud;
pub mod detect;
pub mod error;
pub mod finding;
pub mod generate;
pub mod ingest;
pub mod lake;
pub mod lines;
pub mod parse;
pub mod query;
pub mod record;
pub mod report;
pub mod source;
pub mod stop;

pub use error::{Error, ErrorKind, Result};
pub use record::{Field, Quirk, Record};
