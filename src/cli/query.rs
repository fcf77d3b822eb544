//! `s3trail query`: a question to a lake, or to log objects through a lake that is thrown away.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use futures::StreamExt;

use super::Ui;
use super::args::QueryArgs;
use super::output::{NewFile, terminal_width};
use super::settings::Settings;
use super::target::Opened;
use crate::error::{Error, ErrorKind, Result};
use crate::query::saved::read_text;
use crate::query::{Catalog, Engine, Kind, Params};
use crate::report::{self, Format, WriteOptions};

pub(super) async fn run(args: QueryArgs, settings: &Settings, ui: &Ui) -> Result<ExitCode> {
    let catalog = Catalog::load(args.queries.as_deref().or(settings.queries.as_deref()))?;
    let (sql, params) = question(&args, &catalog, settings)?;
    let opened = Opened::open(&args.target, settings, ui).await?;
    let engine = opened.engine(&catalog, settings, args.max_memory, args.timeout).await?;
    answer(&engine, &sql, &params, &args).await?;
    Ok(opened.exit_code())
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
        return read_text(std::io::stdin())
            .map_err(|e| Error::new(ErrorKind::Input, "cannot read SQL from standard input").with_source(e));
    }
    File::open(path).and_then(read_text).map_err(|e| Error::io("read SQL", path, e))
}

async fn answer(engine: &Engine, sql: &str, params: &Params, args: &QueryArgs) -> Result<()> {
    let stream = engine.execute(sql, params).await?;
    let Some(path) = &args.output else {
        let out = std::io::stdout();
        let is_terminal = out.is_terminal();
        let options = WriteOptions {
            width: terminal_width(),
            max_rows: is_terminal.then_some(args.limit),
            csv_raw: args.csv_raw,
            is_terminal,
        };
        return write(stream, args.format, out, options).await;
    };
    let out = NewFile::create(path)?;
    write(
        stream,
        args.format,
        out.writer()?,
        WriteOptions { csv_raw: args.csv_raw, ..WriteOptions::default() },
    )
    .await?;
    out.keep()
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
