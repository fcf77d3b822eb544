//! Retention: records of days long gone leave the lake, whole partitions at a time.
//!
//! One attempt of the commit protocol takes the files out of `access_logs` and notes the day in the same commit, so
//! that `verify` knows that records of log objects from before it may be missing. The ledger and the rejects stay:
//! without its row in the ledger a log object that is still in its bucket would be taken in again. Files serve older
//! readers until they are vacuumed. Records without a time do not expire.

use chrono::Utc;
use serde::Serialize;

use super::commit::{EXPIRED, MAINTENANCE};
use super::compact::{beaten, event_date};
use super::encode::partition_value;
use super::intent::Change;
use super::{Files, Lake, Table};
use crate::error::{Error, Result};

/// The outcome of [`Lake::expire`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Expired {
    /// Whether nothing was changed, only counted.
    pub dry_run: bool,
    /// The first day that stays: `2026-01-31`.
    pub before: String,
    /// Days removed.
    pub days: u64,
    /// Records in them; `None` when a file does not say.
    pub records: Option<u64>,
    /// Part files removed from the table.
    #[serde(flatten)]
    pub removed: Files,
}

impl Lake {
    /// Removes the records of whole days that ended at least `days` days ago (UTC).
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::error::ErrorKind::Usage) for less than one day;
    /// [`ErrorKind::Conflict`](crate::error::ErrorKind::Conflict) when another process compacts or expires at the same
    /// time; otherwise as [`Lake::recover`].
    pub async fn expire(&mut self, days: u32, dry_run: bool) -> Result<Expired> {
        let today = Utc::now().timestamp().div_euclid(86_400);
        let before = i32::try_from(today - i64::from(days)).ok().filter(|_| days > 0);
        let Some(before) = before else {
            return Err(Error::usage("records cannot expire before their day is over")
                .with_hint("give a number of days such as 400d"));
        };
        self.begin_maintenance(dry_run).await?;
        let mut outcome = Expired {
            dry_run,
            before: partition_value(Some(before)),
            records: Some(0),
            ..Expired::default()
        };
        let mut change = Change { is_loss: true, expired_before: Some(before), ..Change::default() };
        let mut gone = std::collections::BTreeSet::new();
        let delta = &self.tables[Table::AccessLogs as usize];
        for file in self.described(Table::AccessLogs.name(), delta)? {
            let Some(date) = event_date(&file.path).flatten().filter(|date| *date < before) else { continue };
            gone.insert(date);
            outcome.records = outcome.records.zip(file.rows).map(|(sum, rows)| sum + rows);
            outcome.removed.add(file.bytes);
            change.removed.push((Table::AccessLogs, file.path));
        }
        outcome.days = gone.len() as u64;
        if dry_run || change.removed.is_empty() {
            return Ok(outcome);
        }
        // A day that was noted once stays noted: what had expired then has not come back.
        change.expired_before = Some(self.expired_before().await?.map_or(before, |noted| noted.max(before)));
        let attempt = self.begin(MAINTENANCE).await?;
        self.replace(&attempt, &[], change).await.map_err(beaten)?;
        Ok(outcome)
    }

    /// The day before which records have expired, in days since the epoch.
    pub(super) async fn expired_before(&self) -> Result<Option<i32>> {
        Ok(self.txn(Table::AccessLogs, EXPIRED).await?.and_then(|day| i32::try_from(day).ok()))
    }
}
