//! `s3trail query`: a question to a lake, or to log objects through a lake that is thrown away.

use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use futures::StreamExt;

use super::args::{QueryArgs, Target};
use super::ingest::{lake_location, open_sources, print_summary, report_trouble};
use super::progress::Bar;
use super::settings::Settings;
use super::{Ui, threads};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::{IngestOptions, ingest};
use crate::lake::{Lake, Table};
use crate::query::{Catalog, Engine, EngineOptions, Kind, Params, reference, views};
use crate::report::{self, Format, WriteOptions};

pub(super) async fn run(args: QueryArgs, settings: &Settings, ui: &Ui) -> Result<ExitCode> {
    let catalog = Catalog::load(args.queries.as_deref().or(settings.queries.as_deref()))?;
    let (sql, params) = question(&args, &catalog, settings)?;
    let opened = open_target(&args.target, settings, ui).await?;
    let options = EngineOptions {
        threads: Some(threads()),
        memory_limit_bytes: args.max_memory,
        timeout: args.timeout,
        ..EngineOptions::default()
    };
    let engine = Engine::new(&options)?;
    for table in Table::ALL {
        engine.register_table(table.name(), opened.lake.provider(table).await?).await?;
    }
    reference::register(&engine, &settings.reference()).await?;
    views::register(&engine, &catalog).await?;
    answer(&engine, &sql, &params, &args).await?;
    Ok(ExitCode::SUCCESS)
}

/// The SQL and its parameters: from a file, a saved query, or the command line itself.
fn question(args: &QueryArgs, catalog: &Catalog, settings: &Settings) -> Result<(String, Params)> {
    if let Some(path) = &args.file {
        return Ok((read_sql(path)?, Params::free(&args.params)?));
    }
    let text = args.query.as_deref().unwrap_or_default().trim();
    if text.contains(char::is_whitespace) {
        return Ok((text.to_owned(), Params::free(&args.params)?));
    }
    let saved = catalog.get(text)?;
    if saved.kind == Kind::View {
        return Ok((format!("SELECT * FROM {text}"), Params::free(&args.params)?));
    }
    Ok((saved.sql().to_owned(), Params::bind(saved, &settings.with_params(saved, &args.params))?))
}

fn read_sql(path: &Path) -> Result<String> {
    if path == Path::new("-") {
        let mut sql = String::new();
        std::io::stdin().read_to_string(&mut sql).map_err(|e| {
            Error::new(ErrorKind::Input, "cannot read SQL from standard input").with_source(e)
        })?;
        return Ok(sql);
    }
    std::fs::read_to_string(path).map_err(|e| Error::io("read SQL", path, e))
}

/// A lake, and the folder that goes away with it when it is a temporary one.
struct Opened {
    lake: Lake,
    _temporary: Option<tempfile::TempDir>,
}

async fn open_target(target: &Target, settings: &Settings, ui: &Ui) -> Result<Opened> {
    if target.logs.is_empty() {
        let location = lake_location(target.lake.as_deref(), settings, ui);
        return Ok(Opened { lake: Lake::open(&location).await?, _temporary: None });
    }
    let folder = tempfile::Builder::new()
        .prefix("s3trail-")
        .tempdir()
        .map_err(|e| Error::io("create a temporary lake", std::env::temp_dir(), e))?;
    let bar = Bar::new(&target.logs, ui.quiet);
    let sources = open_sources(&target.logs, ui)?;
    let location = folder.path().join("lake");
    let mut lake = Lake::open_or_create(&location.to_string_lossy()).await?;
    let options =
        IngestOptions { log_bucket: target.log_bucket.clone(), durable: false, ..IngestOptions::default() };
    let summary = ingest(Some(&mut lake), sources, &options, &bar).await?;
    let first_reject = bar.finish();
    report_trouble(&summary, first_reject, ui);
    print_summary(&summary, false, ui);
    Ok(Opened { lake, _temporary: Some(folder) })
}

async fn answer(engine: &Engine, sql: &str, params: &Params, args: &QueryArgs) -> Result<()> {
    let stream = engine.execute(sql, params).await?;
    let Some(path) = &args.output else {
        let out = std::io::stdout();
        let is_terminal = out.is_terminal();
        let options = WriteOptions {
            width: is_terminal.then(terminal_width).flatten(),
            max_rows: is_terminal.then_some(args.limit),
            csv_raw: args.csv_raw,
            is_terminal,
        };
        return write(stream, args.format, out, options).await;
    };
    // The old file stays until the new one is whole.
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary =
        tempfile::NamedTempFile::new_in(folder).map_err(|e| Error::io("create file in", folder, e))?;
    let file = temporary.reopen().map_err(|e| Error::io("write", path, e))?;
    write(stream, args.format, file, WriteOptions { csv_raw: args.csv_raw, ..WriteOptions::default() })
        .await?;
    let file = temporary.persist(path).map_err(|e| Error::io("write", path, e.error))?;
    readable(&file);
    Ok(())
}

/// Temporary files are private; an answer is as readable as any new file.
fn readable(file: &File) {
    use std::os::unix::fs::PermissionsExt;
    // Not worth failing for: the answer is there.
    let _ = file.set_permissions(std::fs::Permissions::from_mode(0o644));
}

async fn write<W: Write + Send>(
    mut stream: datafusion::execution::SendableRecordBatchStream,
    format: Format,
    out: W,
    options: WriteOptions,
) -> Result<()> {
    let mut writer = report::writer(format, stream.schema(), out, options)?;
    while let Some(batch) = stream.next().await {
        writer.write(&batch.map_err(Engine::query_error)?)?;
    }
    writer.finish()?;
    Ok(())
}

/// Columns of the terminal that standard output is.
fn terminal_width() -> Option<usize> {
    console_width().or_else(|| std::env::var("COLUMNS").ok()?.parse().ok())
}

fn console_width() -> Option<usize> {
    // SAFETY: `size` is a valid, writable winsize for the call.
    let size = unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        (libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) == 0).then_some(size)
    };
    size.map(|s| usize::from(s.ws_col)).filter(|width| *width > 0)
}
