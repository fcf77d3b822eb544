//! What the options shared by subcommands come to: command line over settings over what is built in.
//!
//! Plain structs for the layers below are made here, sources and lakes are opened with them here, and here people are
//! asked before anything of theirs is deleted.

use std::io::Write;

use chrono::{DateTime, Utc};
#[cfg(feature = "s3")]
use tokio::sync::OnceCell;
#[cfg(feature = "s3")]
use url::Url;

use super::args::{CloudArgs, SourceArgs};
use super::logging::Ui;
use super::notes::Note;
use super::settings::SourceSettings;
#[cfg(feature = "s3")]
use crate::cloud::{Cloud, CloudOptions, Loops};
use crate::error::{Error, ErrorKind, Result};
use crate::lake::{Lake, Place};
use crate::report::text::escape_for_terminal;
#[cfg(feature = "s3")]
use crate::source::s3::{Listing, Location};
use crate::source::{AfterCommit, SourceOptions, Sources};

/// What an `s3://` location begins with.
const S3: &str = "s3://";

/// The way to S3, found when it is first needed. Without the feature `s3` there is none.
#[derive(Debug, Default)]
pub(super) struct Reach {
    #[cfg(feature = "s3")]
    options: CloudOptions,
    #[cfg(feature = "s3")]
    cloud: OnceCell<Cloud>,
}

#[cfg(feature = "s3")]
impl Reach {
    /// Clients for S3.
    ///
    /// Errors as [`Cloud::connect`].
    pub async fn cloud(&self) -> Result<&Cloud> {
        self.cloud.get_or_try_init(|| Cloud::connect(&self.options)).await
    }
}

impl CloudArgs {
    /// The way to S3 that was asked for.
    #[cfg(feature = "s3")]
    pub fn reach(&self, settings: &SourceSettings) -> Reach {
        Reach { options: self.options(settings), cloud: OnceCell::new() }
    }

    /// As above, in a build that cannot reach S3.
    #[cfg(not(feature = "s3"))]
    pub fn reach(&self, _: &SourceSettings) -> Reach {
        Reach::default()
    }

    #[cfg(feature = "s3")]
    fn options(&self, settings: &SourceSettings) -> CloudOptions {
        CloudOptions {
            profile: self.profile.clone().or_else(|| settings.profile.clone()),
            region: self.region.clone().or_else(|| settings.region.clone()),
            endpoint_url: self.endpoint_url.clone().or_else(|| settings.endpoint_url.clone()),
            path_style: self.path_style || settings.path_style,
            requester_pays: self.requester_pays || settings.requester_pays,
        }
    }
}

impl SourceArgs {
    /// Which log objects are taken in by a round that begins at `now`, and what becomes of them.
    pub fn options(&self, cloud: &CloudArgs, settings: &SourceSettings, now: DateTime<Utc>) -> SourceOptions {
        let defaults = SourceOptions::default();
        let given = |mine: &Vec<glob::Pattern>, theirs: &Vec<glob::Pattern>| {
            if mine.is_empty() { theirs.clone() } else { mine.clone() }
        };
        let since = self.delivered_since.as_ref().or(settings.since.as_ref());
        SourceOptions {
            include: given(&self.include, &settings.include),
            exclude: given(&self.exclude, &settings.exclude),
            since_us: since.and_then(|since| since.at(now)),
            until_us: self.delivered_until.as_ref().and_then(|until| until.at(now)),
            older_than: self.older_than.or(settings.older_than),
            full_scan: self.full_scan,
            full_scan_every: self
                .full_scan_every
                .or(settings.full_scan_every)
                .unwrap_or(defaults.full_scan_every),
            lookback: self.lookback.or(settings.lookback).unwrap_or(defaults.lookback),
            event_days: self.event_days.or(settings.event_days).unwrap_or(defaults.event_days),
            shard: self.shard.map(|shard| (shard.part, shard.of)),
            after: match &self.move_to {
                _ if self.delete_after_commit => AfterCommit::Delete,
                Some(prefix) => AfterCommit::MoveTo(prefix.clone()),
                None => AfterCommit::Keep,
            },
            concurrency: cloud.concurrency.or(settings.concurrency),
            loops_allowed: self.i_know_this_loops,
        }
    }

    /// Refuses options that mean nothing for the sources named.
    ///
    /// Errors with [`ErrorKind::Usage`].
    pub fn check(&self, words: &[String]) -> Result<()> {
        let is_local = bucket_of(words)?.is_none();
        match self.for_s3_only().first() {
            Some(option) if is_local => {
                Err(Error::usage(format!("{option} is for log objects in S3, and the source is local"))
                    .with_context("source", words.join(" "))
                    .with_hint(format!("leave it out, or name a source such as {S3}bucket/prefix")))
            }
            _ => Ok(()),
        }
    }

    /// Asks whether log objects may be deleted or moved, where that was asked for and `--yes` was not given.
    ///
    /// Errors with [`ErrorKind::Usage`] when the answer is no, or nobody can be asked.
    pub fn confirm(&self, words: &[String], ui: Ui) -> Result<()> {
        let (option, what, rest) = match &self.move_to {
            _ if self.delete_after_commit => ("--delete-after-commit", "delete", String::new()),
            Some(prefix) => ("--move-to", "move", format!(" to {prefix}")),
            None => return Ok(()),
        };
        if self.yes {
            return Ok(());
        }
        if !ui.can_ask() {
            return Err(Error::usage(format!("{option} needs --yes where nobody can be asked"))
                .with_hint(format!("with it, log objects are {what}d once they are committed")));
        }
        let question = format!(
            "{what} the log objects of {}{rest} as soon as they are committed? [y/N] ",
            words.join(", ")
        );
        eprint!("{}", escape_for_terminal(&question));
        let mut answer = String::new();
        std::io::stderr()
            .flush()
            .and_then(|()| std::io::stdin().read_line(&mut answer))
            .map_err(|e| Error::new(ErrorKind::Io, "cannot read the answer").with_source(e))?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Error::usage("nothing was done, since the answer was not yes")),
        }
    }
}

/// The bucket, and the prefixes in it, of a source in S3; `None` for local ones.
///
/// Errors with [`ErrorKind::Usage`] when the words name more than one bucket, or something local too.
#[cfg(feature = "s3")]
pub(super) fn bucket_of(words: &[String]) -> Result<Option<(String, Vec<String>)>> {
    let places = words.iter().filter_map(|word| Location::parse(word)).collect::<Result<Vec<_>>>()?;
    let Some(bucket) = places.first().map(|place| place.bucket.clone()) else { return Ok(None) };
    if places.len() < words.len() || places.iter().any(|place| place.bucket != bucket) {
        return Err(Error::usage("a run reads one bucket, or local files")
            .with_context("source", words.join(" "))
            .with_hint("name prefixes of one bucket, and the others in a run of their own"));
    }
    Ok(Some((bucket, places.into_iter().map(|place| place.prefix).collect())))
}

/// As above, in a build that cannot reach S3.
#[cfg(not(feature = "s3"))]
pub(super) fn bucket_of(words: &[String]) -> Result<Option<(String, Vec<String>)>> {
    match words.iter().find(|word| word.starts_with(S3)) {
        Some(word) => Err(without_s3(word)),
        None => Ok(None),
    }
}

#[cfg(not(feature = "s3"))]
fn without_s3(word: &str) -> Error {
    Error::usage("this build of s3trail cannot reach S3")
        .with_context("place", word)
        .with_hint("build it with the feature s3, which is on by default")
}

/// Opens the sources. A bucket is listed from where `cursor`, which the last run left, points to.
pub(super) async fn open_sources(
    words: &[String],
    options: &SourceOptions,
    reach: &Reach,
    cursor: Option<&[u8]>,
    ui: Ui,
) -> Result<Sources> {
    if let Some((bucket, prefixes)) = bucket_of(words)? {
        let opened = open_bucket(&bucket, prefixes, options, reach, cursor).await;
        return opened.map_err(|e| e.with_context("source", words.join(" ")));
    }
    if words.iter().any(|word| word == "-") {
        ui.note(&Note::StdinSpooled);
    }
    Sources::files(words, options)
}

#[cfg(feature = "s3")]
async fn open_bucket(
    bucket: &str,
    prefixes: Vec<String>,
    options: &SourceOptions,
    reach: &Reach,
    cursor: Option<&[u8]>,
) -> Result<Sources> {
    let cloud = reach.cloud().await?;
    Listing::open(cloud, bucket, prefixes, options, cursor).await.map(Sources::Bucket)
}

#[cfg(not(feature = "s3"))]
async fn open_bucket(
    bucket: &str,
    _: Vec<String>,
    _: &SourceOptions,
    _: &Reach,
    _: Option<&[u8]>,
) -> Result<Sources> {
    Err(without_s3(bucket))
}

/// Refuses a lake in a bucket where writing to it makes log objects in the bucket `source`; `unknown` hears of a bucket
/// whose logging may not be known.
///
/// Errors with [`ErrorKind::Usage`] and the way round.
#[cfg(feature = "s3")]
pub(super) async fn refuse_loop(
    lake: &str,
    source: &str,
    reach: &Reach,
    unknown: impl FnOnce(String),
) -> Result<()> {
    let Some(place) = Location::parse(lake).transpose()? else { return Ok(()) };
    let cloud = reach.cloud().await.map_err(|e| e.with_context("lake", lake))?;
    match cloud.loops(&place.bucket, source).await? {
        Loops::None => Ok(()),
        Loops::Unknown(bucket) => {
            unknown(bucket);
            Ok(())
        }
        Loops::Found(found) => Err(Error::usage(
            "writing to the lake would make log objects in the source, and every run more of them",
        )
        .with_context("the way", found.to_string())
        .with_hint(
            "put the lake into a bucket that is not logged there; --i-know-this-loops goes on all the same",
        )),
    }
}

/// As above, in a build in which no lake is in a bucket.
#[cfg(not(feature = "s3"))]
pub(super) async fn refuse_loop(_: &str, _: &str, _: &Reach, _: impl FnOnce(String)) -> Result<()> {
    Ok(())
}

/// Where a lake is.
#[cfg(feature = "s3")]
async fn place(location: &str, reach: &Reach) -> Result<Place> {
    let Some(found) = Location::parse(location).transpose()? else { return Place::parse(location) };
    let url = Url::parse(&format!("{S3}{}/{}", found.bucket, found.prefix))
        .map_err(|e| Error::usage("this is no place in S3").with_context("lake", location).with_source(e))?;
    let cloud = reach.cloud().await.map_err(|e| e.with_context("lake", location))?;
    Ok(Place::Store { url, store: cloud.object_store(&found.bucket, &found.prefix).await? })
}

/// As above, in a build that cannot reach S3.
#[cfg(not(feature = "s3"))]
async fn place(location: &str, _: &Reach) -> Result<Place> {
    if location.starts_with(S3) { Err(without_s3(location)) } else { Place::parse(location) }
}

/// Opens the lake at `location`, or makes one.
pub(super) async fn open_or_create_lake(location: &str, reach: &Reach) -> Result<Lake> {
    Lake::open_or_create_at(place(location, reach).await?).await
}

/// Opens the lake at `location`.
pub(super) async fn open_lake(location: &str, reach: &Reach) -> Result<Lake> {
    Lake::open_at(place(location, reach).await?).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        source: SourceArgs,
        #[command(flatten)]
        cloud: CloudArgs,
    }

    fn line(line: &str) -> Line {
        Line::try_parse_from(["x"].into_iter().chain(line.split_whitespace())).unwrap()
    }

    fn settings(text: &str) -> SourceSettings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn the_command_line_wins_over_the_settings() {
        let now = DateTime::parse_from_rfc3339("2026-03-10T00:00:00Z").unwrap().to_utc();
        let settings = settings(
            "region = 'eu-west-1'\nprofile = 'logs'\npath_style = true\nlookback = '3d'\nevent_days = 14\n\
             include = ['a/*']\nsince = '-1d'\nconcurrency = 8\nolder_than = '90s'\nfull_scan_every = '30d'\n",
        );
        let given = line("--region us-east-1 --lookback 12h --include b/* --shard 2/4 --move-to done/");
        #[cfg(feature = "s3")]
        {
            let cloud = given.cloud.options(&settings);
            assert_eq!(cloud.region.as_deref(), Some("us-east-1"));
            assert_eq!((cloud.profile.as_deref(), cloud.path_style), (Some("logs"), true));
        }
        let source = given.source.options(&given.cloud, &settings, now);
        assert_eq!((source.lookback, source.event_days), (Duration::from_secs(12 * 3600), 14));
        assert_eq!(source.include.iter().map(glob::Pattern::as_str).collect::<Vec<_>>(), ["b/*"]);
        assert_eq!(source.since_us, Some((now.timestamp() - 86_400) * 1_000_000));
        assert_eq!((source.shard, source.older_than), (Some((2, 4)), Some(Duration::from_secs(90))));
        assert_eq!(source.full_scan_every, Duration::from_secs(30 * 86_400));
        assert_eq!(source.concurrency.map(std::num::NonZeroUsize::get), Some(8));
        assert!(matches!(source.after, AfterCommit::MoveTo(prefix) if prefix == "done/"));
        let nothing = line("");
        let source = nothing.source.options(&nothing.cloud, &SourceSettings::default(), now);
        assert_eq!((source.lookback, source.event_days), (Duration::from_secs(48 * 3600), 10));
        assert!(
            matches!(source.after, AfterCommit::Keep) && source.since_us.is_none() && !source.loops_allowed
        );
    }

    #[test]
    #[cfg(feature = "s3")]
    fn options_without_effect_are_refused() {
        let words = |text: &str| vec![text.to_owned()];
        let given = line("--full-scan --include *.log");
        assert!(given.source.check(&words("s3://amzn-s3-demo-logs/")).is_ok());
        let refused = given.source.check(&words("./logs")).unwrap_err();
        assert!(refused.report().contains("--full-scan") && refused.report().contains("./logs"));
        let given = line("--include *.log --exclude x --older-than 1h --shard 1/2");
        assert!(given.source.check(&words("./logs")).is_ok());
        for mixed in [["s3://amzn-s3-demo-a/x", "s3://amzn-s3-demo-b/x"], ["s3://amzn-s3-demo-a/x", "./logs"]]
        {
            assert!(line("").source.check(&mixed.map(str::to_owned)).is_err(), "{mixed:?}");
        }
    }

    #[test]
    fn nothing_is_deleted_without_a_yes() {
        let words = ["s3://amzn-s3-demo-logs/".to_owned()];
        let ui = Ui { quiet: true };
        assert!(line("").source.confirm(&words, ui).is_ok());
        for given in ["--delete-after-commit", "--move-to done/"] {
            assert!(line(&format!("{given} --yes")).source.confirm(&words, ui).is_ok());
        }
    }
}
