//! The commit protocol in a folder and in a bucket: two writers, a crash at each step, answers that get lost.

use std::fs::File;
use std::time::{Duration, SystemTime};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStoreExt, PutPayload};

use super::super::Place;
use super::super::delta::{CHECKPOINT_EVERY, log_entry, log_folder};
use super::super::intent::DEAD_AFTER;
use super::super::parts::part_location;
use super::super::testing::{Fault, Ground, Object, SOURCE, in_lake, part};
use super::*;

/// 2026-01-01.
const DAY: i32 = 20_454;

/// The files of a commit batch of one log object.
fn batch(lake: &Lake, key: &str) -> Vec<PartFile> {
    let object = Object::of(key);
    vec![
        part(lake, Table::AccessLogs, object, Some(DAY), 1),
        part(lake, Table::AccessLogs, object, None, 1),
        part(lake, Table::Rejects, object, None, 1),
        part(lake, Table::LogObjects, object, None, 1),
    ]
}

/// Rows of access_logs, rejects and log_objects, as a reader who opens the lake now sees them.
async fn rows(ground: &Ground) -> [i64; 3] {
    let fresh = ground.open().await;
    let mut counts = [0; 3];
    for (count, table) in counts.iter_mut().zip([Table::AccessLogs, Table::Rejects, Table::LogObjects]) {
        let batches = fresh.sql(&format!("SELECT count(*) AS n FROM {table}")).await.unwrap();
        *count = batches[0].column(0).as_primitive::<Int64Type>().value(0);
    }
    counts
}

async fn ingest(lake: &mut Lake, key: &str) -> Vec<PartFile> {
    let parts = batch(lake, key);
    let attempt = lake.begin(SOURCE).await.unwrap();
    lake.commit(&attempt, &parts).await.unwrap();
    parts
}

/// An attempt that stops after step 2.
async fn stop_after_intent(lake: &mut Lake, key: &str) -> (Intent, Vec<PartFile>) {
    let parts = batch(lake, key);
    let attempt = lake.begin(SOURCE).await.unwrap();
    let intent = lake.intent(&attempt, &parts, Change::default()).unwrap();
    lake.site.deliver(&parts).await.unwrap();
    lake.write_intent(&intent).await.unwrap();
    (intent, parts)
}

/// Makes an object of a lake in a folder two days old.
fn make_old(ground: &Ground, object: &ObjectPath) {
    let path = ground.dir().unwrap().join("lake").join(object.to_string());
    let before = SystemTime::now() - 2 * DEAD_AFTER;
    File::options().write(true).open(path).unwrap().set_modified(before).unwrap();
}

/// Whether files that were written are still where they were written to.
fn staged(lake: &Lake, parts: &[PartFile]) -> usize {
    parts.iter().filter(|part| lake.table_dir(part.table).join(&part.path).exists()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_lake_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let kind = |outcome: Result<Lake>| outcome.unwrap_err().kind();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    assert_eq!(kind(Lake::open(&path("missing")).await), ErrorKind::NotFound);
    assert_eq!(kind(Lake::open("").await), ErrorKind::Usage);
    for location in ["s3://amzn-s3-demo-bucket/lake", "gs://amzn-s3-demo-bucket/lake"] {
        assert_eq!(kind(Lake::open(location).await), ErrorKind::Usage);
        assert_eq!(kind(Lake::open_or_create(location).await), ErrorKind::Usage);
    }
    std::fs::write(path("file"), "x").unwrap();
    assert_eq!(kind(Lake::open(&path("file")).await), ErrorKind::Lake);
    assert_eq!(kind(Lake::open_or_create(&path("file")).await), ErrorKind::Lake);
    std::fs::create_dir_all(path("full/access_logs")).unwrap();
    assert_eq!(kind(Lake::open(&path("full")).await), ErrorKind::Lake);
    assert_eq!(kind(Lake::open_or_create(&path("full")).await), ErrorKind::Lake);
    assert!(!dir.path().join("full/_s3trail").exists());
    std::fs::create_dir_all(path("mount/lost+found")).unwrap();
    assert_eq!(kind(Lake::open(&path("mount")).await), ErrorKind::Lake);
    Lake::open_or_create(&path("mount")).await.unwrap();
    Lake::open(&path("mount")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_lake_in_a_bucket_is_refused() {
    let kind = |outcome: Result<Lake>| outcome.unwrap_err().kind();
    let ground = Ground::store();
    assert_eq!(kind(Lake::open_at(ground.place()).await), ErrorKind::NotFound);
    let Place::Store { store, .. } = ground.place() else { unreachable!() };
    let other = ObjectPath::from("2026-01-01-00-00-00-0123456789ABCDEF");
    store.put(&other, "a log object".into()).await.unwrap();
    assert_eq!(kind(Lake::open_at(ground.place()).await), ErrorKind::Lake);
    let error = Lake::open_or_create_at(ground.place()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lake);
    let report = error.report();
    assert!(
        report.contains("s3://amzn-s3-demo-lake/some%20where/lake") && report.contains("0123456789ABCDEF")
    );
    store.delete(&other).await.unwrap();
    ground.create().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lake_of_a_newer_version_is_left_alone() {
    for ground in Ground::both() {
        let lake = ground.create().await;
        let marker = ObjectPath::from("_s3trail/lake.json");
        lake.site.store().put(&marker, "{\"format\": 2}".into()).await.unwrap();
        assert_eq!(Lake::open_at(ground.place()).await.unwrap_err().kind(), ErrorKind::Lake);
        assert_eq!(Lake::open_or_create_at(ground.place()).await.unwrap_err().kind(), ErrorKind::Lake);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_create_one_lake() {
    for ground in Ground::both() {
        let tasks: Vec<_> = (0..4).map(|_| tokio::spawn(Lake::open_or_create_at(ground.place()))).collect();
        for task in tasks {
            let lake = task.await.unwrap().unwrap();
            for table in Table::ALL {
                assert_eq!(lake.version(table).unwrap(), 0);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfinished_creation_is_completed_but_a_lost_table_is_not_replaced() {
    for ground in Ground::both() {
        let lake = ground.create().await;
        let store = Arc::clone(lake.site.store());
        for table in [Table::AccessLogs, Table::Rejects] {
            store.delete(&log_entry(table.name(), 0)).await.unwrap();
        }
        assert_eq!(Lake::open_at(ground.place()).await.unwrap_err().kind(), ErrorKind::Lake);
        let mut lake = ground.create().await;
        ingest(&mut lake, "a").await;
        for table in Table::ALL {
            let log: Vec<ObjectPath> = (0..2).map(|version| log_entry(table.name(), version)).collect();
            let mut away: Vec<PutPayload> = Vec::new();
            for entry in &log {
                away.push(store.get(entry).await.unwrap().bytes().await.unwrap().into());
                store.delete(entry).await.unwrap();
            }
            assert_eq!(Lake::open_or_create_at(ground.place()).await.unwrap_err().kind(), ErrorKind::Lake);
            for (entry, content) in log.iter().zip(away) {
                assert!(store.head(entry).await.is_err());
                store.put(entry, content).await.unwrap();
            }
        }
        assert_eq!(rows(&ground).await, [2, 1, 1]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_visible_in_all_tables() {
    for ground in Ground::both() {
        let mut lake = ground.create().await;
        assert_eq!(lake.recover().await.unwrap(), Recovery::default());
        assert!(lake.ledger().await.unwrap().is_empty());
        ingest(&mut lake, "logs/a").await;
        let parts = ingest(&mut lake, "logs/b").await;
        assert_eq!(rows(&ground).await, [4, 2, 2]);
        assert_eq!(in_lake(&lake, &parts).await, 4);
        assert_eq!(staged(&lake, &parts), if ground.dir().is_some() { 4 } else { 0 });
        let ledger = lake.ledger().await.unwrap();
        assert_eq!(ledger.len(), 2);
        assert!(ledger.contains(None, "logs/a", "0f"));
        assert!(!ledger.contains(None, "logs/a", "1f"));
        let dated = "SELECT count(*) AS n FROM access_logs WHERE event_date = DATE '2026-01-01'";
        assert_eq!(lake.sql(dated).await.unwrap()[0].column(0).as_primitive::<Int64Type>().value(0), 2);
        assert!(lake.intents().await.unwrap().is_empty());

        let attempt = lake.begin(SOURCE).await.unwrap();
        lake.commit(&attempt, &[]).await.unwrap();
        assert_eq!(lake.txn(Table::LogObjects, SOURCE).await.unwrap(), Some(attempt.n));
        assert_eq!(lake.commit(&attempt, &[]).await.unwrap_err().kind(), ErrorKind::Conflict);
        assert!(lake.begin(SOURCE).await.unwrap().n > attempt.n);
        assert_eq!(lake.begin("../up").await.unwrap_err().kind(), ErrorKind::Internal);

        let report = lake.verify().await.unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
        assert_eq!((report.log_objects, report.read.files, report.rows), (2, 8, 8));
        let status = lake.status().await.unwrap();
        assert_eq!(status.tables.iter().map(|table| table.rows).collect::<Vec<_>>(), [4, 2, 2]);
        assert!(status.tables.iter().all(|table| table.last_commit.is_some()));
        assert_eq!((status.first_time, status.pending_intents, status.remains.files), (None, 0, 0));
        assert_eq!(status.location, lake.location());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_of_two_writers_gets_a_conflict() {
    for ground in Ground::both() {
        let mut first = ground.create().await;
        let mut second = ground.open().await;
        second.recover().await.unwrap();
        second.ledger().await.unwrap();
        ingest(&mut first, "a").await;

        // Neither a later attempt nor a refresh helps: the ledger does not know `a`.
        second.refresh().await.unwrap();
        let attempt = second.begin(SOURCE).await.unwrap();
        let parts = batch(&second, "a");
        let error = second.commit(&attempt, &parts).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(second.intents().await.unwrap().is_empty());
        assert_eq!(rows(&ground).await, [2, 1, 1]);
        second.discard(&parts).await.unwrap();
        assert_eq!((in_lake(&second, &parts).await, staged(&second, &parts)), (0, 0));

        second.recover().await.unwrap();
        assert!(second.ledger().await.unwrap().contains(None, "a", "0f"));
        ingest(&mut second, "b").await;
        assert_eq!(rows(&ground).await, [4, 2, 2]);

        // Another source does not mind.
        let other = first.begin("other").await.unwrap();
        let parts = batch(&first, "c");
        first.commit(&other, &parts).await.unwrap();
        assert_eq!(rows(&ground).await, [6, 3, 3]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_slips_in_between_is_seen_by_delta() {
    for ground in Ground::both() {
        let mut lake = ground.create().await;
        let (intent, _) = stop_after_intent(&mut lake, "a").await;
        let mut other = ground.open().await;
        ingest(&mut other, "b").await;
        // As if the check of step 3 had been made before.
        assert!(matches!(lake.commit_table(Table::AccessLogs, &intent).await.unwrap(), Append::Again));
        assert!(
            matches!(lake.decide(&intent, None).await, Decision::Lost(e) if e.kind() == ErrorKind::Conflict)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_before_the_commit_point_leaves_nothing() {
    for ground in Ground::both() {
        let mut lake = ground.create().await;
        let (_, parts) = stop_after_intent(&mut lake, "a").await;
        let mut next = ground.open().await;
        assert_eq!(next.recover().await.unwrap().left_alone, 1);
        next.discard(&parts).await.unwrap();
        assert_eq!(in_lake(&next, &parts).await, 4);
        assert_eq!(rows(&ground).await, [0, 0, 0]);

        ingest(&mut next, "b").await;
        let recovery = next.recover().await.unwrap();
        assert_eq!((recovery.discarded, recovery.files_removed), (1, 4));
        assert_eq!(in_lake(&next, &parts).await, 0);
        assert_eq!(next.recover().await.unwrap(), Recovery::default());
        assert_eq!(rows(&ground).await, [2, 1, 1]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_attempt_is_fenced_before_its_files_go() {
    let ground = Ground::folder();
    let mut sleeper = ground.create().await;
    let (intent, parts) = stop_after_intent(&mut sleeper, "a").await;
    make_old(&ground, &intent.location().unwrap());
    let mut next = ground.open().await;
    next.ledger().await.unwrap();
    let recovery = next.recover().await.unwrap();
    assert_eq!((recovery.discarded, recovery.left_alone), (1, 0));
    assert_eq!(in_lake(&next, &parts).await, 0);
    // The sleeper wakes up where it was.
    let decision = sleeper.decide(&intent, None).await;
    assert!(matches!(decision, Decision::Lost(e) if e.kind() == ErrorKind::Conflict));
    // And whoever fenced it goes on.
    ingest(&mut next, "b").await;
    assert_eq!(rows(&ground).await, [2, 1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_after_the_commit_point_loses_nothing() {
    for ground in Ground::both() {
        let mut lake = ground.create().await;
        ingest(&mut lake, "a").await;
        for steps in 0..=2 {
            let done = &[Table::Rejects, Table::LogObjects][..steps];
            let key = format!("b{steps}");
            let before = rows(&ground).await;
            let covered = lake.covered(SOURCE).await.unwrap();
            let (intent, parts) = stop_after_intent(&mut lake, &key).await;
            assert!(matches!(lake.decide(&intent, covered).await, Decision::Committed));
            for table in done {
                assert!(matches!(lake.commit_table(*table, &intent).await.unwrap(), Append::Done(_)));
            }
            let mut next = ground.open().await;
            let at_risk = next.verify().await.unwrap().problems.len();
            assert_eq!(at_risk > 0, steps < 2);
            next.discard(&parts).await.unwrap();

            // Without recovery nobody may go on for this source.
            if steps < 2 {
                let attempt = next.begin(SOURCE).await.unwrap();
                assert_eq!(next.commit(&attempt, &[]).await.unwrap_err().kind(), ErrorKind::Conflict);
            }
            assert_eq!(next.recover().await.unwrap().rolled_forward, 1);
            assert_eq!(next.recover().await.unwrap(), Recovery::default());
            assert_eq!(lake.recover().await.unwrap(), Recovery::default());
            assert_eq!(rows(&ground).await, [before[0] + 2, before[1] + 1, before[2] + 1]);
            assert!(next.ledger().await.unwrap().contains(None, &key, "0f"));
            assert_eq!(next.verify().await.unwrap().problems, Vec::<String>::new());
            lake = next;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_gets_lost_loses_nothing_and_doubles_nothing() {
    let first = |table: Table| log_entry(table.name(), 1).to_string();
    let puts = [
        "_s3trail/intents/local/".to_owned(),
        first(Table::AccessLogs),
        first(Table::Rejects),
        first(Table::LogObjects),
    ];
    for (at, put) in puts.iter().enumerate() {
        for fault in [Fault::Fail, Fault::Lose, Fault::Again] {
            let (ground, faults) = Ground::fickle();
            let mut lake = ground.create().await;
            let parts = batch(&lake, "a");
            let attempt = lake.begin(SOURCE).await.unwrap();
            faults.next(put, fault);
            let outcome = lake.commit(&attempt, &parts).await;
            assert!(faults.is_spent(), "{put} {fault:?}");
            // An intent is asked for only when it is in the way.
            let fails = fault == Fault::Fail || (at == 0 && fault == Fault::Lose);
            assert_eq!(outcome.is_err(), fails, "{put} {fault:?}: {outcome:?}");
            if let Err(e) = outcome {
                assert_eq!(e.kind(), ErrorKind::Io, "{put} {fault:?}: {}", e.report());
                lake.discard(&parts).await.unwrap();
            }

            // The next run.
            let mut next = ground.open().await;
            next.recover().await.unwrap();
            if !next.ledger().await.unwrap().contains(None, "a", "0f") {
                ingest(&mut next, "a").await;
            }
            next.recover().await.unwrap();
            assert_eq!(rows(&ground).await, [2, 1, 1], "{put} {fault:?}");
            assert_eq!(next.verify().await.unwrap().problems, Vec::<String>::new(), "{put} {fault:?}");
            let status = next.status().await.unwrap();
            assert_eq!((status.pending_intents, status.remains.files), (0, 0), "{put} {fault:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_fails_leaves_the_batch_invisible() {
    let (ground, faults) = Ground::fickle();
    let mut lake = ground.create().await;
    let parts = batch(&lake, "a");
    let attempt = lake.begin(SOURCE).await.unwrap();
    faults.next(&format!("rejects/{}", parts[2].path), Fault::Fail);
    let error = lake.commit(&attempt, &parts).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    let object = format!("s3://amzn-s3-demo-lake/some%20where/lake/rejects/{}", parts[2].path);
    assert!(error.report().contains(&object), "{}", error.report());
    assert!(lake.intents().await.unwrap().is_empty());
    assert_eq!(rows(&ground).await, [0, 0, 0]);
    // The same once more: what is there already is not missed.
    lake.commit(&attempt, &parts).await.unwrap();
    assert_eq!(rows(&ground).await, [2, 1, 1]);

    let parts = batch(&lake, "b");
    let attempt = lake.begin(SOURCE).await.unwrap();
    faults.next(&format!("rejects/{}", parts[2].path), Fault::Fail);
    assert!(lake.commit(&attempt, &parts).await.is_err());
    lake.discard(&parts).await.unwrap();
    assert_eq!((in_lake(&lake, &parts).await, staged(&lake, &parts)), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_intent_is_noticed() {
    for ground in Ground::both() {
        let mut lake = ground.create().await;
        let (intent, _) = stop_after_intent(&mut lake, "a").await;
        assert!(matches!(lake.decide(&intent, None).await, Decision::Committed));
        lake.remove_intent(&intent.location().unwrap()).await.unwrap();
        let mut next = ground.open().await;
        next.recover().await.unwrap();
        assert_eq!(next.begin(SOURCE).await.unwrap_err().kind(), ErrorKind::Lake);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intent_that_outlives_its_commit_does_no_harm() {
    for ground in Ground::both() {
        let mut lake = ground.create().await;
        let parts = batch(&lake, "a");
        let attempt = lake.begin(SOURCE).await.unwrap();
        let intent = lake.intent(&attempt, &parts, Change::default()).unwrap();
        lake.commit(&attempt, &parts).await.unwrap();
        ingest(&mut lake, "b").await;
        // Its removal failed, and another attempt followed.
        lake.write_intent(&intent).await.unwrap();
        let recovery = lake.recover().await.unwrap();
        assert_eq!((recovery.discarded, recovery.files_removed), (1, 0));
        lake.discard(&parts).await.unwrap();
        assert_eq!(rows(&ground).await, [4, 2, 2]);
        assert_eq!(lake.verify().await.unwrap().problems, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vacuum_takes_what_nobody_names() {
    for ground in Ground::both() {
        let mut lake = ground.create().await;
        let live = ingest(&mut lake, "a").await;
        let loose = batch(&lake, "b");
        lake.site.deliver(&loose).await.unwrap();
        let store = Arc::clone(lake.site.store());
        let notes = ObjectPath::from("rejects/notes.txt");
        store.put(&notes, "mine".into()).await.unwrap();
        let (mut files, mut bytes) = (4, loose.iter().map(|part| part.size_bytes).sum::<u64>());
        let temporary = lake.table_dir(Table::Rejects).join("part-1.parquet.tmp");
        if ground.dir().is_some() {
            std::fs::write(&temporary, "half").unwrap();
            (files, bytes) = (files + 1, bytes + 4);
        }
        let (intent, pending) = stop_after_intent(&mut lake, "c").await;

        let status = lake.status().await.unwrap();
        assert_eq!((status.remains.files, status.remains.bytes), (files, bytes));
        assert_eq!(status.pending_intents, 1);
        let nothing = lake.vacuum(DEAD_AFTER, false).await.unwrap();
        assert_eq!((nothing.removed.files, nothing.removed.bytes, nothing.intents), (0, 0, 0));

        let planned = lake.vacuum(Duration::ZERO, true).await.unwrap();
        assert_eq!((planned.removed.files, planned.removed.bytes, planned.intents), (files, bytes, 0));
        let done = lake.vacuum(Duration::ZERO, false).await.unwrap();
        assert_eq!((done.removed, done.intents), (planned.removed, 0));
        assert_eq!(in_lake(&lake, &loose).await, 0);
        assert!(!temporary.exists());
        assert_eq!((in_lake(&lake, &live).await, in_lake(&lake, &pending).await), (4, 4));
        assert!(store.head(&notes).await.is_ok());

        if ground.dir().is_some() {
            make_old(&ground, &intent.location().unwrap());
            let planned = lake.vacuum(DEAD_AFTER, true).await.unwrap();
            let done = lake.vacuum(DEAD_AFTER, false).await.unwrap();
            assert_eq!((done.removed, done.intents), (planned.removed, planned.intents));
            assert_eq!((done.removed.files, done.intents), (4, 1));
        }
        assert_eq!(rows(&ground).await, [2, 1, 1]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_names_what_is_wrong() {
    for ground in Ground::both() {
        let mut lake = ground.create().await;
        let first = ingest(&mut lake, "a").await;
        let extra = vec![part(&lake, Table::AccessLogs, Object::of("b\u{1b}"), Some(DAY), 1)];
        let attempt = lake.begin(SOURCE).await.unwrap();
        lake.commit(&attempt, &extra).await.unwrap();
        let problems = lake.verify().await.unwrap().problems;
        assert_eq!(
            problems,
            [
                "Log object b\\u{1b}: the ledger has 0 records and 0 rejects, access_logs has 1 rows and rejects \
              has 0."
            ]
        );
        let store = Arc::clone(lake.site.store());
        let damaged = part_location(&first[0]).unwrap();
        let mut bytes = store.get(&damaged).await.unwrap().bytes().await.unwrap().to_vec();
        bytes[4..40].fill(0xff);
        store.put(&damaged, bytes.into()).await.unwrap();
        store.delete(&part_location(&first[2]).unwrap()).await.unwrap();
        let problems = lake.verify().await.unwrap().problems;
        let names = |part: &PartFile, word: &str| {
            let name = part.path.rsplit('/').next().unwrap();
            problems.iter().any(|problem| problem.contains(name) && problem.contains(word))
        };
        assert!(names(&first[0], "damaged") && names(&first[2], "missing"), "{problems:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intent_cannot_lead_out_of_the_lake() {
    for ground in Ground::both() {
        let mut lake = ground.create().await;
        let victim = ground.dir().map(|dir| dir.join("victim.parquet"));
        if let Some(victim) = &victim {
            std::fs::write(victim, "mine").unwrap();
        }
        for path in ["../../victim.parquet", "/victim.parquet", "_delta_log/x.parquet", "notes.txt"] {
            let part = part(&lake, Table::Rejects, Object::of("a"), None, 1);
            let part = PartFile { path: path.to_owned(), ..part };
            let parts = std::slice::from_ref(&part);
            assert_eq!(lake.discard(parts).await.unwrap_err().kind(), ErrorKind::Lake);
            let attempt = lake.begin(SOURCE).await.unwrap();
            assert_eq!(lake.commit(&attempt, parts).await.unwrap_err().kind(), ErrorKind::Lake);
        }
        assert!(victim.is_none_or(|victim| victim.exists()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_log_is_checkpointed_and_read_again() {
    for ground in Ground::both() {
        let mut lake = ground.create().await;
        let mut parts = vec![part(&lake, Table::AccessLogs, Object::of("a"), Some(DAY), 1)];
        lake.site.deliver(&parts).await.unwrap();
        for n in 1..=2 * CHECKPOINT_EVERY as i64 {
            let attempt = Attempt { source_id: SOURCE.to_owned(), n };
            let intent = lake.intent(&attempt, &std::mem::take(&mut parts), Change::default()).unwrap();
            assert!(matches!(lake.commit_table(Table::AccessLogs, &intent).await.unwrap(), Append::Done(_)));
        }
        let log = log_folder(Table::AccessLogs.name());
        for name in ["_last_checkpoint", "00000000000000000099.checkpoint.parquet"] {
            assert!(lake.site.store().head(&log.clone().join(name)).await.is_ok(), "{name}");
        }
        let fresh = ground.open().await;
        assert_eq!(fresh.txn(Table::AccessLogs, SOURCE).await.unwrap(), Some(100));
        assert_eq!(rows(&ground).await, [1, 0, 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_and_the_cursor_can_be_narrowed_to_a_bucket() {
    for ground in Ground::both() {
        let mut lake = ground.create().await;
        let object = |bucket, key, layout, delivered_at| Object { bucket, key, layout, delivered_at };
        let (a, b) = (Some("amzn-s3-demo-a"), Some("amzn-s3-demo-b"));
        let objects = [
            object(a, "logs/2026-01-01-00-00-00-A", Some("simple"), Some(3)),
            object(a, "logs/2026-01-02-00-00-00-B", Some("simple"), Some(7)),
            object(a, "more/2026-01-01-00-00-00-C", Some("simple"), None),
            object(a, "undated", None, Some(9)),
            object(b, "logs/2026-01-03-00-00-00-D", Some("simple"), Some(11)),
            object(None, "logs/2026-01-04-00-00-00-E", Some("simple"), Some(13)),
        ];
        let parts: Vec<PartFile> =
            objects.iter().map(|object| part(&lake, Table::LogObjects, *object, None, 1)).collect();
        let attempt = lake.begin(SOURCE).await.unwrap();
        lake.commit(&attempt, &parts).await.unwrap();

        assert_eq!(lake.ledger().await.unwrap().len(), 6);
        let ledger = lake.ledger_of(a).await.unwrap();
        assert_eq!(ledger.len(), 4);
        assert!(ledger.contains(a, "logs/2026-01-01-00-00-00-A", "0f"));
        assert!(ledger.is_other_version("amzn-s3-demo-a", "logs/2026-01-01-00-00-00-A", "1f"));
        assert!(!ledger.contains(b, "logs/2026-01-03-00-00-00-D", "0f"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intent_ahead_of_the_clock_does_not_hold_its_number() {
    for ground in Ground::both() {
        let mut lake = ground.create().await;
        // A commit by a clock that runs ahead, and the intent of a run that was killed after it.
        let ahead = (Utc::now().timestamp_micros()) + 3_600_000_000;
        let attempt = |n| Attempt { source_id: SOURCE.to_owned(), n };
        lake.commit(&attempt(ahead), &[]).await.unwrap();
        let killed = lake.intent(&attempt(ahead + 1), &[], Change::default()).unwrap();
        lake.write_intent(&killed).await.unwrap();
        let mut next = ground.open().await;
        next.recover().await.unwrap();
        next.ledger().await.unwrap();
        let attempt = next.begin(SOURCE).await.unwrap();
        assert_eq!(attempt.n, ahead + 2);
        next.commit(&attempt, &[]).await.map_err(|e| e.report()).unwrap();
    }
}
