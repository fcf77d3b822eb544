//! Queries only read, and only the tables of the lake.
//!
//! Two layers: the statement is checked as it is parsed, so that the refusal can say which word it is about;
//! then the plan is checked by the engine's own rules. Neither layer knows what a query is for.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{DFParserBuilder, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{
    ObjectName, ObjectNamePart, Query, Select, Statement, TableFactor, Visit, Visitor,
};

use super::suggest::query_error;
use crate::error::{Error, ErrorKind, Result};

/// How deep a statement may be nested: deep enough for people, not for the stack.
const MOST_NESTED: usize = 50;

/// Functions that may stand where a table does: they make rows out of their arguments.
const TABLE_FUNCTIONS: [&str; 3] = ["generate_series", "range", "unnest"];

/// Endings of names that are meant as files.
const FILE_ENDINGS: [&str; 11] =
    [".parquet", ".csv", ".tsv", ".json", ".ndjson", ".jsonl", ".arrow", ".avro", ".log", ".gz", ".zst"];

/// A statement that only reads.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The statement.
    pub statement: DfStatement,
    /// Names of functions that stand where a table does; all are known.
    pub table_functions: BTreeSet<String>,
}

/// Parses one statement and refuses everything that does not only read tables of the lake.
///
/// # Errors
///
/// [`ErrorKind::Query`] for text that is no SQL, none or several statements, a statement that writes, changes
/// settings or reads files.
pub fn check(sql: &str) -> Result<Checked> {
    let parse = || DFParserBuilder::new(sql).with_recursion_limit(MOST_NESTED).build()?.parse_statements();
    let mut statements = parse().map_err(|error| query_error(&error, None))?;
    let statement = statements.pop_front().ok_or_else(|| refused("there is no statement"))?;
    if !statements.is_empty() {
        return Err(refused("there are several statements; send one at a time"));
    }
    let mut reading = Reading { table_functions: BTreeSet::new() };
    check_statement(&statement, &mut reading)?;
    Ok(Checked { statement, table_functions: reading.table_functions })
}

/// Refuses a plan that does anything but read.
///
/// # Errors
///
/// [`ErrorKind::Query`].
pub fn verify(plan: &LogicalPlan) -> Result<()> {
    let only_reading =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    only_reading.verify_plan(plan).map_err(|error| query_error(&error, None))
}

fn check_statement(statement: &DfStatement, reading: &mut Reading) -> Result<()> {
    match statement {
        DfStatement::Statement(statement) => match statement.as_ref().visit(reading) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        },
        // What is explained is checked like what is run: ANALYZE does run it.
        DfStatement::Explain(explain) => check_statement(&explain.statement, reading),
        DfStatement::CreateExternalTable(_) => Err(not_a_query("CREATE EXTERNAL TABLE")),
        DfStatement::CopyTo(_) => Err(not_a_query("COPY")),
        DfStatement::Reset(_) => Err(not_a_query("RESET")),
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Query, message)
}

fn not_a_query(word: &str) -> Error {
    refused(format!("{word} is not allowed: queries only read"))
        .with_hint("use SELECT, EXPLAIN, SHOW or DESCRIBE")
}

/// Visits every part of a statement, also inside subqueries and common table expressions.
struct Reading {
    table_functions: BTreeSet<String>,
}

impl Reading {
    fn table_function(&mut self, name: &ObjectName) -> ControlFlow<Error> {
        let name = name.to_string().to_lowercase();
        if TABLE_FUNCTIONS.contains(&name.as_str()) {
            self.table_functions.insert(name);
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(
            refused(format!(
                "{name} cannot stand where a table does: queries only read the tables of the lake"
            ))
            .with_hint(format!("known are {}", TABLE_FUNCTIONS.join(", "))),
        )
    }
}

impl Visitor for Reading {
    type Break = Error;

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Error> {
        match statement {
            Statement::Query(_)
            | Statement::Explain { .. }
            | Statement::ExplainTable { .. }
            | Statement::ShowTables { .. }
            | Statement::ShowColumns { .. }
            | Statement::ShowFunctions { .. }
            | Statement::ShowVariable { .. }
            | Statement::ShowCreate { .. } => ControlFlow::Continue(()),
            other => {
                let text = other.to_string();
                let word = text.split_whitespace().next().unwrap_or("this statement");
                ControlFlow::Break(not_a_query(&word.to_uppercase()))
            }
        }
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        // Clauses of other dialects that the engine would pass over in silence or refuse less clearly.
        if !query.locks.is_empty() {
            return ControlFlow::Break(not_a_query("FOR UPDATE"));
        }
        if query.settings.is_some() {
            return ControlFlow::Break(not_a_query("SETTINGS"));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Error> {
        if select.into.is_some() {
            return ControlFlow::Break(not_a_query("SELECT INTO"));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Error> {
        match table {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => {
                self.table_function(name)
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Error> {
        if is_file_like(relation) {
            return ControlFlow::Break(
                refused(format!("{relation} looks like a file: queries only read the tables of the lake"))
                    .with_hint("take the file in with s3trail ingest, or name it after --logs"),
            );
        }
        ControlFlow::Continue(())
    }
}

/// Whether a table name is meant as a path or URL.
fn is_file_like(relation: &ObjectName) -> bool {
    let parts = relation.0.iter().map(|part| match part {
        ObjectNamePart::Identifier(identifier) => identifier.value.as_str(),
        ObjectNamePart::Function(_) => "",
    });
    let name = parts.collect::<Vec<_>>().join(".").to_lowercase();
    name.contains(['/', '\\', '*']) || FILE_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_is_allowed() {
        for sql in [
            "SELECT 1",
            "  select * from access_logs where key like '/%.csv' ; ",
            "WITH t AS (SELECT 1 AS a) SELECT * FROM t UNION ALL SELECT 2",
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 9) SELECT * FROM r",
            "VALUES (1), (2)",
            "EXPLAIN SELECT 1",
            "EXPLAIN ANALYZE SELECT count(*) FROM access_logs",
            "SHOW TABLES",
            "SHOW COLUMNS FROM requests",
            "SHOW FUNCTIONS LIKE 'ip%'",
            "SHOW CREATE TABLE requests",
            "SHOW ALL",
            "DESCRIBE access_logs",
            "DESCRIBE SELECT 1",
            "SELECT * FROM generate_series(1, 3)",
            "SELECT * FROM unnest([1, 2])",
            "--! id = \"x\"\n-- a comment; with a semicolon\nSELECT $name",
        ] {
            assert!(check(sql).is_ok(), "{sql}: {:?}", check(sql).err().map(|e| e.report()));
        }
    }

    #[test]
    fn all_else_is_refused_by_its_word() {
        let cases = [
            ("CREATE TABLE t AS SELECT 1", "CREATE is not allowed"),
            ("CREATE VIEW v AS SELECT 1", "CREATE is not allowed"),
            (
                "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
                "CREATE EXTERNAL TABLE is not allowed",
            ),
            ("COPY (SELECT 1) TO 'out.csv'", "COPY is not allowed"),
            ("EXPLAIN COPY (SELECT 1) TO 'out.csv'", "COPY is not allowed"),
            ("EXPLAIN ANALYZE INSERT INTO access_logs VALUES (1)", "INSERT is not allowed"),
            ("INSERT INTO access_logs SELECT 1", "INSERT is not allowed"),
            ("UPDATE access_logs SET key = ''", "UPDATE is not allowed"),
            ("DELETE FROM access_logs", "DELETE is not allowed"),
            ("TRUNCATE TABLE access_logs", "TRUNCATE is not allowed"),
            ("DROP TABLE access_logs", "DROP is not allowed"),
            ("SET datafusion.execution.batch_size = 1", "SET is not allowed"),
            ("RESET datafusion.execution.batch_size", "RESET is not allowed"),
            ("PREPARE p AS SELECT 1", "PREPARE is not allowed"),
            ("BEGIN", "BEGIN is not allowed"),
            ("WITH t AS (SELECT 1) INSERT INTO access_logs SELECT * FROM t", "INSERT is not allowed"),
            ("SELECT 1 INTO t", "SELECT INTO is not allowed"),
            ("SELECT * FROM access_logs FOR UPDATE", "FOR UPDATE is not allowed"),
            ("SELECT 1; SELECT 2", "several statements"),
            ("", "there is no statement"),
            (" ; ; ", "there is no statement"),
            ("-- nothing", "there is no statement"),
            ("SELECT * FROM '/etc/passwd'", "looks like a file"),
            ("SELECT * FROM \"s3://amzn-s3-demo-bucket/x\"", "looks like a file"),
            ("SELECT * FROM x.parquet", "looks like a file"),
            ("SELECT * FROM access_logs WHERE key IN (SELECT c FROM '../x.csv')", "looks like a file"),
            ("DESCRIBE '/etc/passwd'", "looks like a file"),
            ("SELECT * FROM read_csv('/etc/passwd')", "read_csv cannot stand where a table does"),
            ("SELECT * FROM parquet_metadata('x')", "parquet_metadata cannot stand where a table does"),
            ("SELEC 1", "this is no SQL"),
            ("SELECT 'open", "this is no SQL"),
        ];
        for (sql, message) in cases {
            let report = check(sql).expect_err(sql).report();
            assert!(report.contains(message), "{sql}: {report}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_not_fatal() {
        let sql = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(check(&sql).unwrap_err().report().contains("nested too deeply"));
    }
}
