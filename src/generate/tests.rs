//! Tests of the whole generator, with checks of their own: nothing here uses the parser.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use super::*;

/// A small log of `records` records with everything in it.
fn everything(records: u64) -> Options {
    Options {
        amount: Amount::Records(records),
        generations: vec![18, 27],
        buckets: 2,
        quirk_rate: Some(0.05),
        damage_rate: 0.02,
        duplicate_rate: 0.03,
        ..Options::default()
    }
}

/// A log without quirks.
fn clean(records: u64) -> Options {
    Options { amount: Amount::Records(records), quirk_rate: Some(0.0), ..Options::default() }
}

fn split(bytes: &[u8]) -> Vec<&[u8]> {
    assert_eq!(bytes.last(), Some(&b'\n'));
    bytes[..bytes.len() - 1].split(|b| *b == b'\n').collect()
}

/// The fields of a clean record.
fn fields(line: &[u8]) -> Vec<&str> {
    let mut rest = std::str::from_utf8(line).unwrap();
    let mut out = Vec::new();
    loop {
        let end = match rest.as_bytes().first() {
            Some(b'[') => rest.find(']').unwrap() + 1,
            Some(b'"') => rest[1..].find('"').unwrap() + 2,
            // The one requester with blanks.
            Some(_) if rest.starts_with("arn:aws:iam::cloudfront:") => rest.find(" E2EX").unwrap() + 15,
            _ => rest.find(' ').unwrap_or(rest.len()),
        };
        out.push(&rest[..end]);
        if end == rest.len() {
            return out;
        }
        rest = rest[end..].strip_prefix(' ').unwrap();
    }
}

/// The time field as something that sorts.
fn moment(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let at = text.find('[').unwrap();
    let time = &text[at + 1..at + 21];
    let month = ["Jan", "Feb", "Mar", "Apr"].iter().position(|m| *m == &time[3..6]).unwrap() + 1;
    format!("{}-{month:02}-{} {}", &time[7..11], &time[..2], &time[12..])
}

/// Every file below `dir`, by its path with slashes.
fn objects(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, dir: &Path, out: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, out);
            } else {
                let key = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                out.insert(key, std::fs::read(&path).unwrap());
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(dir, dir, &mut out);
    out
}

fn generated(options: &Options) -> (Summary, BTreeMap<String, Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let summary = generate(options, dir.path(), &|_| {}).unwrap();
    (summary, objects(dir.path()))
}

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for scenario in Scenario::ALL {
        let options = Options { scenario, generations: GENERATIONS.to_vec(), ..everything(20_000) };
        let one = with_threads(1, || lines(&options).unwrap());
        for threads in [2, 5] {
            assert!(one == with_threads(threads, || lines(&options).unwrap()), "{scenario} {threads}");
        }
    }
    for layout in [Layout::Simple, Layout::EventTime] {
        let options = Options { layout, scenario: Scenario::RecursionSelf, ..everything(5_000) };
        let one = with_threads(1, || generated(&options));
        assert!(one == with_threads(3, || generated(&options)), "{layout}");
    }
}

#[test]
fn in_memory_is_the_file_and_another_seed_is_another_log() {
    let options = Options { layout: Layout::File, ..everything(5_000) };
    let (summary, files) = generated(&options);
    let bytes = lines(&options).unwrap();
    assert!(files[FILE_NAME] == bytes);
    assert_eq!((summary.objects, summary.bytes), (1, bytes.len() as u64));
    assert!(bytes != lines(&Options { seed: 2, ..options }).unwrap());
}

#[test]
fn as_many_records_as_asked_for() {
    for scenario in Scenario::ALL {
        for records in [1, 2, 3, 4_095, 4_096, 4_097, 9_000] {
            let bytes = lines(&Options { scenario, ..clean(records) }).unwrap();
            assert_eq!(split(&bytes).len() as u64, records, "{scenario}");
        }
        for records in [1, 4_097] {
            let (summary, _) = generated(&Options { scenario, ..clean(records) });
            assert_eq!((summary.records, summary.lines), (records, records), "{scenario}");
            assert_eq!(summary.by_operation.values().sum::<u64>(), records);
        }
    }
}

#[test]
fn about_as_many_bytes_as_asked_for() {
    for (scenario, off) in
        [(Scenario::Mixed, 0.05), (Scenario::Minimal, 0.05), (Scenario::RecursionSelf, 0.2)]
    {
        let options = Options { amount: Amount::Bytes(6_000_000), scenario, ..Options::default() };
        let length = lines(&options).unwrap().len() as f64;
        assert!((length / 6e6 - 1.0).abs() < off, "{scenario}: {length}");
    }
}

#[test]
fn the_summary_counts_what_is_there() {
    for layout in [Layout::File, Layout::DeliveryTime] {
        let (summary, files) = generated(&Options { layout, ..everything(20_000) });
        assert_eq!(summary.objects, files.len() as u64);
        assert_eq!(summary.bytes, files.values().map(|f| f.len() as u64).sum::<u64>());
        assert_eq!(summary.records, 20_000);
        let (mut lines, mut repeats) = (0, 0);
        let mut all = HashSet::new();
        for file in files.values() {
            let mut seen = HashSet::new();
            for line in split(file) {
                assert!(!line.is_empty());
                lines += 1;
                if !seen.insert(line) {
                    repeats += 1;
                } else {
                    // No line is in two objects, so what is not a repeat is unique.
                    assert!(all.insert(line), "{}", String::from_utf8_lossy(line));
                }
            }
        }
        assert_eq!((summary.lines, summary.duplicates), (lines, repeats), "{layout}");
        assert_eq!(summary.lines, summary.records + summary.damaged + summary.duplicates);
        assert!((850..1_150).contains(&summary.quirks), "{}", summary.quirks);
        assert!((300..500).contains(&summary.damaged), "{}", summary.damaged);
        assert!((500..700).contains(&summary.duplicates), "{}", summary.duplicates);
    }
}

#[test]
fn damaged_lines_are_the_ones_without_a_record() {
    // Field 17, the agent, is in every generation; a damaged line either lacks it, or its time is not field 3,
    // or its host id (always 76 letters, then SigV4 or a dash) is there twice.
    let options = Options { damage_rate: 0.05, ..clean(10_000) };
    let is_host_id = |f: &&str| f.len() == 76 && f.ends_with('=') && !f.contains('"');
    let intact = |line: &[u8]| {
        let text = String::from_utf8_lossy(line);
        let words: Vec<&str> = text.split(' ').collect();
        words.get(2).is_some_and(|w| w.starts_with('['))
            && words.iter().filter(|w| is_host_id(w)).count() == 1
    };
    let (summary, files) = generated(&Options { layout: Layout::File, ..options });
    let damaged = split(&files[FILE_NAME]).into_iter().filter(|line| !intact(line)).count() as u64;
    assert_eq!(damaged, summary.damaged);
}

#[test]
fn time_runs_forward_over_the_days_asked_for() {
    for scenario in Scenario::ALL {
        let options = Options { scenario, days: 3, ..clean(9_000) };
        let bytes = lines(&options).unwrap();
        let moments: Vec<String> = split(&bytes).into_iter().map(moment).collect();
        assert!(moments.is_sorted(), "{scenario}");
        assert!(moments[0].starts_with("2026-03-01"));
        assert!(moments.last().unwrap().as_str() < "2026-03-04");
        if scenario != Scenario::RecursionSelf {
            assert!(moments.last().unwrap().starts_with("2026-03-03"));
        }
    }
}

#[test]
fn a_log_object_has_one_bucket_one_generation_and_its_order() {
    for layout in [Layout::Simple, Layout::EventTime, Layout::DeliveryTime] {
        let options = Options { layout, days: 2, generations: GENERATIONS.to_vec(), ..clean(1_000) };
        let (_, files) = generated(&options);
        let mut sizes: Vec<usize> = Vec::new();
        for (key, file) in &files {
            let lines = split(file);
            sizes.push(lines.len());
            assert!(lines.iter().map(|l| moment(l)).is_sorted());
            let kinds: BTreeSet<_> =
                lines.iter().map(|l| (fields(l).len(), fields(l)[1].to_owned())).collect();
            assert_eq!(kinds.len(), 1, "{key}");
            let (count, bucket) = kinds.first().unwrap();
            assert!(GENERATIONS.contains(&(*count as u8)), "{count}");

            let steps: Vec<&str> = key.split('/').collect();
            let name = steps.last().unwrap();
            let (stamp, unique) = (&name[..19], &name[20..]);
            assert!(unique.len() == 16 && unique.bytes().all(|b| b"0123456789ABCDEF".contains(&b)), "{key}");
            let newest = moment(lines.last().unwrap());
            let delivered = format!("{} {}", &stamp[..10], stamp[11..].replace('-', ":"));
            if layout == Layout::EventTime {
                assert_eq!(&stamp[11..], "00-00-00");
                assert!(lines.iter().all(|l| moment(l)[..10] == stamp[..10]), "{key}");
            } else {
                assert!(delivered > newest, "{key} {newest}");
            }
            if layout == Layout::Simple {
                assert_eq!(steps.len(), 2);
            } else {
                assert_eq!(steps[..4], ["logs", "111122223333", "us-west-2", bucket]);
                assert_eq!(steps[4..7].join("-"), stamp[..10]);
            }
        }
        sizes.sort_unstable();
        assert!((1..=6).contains(&sizes[sizes.len() / 2]));
    }
}

#[test]
fn an_exact_number_of_records_per_object() {
    let (_, files) = generated(&Options { records_per_object: Some(25), buckets: 4, ..clean(2_000) });
    let odd = files.values().filter(|f| split(f).len() != 25).count();
    assert!(files.len() >= 80 && odd <= 4, "{odd} of {}", files.len());
}

#[test]
fn a_prefix_is_glued_on() {
    let (_, files) = generated(&Options { prefix: "deep/emr".into(), ..clean(50) });
    assert!(files.keys().all(|k| k.starts_with("deep/emr2026-03-0")), "{files:?}");
}

#[test]
fn every_operation_occurs_and_a_record_is_about_700_bytes() {
    let bytes = lines(&clean(40_000)).unwrap();
    let all = split(&bytes);
    assert!((640..780).contains(&(bytes.len() / all.len())), "{}", bytes.len() / all.len());
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for line in &all {
        let f = fields(line);
        assert_eq!(f.len(), 27);
        *seen.entry(f[6]).or_default() += 1;
        assert!(
            f[3] == "-" || f[3].starts_with("2001:0db8:") || {
                let network = f[3].rsplit_once('.').unwrap().0;
                ["192.0.2", "198.51.100", "203.0.113"].contains(&network)
            }
        );
        assert!(f[0].len() == 64 && f[18].len() == 76);
    }
    for name in Operation::NAMES {
        assert!(seen.contains_key(name), "{name}");
    }
    for (name, least) in
        [("REST.GET.OBJECT", 15_000), ("REST.PUT.OBJECT", 4_000), ("REST.HEAD.OBJECT", 4_000)]
    {
        assert!(seen[name] > least, "{name} {}", seen[name]);
    }
}

#[test]
fn keys_are_encoded_as_their_operation_has_it() {
    let bytes = lines(&clean(30_000)).unwrap();
    let (mut twice, mut once) = (0, 0);
    for line in split(&bytes) {
        let f = fields(line);
        let (key, uri) = (f[7], f[8]);
        if f[6].starts_with("BATCH") || f[6].starts_with("S3.") {
            // Only a literal percent sign is encoded to %25, and none is before hexadecimal digits here.
            assert!(!key.contains("%253D") && !key.contains("%2520") && !key.contains("%20"), "{key}");
            once += u32::from(key.contains('+'));
            assert_eq!(uri, if f[6].starts_with("BATCH") { "-" } else { "\"-\"" });
        } else if f[6] == "REST.HEAD.OBJECT" {
            let path = uri[7..].split([' ', '?']).next().unwrap();
            assert!(path.ends_with(&key.replace("%25", "%")), "{key} {uri}");
            twice += u32::from(key.contains("%253D"));
        } else if f[6].ends_with("_GET") {
            assert_eq!([uri, f[15], f[16]], ["-", "-", "-"]);
        }
    }
    assert!(twice > 100 && once > 10, "{twice} {once}");
}

#[test]
fn the_records_of_a_delete_share_their_ids() {
    let bytes = lines(&clean(30_000)).unwrap();
    let mut deletes: HashMap<(String, String), Vec<String>> = HashMap::new();
    for line in split(&bytes) {
        let f = fields(line);
        if f[6] == "BATCH.DELETE.OBJECT" || f[6] == "REST.POST.MULTI_OBJECT_DELETE" {
            deletes.entry((f[5].to_owned(), f[18].to_owned())).or_default().push(f[6].to_owned());
        }
    }
    assert!(deletes.len() > 5);
    for operations in deletes.values() {
        assert!(operations.len() > 1);
        assert_eq!(operations.iter().filter(|o| o.starts_with("REST")).count(), 1);
    }
}

#[test]
fn minimal_is_plain() {
    let options = Options { quirk_rate: None, scenario: Scenario::Minimal, ..clean(5_000) };
    let bytes = lines(&options).unwrap();
    for line in split(&bytes) {
        let f = fields(line);
        assert_eq!(f.len(), 27);
        assert!(["REST.GET.OBJECT", "REST.PUT.OBJECT"].contains(&f[6]) && f[9] == "200");
    }
}

#[test]
fn a_recursion_is_what_it_says() {
    for layout in [Layout::Simple, Layout::EventTime, Layout::DeliveryTime] {
        let options = Options { scenario: Scenario::RecursionSelf, layout, ..clean(2_000) };
        let (summary, files) = generated(&options);
        let (mut deliveries, mut of_itself) = (0, 0);
        for file in files.values() {
            for line in split(file) {
                let f = fields(line);
                if !f[4].starts_with("3272ee65") {
                    continue;
                }
                deliveries += 1;
                assert_eq!((f[1], f[6], f[9]), ("amzn-s3-demo-logging-bucket", "REST.PUT.OBJECT", "200"));
                // What was delivered is there, and as long as the record says.
                let object = &files[f[7]];
                assert_eq!(f[12], object.len().to_string());
                of_itself += u32::from(fields(split(object)[0])[1] == f[1]);
                if layout != Layout::EventTime {
                    let stamp = &f[7][f[7].len() - 36..f[7].len() - 17];
                    assert_eq!(moment(line), format!("{} {}", &stamp[..10], stamp[11..].replace('-', ":")));
                }
            }
        }
        // One record per delivery, but for the objects that were delivered last.
        assert!(deliveries <= summary.objects && deliveries * 2 > summary.objects, "{deliveries}");
        assert!(of_itself > 50, "{of_itself}");
    }
}

/// How many of the lines hold all of `words`.
fn holding(lines: &[&str], words: &[&str]) -> usize {
    lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

/// From the first to the last of the lines, in seconds, if they are of one day.
fn duration(lines: &[&str]) -> u32 {
    let of_day = |line: &str| {
        let moment = moment(line.as_bytes());
        let clock: Vec<u32> = moment[11..].split(':').map(|n| n.parse().unwrap()).collect();
        (moment[..10].to_owned(), clock[0] * 3600 + clock[1] * 60 + clock[2])
    };
    let (first, last) = (of_day(lines[0]), of_day(lines[lines.len() - 1]));
    assert_eq!(first.0, last.0);
    last.1 - first.1
}

#[test]
fn six_incidents_are_among_the_lines() {
    for (records, buckets, days) in [(50_000, 10, 3), (120_000, 10, 3), (50_000, 3, 1)] {
        let scenario = Scenario::Incidents;
        let options = Options { scenario, buckets, days, quirk_rate: None, ..clean(records) };
        let bytes = lines(&options).unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        let all: Vec<&str> = text.lines().collect();
        assert_eq!(all.len() as u64, records);
        // Room was left for the records of deliveries: the lines end where the time range does.
        let last = moment(all[all.len() - 1].as_bytes());
        assert!(last.starts_with(&format!("2026-03-0{days} ")) && &last[11..13] >= "18", "{last}");
        assert!(&last[11..] < "23:59:59", "{last}");

        // Recursion.
        let own = [" amzn-s3-demo-logging-bucket [", " 3272ee65a908a767", " REST.PUT.OBJECT logs/20"];
        assert!(holding(&all, &own) > 1_000, "{}", holding(&all, &own));

        // Exfiltration, then deletion.
        let thief: Vec<&str> = all.iter().copied().filter(|l| l.contains(" 203.0.113.66 ")).collect();
        assert_eq!(thief.len(), 3_000 + 600 + 2_400 + 4);
        assert_eq!(holding(&thief, &[":user/partner-upload ", " customers/ledger/"]), 6_000);
        assert_eq!(holding(&thief, &[" REST.GET.OBJECT ", " 200 - "]), 3_000);
        assert_eq!(holding(&thief, &[" REST.DELETE.OBJECT ", " 204 - "]), 600);
        assert_eq!(holding(&thief, &[" BATCH.DELETE.OBJECT ", " 204 - "]), 2_400);
        let sent = thief[..3_000].iter().map(|l| fields(l.as_bytes())[11].parse::<u64>().unwrap());
        assert!(sent.sum::<u64>() > 20_000_000_000);
        let keys = |lines: &[&str], operation: &str| -> BTreeSet<String> {
            let lines = lines.iter().filter(|l| l.contains(operation));
            lines.map(|l| fields(l.as_bytes())[7].to_owned()).collect()
        };
        let gone = keys(&thief, "DELETE.OBJECT ");
        assert!(gone.len() == 3_000 && gone == keys(&thief, " REST.GET.OBJECT "));
        assert!((14_000..18_000).contains(&duration(&thief[2_999..3_001])));
        // Whose address it was before.
        assert!(holding(&all, &[" 198.51.100.20 ", ":user/partner-upload "]) > 50 || buckets == 3);

        // Mass deletion.
        let wiped: Vec<&str> =
            all.iter().copied().filter(|l| l.contains("john.stiles") && l.contains("DELETE")).collect();
        assert_eq!(wiped.len(), 5_005);
        assert_eq!(holding(&wiped, &[" BATCH.DELETE.OBJECT ", " 204 - "]), 5_000);
        assert_eq!(keys(&wiped, " BATCH").len(), 5_000);
        assert!(duration(&wiped) <= 360);
        assert_ne!(fields(wiped[0].as_bytes())[1], fields(thief[0].as_bytes())[1]);

        // A link that went round.
        let mut links: HashMap<&str, Vec<&str>> = HashMap::new();
        for line in all.iter().filter(|l| l.contains("X-Amz-Signature=")) {
            links.entry(fields(line.as_bytes())[8]).or_default().push(line);
        }
        let mut uses: Vec<_> = links.values().map(Vec::len).collect();
        uses.sort_unstable();
        assert_eq!(uses.pop(), Some(360));
        assert!(uses.last().is_none_or(|most| *most <= 2), "{uses:?}");
        let shared = links.values().find(|uses| uses.len() == 360).unwrap();
        let distinct =
            |field: usize| shared.iter().map(|l| fields(l.as_bytes())[field]).collect::<BTreeSet<_>>().len();
        assert_eq!((distinct(3), distinct(16), distinct(9)), (180, 180, 1));
        assert!(duration(shared) <= 3 * 3_600);

        // Enumeration.
        let probes: Vec<&str> = all.iter().copied().filter(|l| l.contains(" 203.0.113.250 - ")).collect();
        assert_eq!(probes.len(), 1_500);
        let refused = holding(&probes, &[" 403 AccessDenied "]);
        assert!(refused < 1_500 && refused + holding(&probes, &[" 404 NoSuchKey "]) == 1_500);
        let seen: BTreeSet<_> = probes.iter().map(|l| fields(l.as_bytes())[1]).collect();
        assert_eq!(seen.len(), buckets as usize);
        assert!(keys(&probes, "OBJECT").len() > 100);

        // Plain HTTP, and otherwise an account without blame.
        let mut plain = 0;
        for line in &all {
            let f = fields(line.as_bytes());
            let (status, cipher, host, tls) = (f[9], f[20], f[22], f[23]);
            assert!(f[4] != "-" || !status.starts_with('2'), "{line}");
            assert!(["-", "SigV4"].contains(&f[19]) && !line.contains(" WEBSITE."), "{line}");
            if host != "-" && cipher == "-" {
                assert!(tls == "-" && line.contains(":assumed-role/price-display/"), "{line}");
                plain += 1;
            } else if host != "-" {
                assert!(["TLSv1.2", "TLSv1.3"].contains(&tls) && cipher.contains("GCM"), "{line}");
            }
        }
        assert_eq!(plain, 900);
        let errors = holding(&all, &[" 404 NoSuchKey "]) + holding(&all, &[" 304 - "]);
        assert!(errors > 100 && errors < records as usize / 10, "{errors}");
    }
}

#[test]
fn incidents_are_in_every_layout() {
    for layout in Layout::ALL {
        let scenario = Scenario::Incidents;
        let (summary, files) = generated(&Options { scenario, layout, buckets: 4, ..clean(20_000) });
        assert_eq!(summary.records, 20_000);
        let mut stolen = 0;
        for file in files.values() {
            let file = std::str::from_utf8(file).unwrap();
            stolen += holding(&file.lines().collect::<Vec<_>>(), &[" 203.0.113.66 ", " REST.GET.OBJECT "]);
        }
        // Below 40,000 records there is less of it.
        assert_eq!(stolen, 1_500, "{layout}");
    }
}

#[test]
fn nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine"), "kept").unwrap();
    let error = generate(&clean(10), dir.path(), &|_| {}).unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::Usage);
    assert!(error.report().contains("not empty"), "{}", error.report());
    assert_eq!(objects(dir.path()).len(), 1);
}

#[test]
fn options_out_of_range_are_refused() {
    let refused = |change: fn(&mut Options)| {
        let mut options = clean(10);
        change(&mut options);
        lines(&options).unwrap_err().report()
    };
    assert!(refused(|o| o.amount = Amount::Records(0)).contains("records must be at least 1"));
    assert!(refused(|o| o.amount = Amount::Bytes(0)).contains("bytes must be at least 1"));
    assert!(refused(|o| o.days = 0).contains("days"));
    assert!(refused(|o| o.buckets = 1_000_000).contains("buckets must be at most"));
    assert!(refused(|o| o.records_per_object = Some(0)).contains("per object"));
    assert!(refused(|o| o.damage_rate = 1.5).contains("damage rate must be from 0 to 1"));
    assert!(refused(|o| o.quirk_rate = Some(f64::NAN)).contains("quirk rate"));
    assert!(refused(|o| o.generations.clear()).contains("no generation"));
    assert!(refused(|o| o.generations = vec![27, 19]).contains("19"));
    for prefix in ["../x", "/etc", "a//b", "a/./b", "a\\b", "é", "/"] {
        let options = Options { prefix: prefix.into(), ..clean(10) };
        assert!(lines(&options).is_err(), "{prefix}");
    }
    for prefix in ["", "logs", "logs/", "a/b=c/d"] {
        assert!(Options { prefix: prefix.into(), ..clean(10) }.check().is_ok(), "{prefix}");
    }
}

#[test]
fn progress_ends_at_all_bytes() {
    let last = std::sync::atomic::AtomicU64::new(0);
    let dir = tempfile::tempdir().unwrap();
    let store = |bytes| last.store(bytes, std::sync::atomic::Ordering::Relaxed);
    let summary = generate(&clean(9_000), dir.path(), &store).unwrap();
    assert_eq!(last.into_inner(), summary.bytes);
}

#[test]
fn names_are_read_as_they_are_written() {
    for layout in Layout::ALL {
        assert_eq!(layout.to_string().parse::<Layout>().unwrap(), layout);
    }
    for scenario in Scenario::ALL {
        assert_eq!(scenario.to_string().parse::<Scenario>().unwrap(), scenario);
    }
    assert!("Simple".parse::<Layout>().is_err());
    assert!("nonsense".parse::<Scenario>().unwrap_err().report().contains("recursion-self"));
}
