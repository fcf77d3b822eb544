//! Runs detections over one snapshot of a lake and collects what they find.
//!
//! A detection is a saved query whose rows are findings. All of them are planned and their columns checked before
//! the first one runs; then they run side by side. One that fails does not stop the others: it is named with its
//! reason. What is found is given a fingerprint and held against the suppressions. This module knows neither where
//! tables come from nor how findings are shown.

mod contract;
mod suppress;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::dataframe::DataFrame;
use futures::{StreamExt, stream};

pub use suppress::{Suppression, Suppressions};

use crate::error::{Error, ErrorKind, Result};
use crate::finding::{Finding, Findings, Level, Skipped};
use crate::query::{Catalog, Engine, Kind, Params, SavedQuery, suggest};

/// Which detections are wanted. The default is all of them.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only these, by id; empty for all.
    pub only: Vec<String>,
    /// Only those with one of these tags; empty for all.
    pub tags: Vec<String>,
    /// Only those of this level or above.
    pub min_level: Option<Level>,
}

impl Selection {
    /// The detections of `catalog` that are wanted, by id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] for an id that is no detection and a tag that none has, with near matches.
    pub fn choose<'c>(&self, catalog: &'c Catalog) -> Result<Vec<&'c SavedQuery>> {
        let all: Vec<&SavedQuery> = catalog.of_kind(Kind::Detection).collect();
        let ids: Vec<&str> = all.iter().map(|query| query.id.as_str()).collect();
        if let Some(unknown) = self.only.iter().find(|id| !ids.contains(&id.as_str())) {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no detection {unknown}"))
                .with_hint(suggest::hint(unknown, &ids, "there is")));
        }
        let tags: BTreeSet<&str> = all.iter().flat_map(|query| &query.tags).map(String::as_str).collect();
        if let Some(unknown) = self.tags.iter().find(|tag| !tags.contains(tag.as_str())) {
            let tags: Vec<&str> = tags.into_iter().collect();
            return Err(Error::new(ErrorKind::NotFound, format!("no detection has the tag {unknown}"))
                .with_hint(suggest::hint(unknown, &tags, "there is")));
        }
        let is_wanted = |query: &&SavedQuery| {
            (self.only.is_empty() || self.only.contains(&query.id))
                && (self.tags.is_empty() || query.tags.iter().any(|tag| self.tags.contains(tag)))
                && self.min_level.is_none_or(|least| query.level.is_some_and(|level| level >= least))
        };
        Ok(all.into_iter().filter(is_wanted).collect())
    }
}

/// A detection and the values of its parameters.
#[derive(Debug, Clone)]
pub struct Job {
    /// The detection.
    pub query: SavedQuery,
    /// Its parameters.
    pub params: Params,
}

/// Told of each detection that has ended: its id, how many findings, how long it took.
pub type OnDone<'a> = &'a (dyn Fn(&str, usize, Duration) + Sync);

/// Runs `jobs`, `at_once` of them side by side, and returns their findings, worst first.
///
/// What a detection cannot do is in [`Findings::skipped`], never an error of the whole.
pub async fn detect(
    engine: &Arc<Engine>,
    jobs: &[Job],
    suppressions: &Suppressions,
    at_once: usize,
    on_done: OnDone<'_>,
) -> Findings {
    let begun = Instant::now();
    let mut findings = Vec::new();
    let mut skipped = Vec::new();
    let mut at_once = at_once.max(1);
    let mut planned = plan_all(engine, jobs.iter(), &mut skipped).await;
    while !planned.is_empty() {
        // Side by side they share the memory; one that got too little has all of it in the second round.
        let mut again = Vec::new();
        let mut done = stream::iter(planned)
            .map(|(job, frame)| {
                let engine = Arc::clone(engine);
                async move {
                    let begun = Instant::now();
                    // A task of its own, so that detections share the threads and not one thread.
                    let batches = tokio::spawn(async move { engine.collect(frame).await }).await;
                    (job, batches, begun.elapsed())
                }
            })
            .buffer_unordered(at_once);
        while let Some((job, batches, time)) = done.next().await {
            let query = &job.query;
            let batches = batches.unwrap_or_else(|panic| {
                Err(Error::new(ErrorKind::Internal, "the query stopped unexpectedly").with_source(panic))
            });
            let found = batches.and_then(|batches| contract::findings(query, &batches));
            match found {
                Ok((found, incomplete)) => {
                    on_done(&query.id, found.len(), time);
                    findings.extend(found);
                    skipped.extend(incomplete.map(|reason| Skipped { id: query.id.clone(), reason }));
                }
                Err(error) if at_once > 1 && suggest::is_out_of_memory(&error) => again.push(job),
                Err(error) => skipped.push(Skipped { id: query.id.clone(), reason: error.report() }),
            }
        }
        drop(done);
        at_once = 1;
        planned = plan_all(engine, again.into_iter(), &mut skipped).await;
    }
    for finding in &mut findings {
        finding.suppressed = suppressions.of(finding);
    }
    findings.sort_by(order);
    skipped.sort_by(|a, b| a.id.cmp(&b.id));
    Findings { findings, skipped, seconds: begun.elapsed().as_secs_f64() }
}

/// The detections that can be planned; the others are skipped.
async fn plan_all<'j>(
    engine: &Engine,
    jobs: impl Iterator<Item = &'j Job>,
    skipped: &mut Vec<Skipped>,
) -> Vec<(&'j Job, DataFrame)> {
    let mut planned = Vec::new();
    for job in jobs {
        match plan(engine, job).await {
            Ok(frame) => planned.push((job, frame)),
            Err(error) => skipped.push(Skipped { id: job.query.id.clone(), reason: error.report() }),
        }
    }
    planned
}

async fn plan(engine: &Engine, job: &Job) -> Result<DataFrame> {
    let frame = engine.plan(job.query.sql(), &job.params).await?;
    contract::check(frame.schema())?;
    Ok(frame)
}

/// Worst first, then by detection, bucket and subject.
fn order(a: &Finding, b: &Finding) -> std::cmp::Ordering {
    let place = |f: &Finding| (f.id.clone(), f.bucket.clone(), f.subject.clone(), f.first_seen.clone());
    b.level.cmp(&a.level).then_with(|| place(a).cmp(&place(b)))
}
