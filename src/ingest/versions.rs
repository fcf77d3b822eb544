//! Log objects that are seen again with other content: the lines the lake has of them already.
//!
//! S3 itself never writes a log object twice, but people copy, compress and repair. A new version is taken in like any
//! object; what it shares with the earlier one is removed as duplicates, but for lines that the lake has from yet
//! another log object: those are left to compaction.

use datafusion::logical_expr::{col, lit};
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use crate::batch::LineReader;
use crate::error::{Error, ErrorKind, Result};
use crate::lake::{Lake, Table};

/// The lines of the records in the lake that came from these log objects.
pub(super) async fn lines(lake: &Lake, log_bucket: &str, keys: &[&str]) -> Result<Vec<Vec<u8>>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |e| {
        Error::new(ErrorKind::Lake, "cannot read the records of an earlier version of a log object")
            .with_source(e)
    };
    let named = col("log_key").in_list(keys.iter().map(|key| lit(*key)).collect(), false);
    let frame = SessionContext::new()
        .read_table(lake.provider(Table::AccessLogs).await?)
        .and_then(|frame| frame.filter(col("log_bucket").eq(lit(log_bucket)).and(named)))
        .map_err(failed)?;
    let mut batches = frame.execute_stream().await.map_err(failed)?;
    let mut lines = Vec::new();
    while let Some(batch) = batches.try_next().await.map_err(failed)? {
        let reader = LineReader::new(&batch)?;
        lines.extend((0..batch.num_rows()).filter_map(|row| reader.line(row)));
    }
    Ok(lines)
}
