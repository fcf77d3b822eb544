//! The calm account of the scenario `incidents`: who works in it, on what, and its traffic on any day.
//!
//! Every bucket has a trade, and every trade its callers, keys and hours, so that a detection which learns what is
//! usual has something to learn. Nothing here is wrong; what is wrong is planted by `incidents`.

use super::calendar::{DAY, Day, clock, put_compact, put_compact_day};
use super::keys::{KeySpace, Object, Pattern, Tail};
use super::names::{ACCOUNTS, CONSOLE_REFERERS, MODERN, NO_TLS, REGION, TRANSPORTS, Tls, VISITORS};
use super::operation::Operation;
use super::pen::{Pen, Row};
use super::recursion::RECEIVER;
use super::rng::Rng;
use super::text::put_decimal;
use super::world::{Caller, Style};
use super::{Options, bulk, configuration, internal};

/// How rarely a request is for the bucket that receives log objects.
const RECEIVED: u64 = 200;

/// The addresses that a pre-signed URL was passed on to.
pub(super) const CROWD: u64 = 180;

/// The access key that signs URLs, of the kind reserved for documentation.
const LINK_KEY: &str = "AKIAIOSFODNN7EXAMPLE";

/// The families of keys, in the order of [`PATTERNS`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Shelf {
    Page,
    Script,
    Style,
    Picture,
    Backup,
    Incoming,
    Thumb,
    Part,
    Price,
    Original,
    Segment,
    Report,
    Partner,
    Customer,
    Year,
    Marker,
    Listing,
}

/// As many as [`Shelf`] has, and each at its place. The weights are not used.
const PATTERNS: [Pattern; 17] = [
    (1, "guide/page-", Tail::Digits(4), ".html", 11, 15),
    (1, "assets/js/app.", Tail::Hex(8), ".chunk.js", 10, 18),
    (1, "assets/css/site.", Tail::Hex(8), ".css", 9, 15),
    (1, "images/products/", Tail::Digits(7), "/1200x800.webp", 13, 17),
    (1, "orders-db/{date}/base/", Tail::Hex(12), ".tar.zst", 24, 30),
    (1, "incoming/{year}/{month}/{day}/", Tail::Uuid, ".jpg", 17, 22),
    (1, "thumbs/256/", Tail::Uuid, ".webp", 12, 14),
    (1, "warehouse/orders/dt={date}/part-", Tail::Part, ".c000.snappy.parquet", 20, 26),
    (1, "prices/store-", Tail::Digits(4), ".json", 12, 15),
    (1, "originals/", Tail::Uuid, ".mov", 25, 30),
    (1, "hls/launch/segment-", Tail::Digits(5), ".ts", 19, 21),
    (1, "reports/{year}-{month}/summary-", Tail::Digits(8), ".pdf", 15, 19),
    (1, "partner/feed/{date}/", Tail::Hex(12), ".csv.gz", 18, 21),
    (1, "customers/ledger/", Tail::Uuid, ".parquet", 22, 24),
    (1, "years/2019/", Tail::Hex(12), ".tar.gz", 22, 28),
    (1, "control/ready-", Tail::Hex(6), "", 4, 6),
    (1, "inventory/{date}/", Tail::Hex(12), ".csv.gz", 14, 18),
];

/// A cipher of TLS 1.2, with forward secrecy.
const TLS_12: &Tls = &TRANSPORTS[4];

const CONSOLE: &str = "S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.750 Linux/5.10.225-191.878.amzn2int.x86_64 OpenJDK_64-Bit_Server_VM/25.422-b05 java/1.8.0_422 vendor/Oracle_Corporation cfg/retry-mode/standard";
const AWS_CLI: &str = "aws-cli/2.22.12 md/awscrt#0.23.4 ua/2.0 os/linux#6.8.0-1021-aws md/arch#x86_64 lang/python#3.12.6 md/pyimpl#CPython cfg/retry-mode#standard md/installer#exe md/prompt#off md/command#";
const BOTO3: &str = "Boto3/1.35.71 md/Botocore#1.35.71 ua/2.0 os/linux#5.10.230-223.885.amzn2.x86_64 md/arch#x86_64 lang/python#3.12.8 md/pyimpl#CPython exec-env/AWS_Lambda_python3.12 cfg/retry-mode#legacy Botocore/1.35.71";
const NODE: &str = "aws-sdk-js/3.716.0 ua/2.1 os/linux#5.10.229-230.883.amzn2.x86_64 lang/js md/nodejs#20.18.1 api/s3#3.717.0 exec-env/AWS_Lambda_nodejs20.x m/E,e";
const HADOOP: &str = "Hadoop 3.3.6-amzn-4, aws-sdk-java/1.12.779 Linux/5.10.228-219.884.amzn2.x86_64 OpenJDK_64-Bit_Server_VM/17.0.13+11-LTS java/17.0.13 vendor/Amazon.com_Inc. cfg/retry-mode/standard";
const GO: &str =
    "aws-sdk-go-v2/1.32.7 ua/2.1 os/linux lang/go#1.23.4 md/GOOS#linux md/GOARCH#arm64 api/s3#1.71.1 m/E,Z";
const JAVA: &str = "aws-sdk-java/2.29.43 md/io#sync md/http#Apache ua/2.1 os/Linux#6.1.119-129.201.amzn2023.x86_64 lang/java#17.0.13 md/OpenJDK_64-Bit_Server_VM#17.0.13+11-LTS md/vendor#Amazon.com_Inc. md/en_US m/D,N";

/// The account.
pub(super) struct Account {
    keys: KeySpace,
    /// The first second of the last day of the logs, from which keys count their days back.
    last_day: i64,
    deploy: Caller,
    backup: Caller,
    ingest: Caller,
    thumbnailer: Caller,
    shop: Caller,
    etl: Caller,
    analytics: Caller,
    prices: Caller,
    transcoder: Caller,
    reports: Caller,
    partner: Caller,
    config: Caller,
    /// Signs links to reports.
    links: Caller,
    people: Vec<Caller>,
    customers: Vec<Caller>,

    /// The key of `partner`, in other hands.
    pub(super) thief: Caller,
    /// One of the people, or somebody with their session.
    pub(super) wiper: Caller,
    /// Those who got hold of one link.
    pub(super) crowd: Vec<Caller>,
    pub(super) prober: Caller,
    /// `prices` with an endpoint that somebody mistyped.
    pub(super) plain_prices: Caller,
}

/// What a bucket is asked for: weights by day and by night, and what writes a request.
type Job = (u64, u64, for<'w> fn(&mut Pen<'w>, &'w Account));

/// The bucket that receives log objects.
const RECEIVING: &[Job] = &[(30, 30, describe), (10, 2, list_logging)];

/// The other buckets, by number; further ones begin anew.
const TRADES: [&[Job]; 7] = [
    // website
    &[
        (900, 900, page),
        (30, 30, page_unchanged),
        (6, 6, page_missing),
        (25, 4, deploy),
        (1, 0, retire),
        (8, 8, describe),
        (4, 0, browse),
    ],
    // backups
    &[
        (60, 600, back_up),
        (4, 50, back_up_in_parts),
        (90, 90, back_up_check),
        (30, 30, list_backups),
        (4, 40, expire_backup),
        (8, 8, describe),
        (3, 0, browse),
    ],
    // uploads
    &[
        (300, 300, take_in),
        (320, 320, make_thumb),
        (160, 160, put_thumb),
        (60, 60, shop_picture),
        (12, 12, shop_picture_unchanged),
        (1, 1, shop_slowed_down),
        (6, 20, expire_incoming),
        (6, 6, describe),
        (3, 0, browse),
    ],
    // analytics
    &[
        (150, 60, load_part),
        (30, 700, analyse),
        (20, 300, analyse_range),
        (30, 60, list_parts),
        (5, 5, wait_for_marker),
        (60, 60, read_prices),
        (6, 6, describe),
        (3, 0, browse),
    ],
    // media
    &[
        (700, 700, segment),
        (40, 40, segment_unchanged),
        (60, 60, transcode),
        (120, 120, put_segment),
        (6, 6, describe),
        (2, 0, browse),
    ],
    // exports
    &[
        (200, 100, write_report),
        (250, 250, fetch_feed),
        (60, 60, write_feed),
        (100, 40, follow_link),
        (20, 20, look_at_ledger),
        (6, 6, describe),
        (12, 0, browse),
        (1, 0, browse_refused),
    ],
    // archive
    &[
        (20, 200, archive_year),
        (60, 60, look_at_archive),
        (20, 200, transition_archive),
        (40, 40, list_archive),
        (30, 30, read_inventory),
        (8, 8, describe),
    ],
];

impl Account {
    /// The account over the days of `options`.
    pub(super) fn new(options: &Options) -> Self {
        let last_day = options.start.plus(i64::from(options.days) - 1).first_second();
        let person = |(i, name): (usize, &&str)| {
            let role = match i % 2 {
                0 => "AWSReservedSSO_DataAnalyst_0a1b2c3d4e5f6a7b",
                _ => "AWSReservedSSO_AdministratorAccess_1f2e3d4c5b6a7988",
            };
            let mut caller = session(&format!("{role}/{name}@example.com"), [], CONSOLE);
            caller.addresses = vec![office(1 + i)];
            caller.referer = CONSOLE_REFERERS[0];
            caller.region = "-";
            caller
        };
        let mut plain_prices = session("price-display/store-4711", [90], BOTO3);
        plain_prices.tls = NO_TLS;
        let mut thief = user("partner-upload", outside(66), "S3 Browser/11.6.7 (https://s3browser.com)");
        thief.tls = TLS_12;
        let mut wiper = session(
            "AWSReservedSSO_AdministratorAccess_1f2e3d4c5b6a7988/john.stiles@example.com",
            [],
            &format!("{AWS_CLI}s3api.delete-objects"),
        );
        wiper.addresses = vec![office(6)];
        wiper.region = "-";
        Self {
            keys: KeySpace::of(&PATTERNS, options.seed, options.start, options.days),
            last_day,
            deploy: session(
                "ci-deploy/AWSCodeBuild-0f9c2c4e-6a51-4f0e-9d3f-5b1f6f0a7c21",
                [10],
                &format!("{AWS_CLI}s3.sync"),
            ),
            backup: session("backup-agent/i-0c4d1e2f3a4b5c6d7", [20, 21], GO),
            ingest: session("ingest-lambda-role-4x7kq2/ingest-lambda", [30, 31, 32, 33], BOTO3),
            thumbnailer: session("thumbnailer-function-role/thumbnailer-function", [40, 41, 42, 43], NODE),
            shop: session("orders-api-task-role/botocore-session-1740787211", [50, 51, 52], JAVA),
            etl: session("GlueServiceRole-nightly/GlueJobRunnerSession", [60, 61, 62, 63], HADOOP),
            analytics: session(
                "analytics-spark-executor/i-0a9b8c7d6e5f4a3b2",
                [70, 71, 72, 73, 74, 75],
                HADOOP,
            ),
            prices: session("price-display/store-4711", [90], BOTO3),
            transcoder: session("media-transcoder/i-0123456789abcdef0", [80], GO),
            reports: session("reporting-task-role/botocore-session-1740787260", [95, 96], BOTO3),
            partner: user("partner-upload", office(20), &format!("{AWS_CLI}s3.cp")),
            config: session("AWSServiceRoleForConfig/AWSConfig-Describe", [100], "AWSConfig aws-internal/3"),
            links: user("svc-links", office(21), JAVA),
            people: ["akua.mansah", "jane.doe", "li.juan", "mary.major", "nikki.wolf", "john.stiles"]
                .iter()
                .enumerate()
                .map(person)
                .collect(),
            customers: (64..224).map(|host| visitor(office(host), host as u64)).collect(),
            thief,
            wiper,
            crowd: (0..CROWD)
                .map(|number| match number {
                    0..120 => visitor(outside(100 + number as usize), number),
                    _ => Caller { style: Style::DualStack, ..visitor(abroad(number), number) },
                })
                .collect(),
            prober: Caller {
                requester: b"-".to_vec(),
                signed: false,
                ..user("nobody", outside(250), "Go-http-client/1.1")
            },
            plain_prices,
        }
    }

    /// The shares of the spread records that the receiving bucket and the other `count` buckets get, as
    /// `forecast` takes them.
    pub(super) fn shares(count: u64) -> (f64, Vec<(u64, f64)>) {
        if count == 0 {
            return (1.0, Vec::new());
        }
        let receiver = 1.0 / RECEIVED as f64;
        let others = Rng::popularity(count);
        (receiver, others.into_iter().map(|(count, share)| (count, share * (1.0 - receiver))).collect())
    }

    /// Writes one request of ordinary traffic.
    pub(super) fn request<'w>(&'w self, pen: &mut Pen<'w>) {
        let others = pen.world.buckets.len() as u64 - 1;
        pen.bucket = if others == 0 || pen.rng.one_in(RECEIVED) {
            RECEIVER
        } else {
            1 + pen.rng.popular(others) as usize
        };
        let jobs = match pen.bucket {
            RECEIVER => RECEIVING,
            bucket => TRADES[(bucket - 1) % TRADES.len()],
        };
        let at_night = !(6..21).contains(&clock(pen.second()).0);
        let weight = |job: &Job| if at_night { job.1 } else { job.0 };
        let mut draw = pen.rng.below(jobs.iter().map(weight).sum());
        for job in jobs {
            if draw < weight(job) {
                return job.2(pen, self);
            }
            draw -= weight(job);
        }
    }

    /// The object `number` of a shelf, of the last day of the logs where it has days.
    pub(super) fn object(&self, shelf: Shelf, number: u64) -> Object<'_> {
        self.keys.of_family(shelf as usize, 0, number)
    }

    /// The same of the day `back` days before the pen's.
    fn object_of_day(&self, pen: &Pen<'_>, shelf: Shelf, back: i64, number: u64) -> Object<'_> {
        let passed = (self.last_day - Day::of(pen.second()).first_second()) / DAY;
        self.keys.of_family(shelf as usize, (passed + back).max(0) as u64, number)
    }

    /// One of the `count` objects of a shelf, some of which are popular.
    fn popular(&self, pen: &mut Pen<'_>, shelf: Shelf, count: u64) -> Object<'_> {
        self.object(shelf, pen.rng.popular(count))
    }

    /// An object that is new today.
    fn fresh(&self, pen: &mut Pen<'_>, shelf: Shelf) -> Object<'_> {
        let number = pen.rng.next();
        self.object_of_day(pen, shelf, 0, number)
    }
}

/// A caller with signatures in headers and an up-to-date TLS, from outside of AWS.
fn user(name: &str, address: Vec<u8>, agent: &str) -> Caller {
    Caller {
        requester: format!("arn:aws:iam::{}:user/{name}", ACCOUNTS[0]).into_bytes(),
        addresses: vec![address],
        agent: agent.as_bytes().to_vec(),
        referer: "-",
        style: Style::VirtualHost,
        tls: MODERN,
        region: "-",
        x_id: false,
        signed: true,
    }
}

/// A session of a role on hosts of the account's own.
fn session<const N: usize>(role_and_session: &str, hosts: [u8; N], agent: &str) -> Caller {
    Caller {
        requester: format!("arn:aws:sts::{}:assumed-role/{role_and_session}", ACCOUNTS[0]).into_bytes(),
        addresses: hosts.iter().map(|host| format!("192.0.2.{host}").into_bytes()).collect(),
        region: REGION,
        ..user("", Vec::new(), agent)
    }
}

/// Somebody with a browser and no credentials.
fn visitor(address: Vec<u8>, number: u64) -> Caller {
    // The first of these agents are browsers, with a number for their version.
    let agent = VISITORS[number as usize % 5].replace("{}", &(number / 5).to_string());
    Caller {
        requester: b"-".to_vec(),
        signed: false,
        tls: if number.is_multiple_of(4) { TLS_12 } else { MODERN },
        ..user("", address, &agent)
    }
}

/// The network of offices, partners and customers.
fn office(host: usize) -> Vec<u8> {
    format!("198.51.100.{host}").into_bytes()
}

/// A network that has no business here.
fn outside(host: usize) -> Vec<u8> {
    format!("203.0.113.{host}").into_bytes()
}

fn abroad(number: u64) -> Vec<u8> {
    format!("2001:0db8:{:04x}:0000:0000:0000:0000:{:04x}", 0x4000 + number, 1 + number).into_bytes()
}

/// Begins a request of `caller` about `object`, answered with 200.
fn ask<'w>(
    pen: &mut Pen<'w>,
    method: &str,
    operation: Operation,
    caller: &'w Caller,
    object: &Object<'_>,
) -> Row<'w> {
    let mut row = pen.row(caller, operation);
    pen.ask(method, caller.style, object);
    pen.timed(&mut row, 0);
    row
}

/// A read, answered.
pub(super) fn read<'w>(pen: &mut Pen<'w>, caller: &'w Caller, object: &Object<'_>) {
    let mut row = ask(pen, "GET", Operation::GetObject, caller, object);
    (row.sent, row.size) = (object.size, Some(object.size));
    pen.timed(&mut row, object.size);
    pen.write(&row);
}

/// A write.
fn put<'w>(pen: &mut Pen<'w>, caller: &'w Caller, object: &Object<'_>) {
    let mut row = ask(pen, "PUT", Operation::PutObject, caller, object);
    row.size = Some(object.size);
    row.has_version = pen.world.buckets[pen.bucket].versioned;
    pen.timed(&mut row, object.size);
    pen.write(&row);
}

/// A look at an object that is there.
fn look<'w>(pen: &mut Pen<'w>, caller: &'w Caller, object: &Object<'_>) {
    let mut row = ask(pen, "HEAD", Operation::HeadObject, caller, object);
    row.size = Some(object.size);
    pen.write(&row);
}

/// A delete of one object.
pub(super) fn delete<'w>(pen: &mut Pen<'w>, caller: &'w Caller, object: &Object<'_>) {
    let mut row = ask(pen, "DELETE", Operation::DeleteObject, caller, object);
    row.status = 204;
    pen.write(&row);
}

/// A delete of the `count` objects of a shelf from the number `first` on, in one request. The shelf's keys must
/// be unique.
pub(super) fn delete_many<'w>(
    pen: &mut Pen<'w>,
    caller: &'w Caller,
    account: &Account,
    shelf: Shelf,
    first: u64,
    count: u64,
) {
    let request = bulk::delete_request(pen, caller, count);
    for number in first..first + count {
        bulk::deleted(pen, &request, &account.object(shelf, number));
    }
}

/// A listing of the object's folder.
fn list<'w>(pen: &mut Pen<'w>, caller: &'w Caller, object: &Object<'_>) {
    let mut row = pen.row(caller, Operation::ListBucket);
    pen.ask_bucket("GET", caller.style);
    pen.query("list-type=2&delimiter=%2F&encoding-type=url&max-keys=1000&prefix=");
    object.put_folder(&mut pen.uri);
    pen.timed(&mut row, 0);
    row.sent = pen.rng.magnitude(8, 17);
    pen.write(&row);
}

/// What a lifecycle rule does to an object.
fn age(pen: &mut Pen<'_>, operation: Operation, object: &Object<'_>) {
    pen.key_once(object);
    let mut row = Row::internal(operation);
    row.size = Some(object.size);
    row.has_version = pen.world.buckets[pen.bucket].versioned;
    pen.write(&row);
}

/// CloudFront asks for an object, by origin access control.
fn from_cdn<'w>(pen: &mut Pen<'w>, object: &Object<'_>) -> Row<'w> {
    let world = pen.world;
    let mut row = internal::from_inside(pen, Operation::GetObject, b"svc:cloudfront.amazonaws.com");
    pen.ask("GET", Style::VirtualHost, object);
    row.host = world.buckets[pen.bucket].host(Style::VirtualHost);
    (row.sent, row.size) = (object.size, Some(object.size));
    row
}

/// A download by a link that `account.links` signed at `signed_at`, valid for `lifetime` seconds. S3 masks the
/// signature in its logs.
pub(super) fn use_link<'w>(
    pen: &mut Pen<'w>,
    account: &'w Account,
    visitor: &'w Caller,
    object: &Object<'_>,
    (signed_at, lifetime): (i64, u64),
) {
    let mut row = ask(pen, "GET", Operation::GetObject, visitor, object);
    pen.query("X-Amz-Algorithm=AWS4-HMAC-SHA256");
    pen.query("X-Amz-Credential=");
    pen.uri.extend_from_slice(LINK_KEY.as_bytes());
    pen.uri.extend_from_slice(b"%2F");
    put_compact_day(&mut pen.uri, signed_at);
    pen.uri.extend_from_slice(b"%2F");
    pen.uri.extend_from_slice(REGION.as_bytes());
    pen.uri.extend_from_slice(b"%2Fs3%2Faws4_request");
    pen.query("X-Amz-Date=");
    put_compact(&mut pen.uri, signed_at);
    pen.query("X-Amz-Expires=");
    put_decimal(&mut pen.uri, lifetime);
    pen.query("X-Amz-SignedHeaders=host");
    pen.query("X-Amz-Signature=XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX");
    row.requester = &account.links.requester;
    (row.signature, row.authentication) = ("SigV4", "QueryString");
    (row.sent, row.size) = (object.size, Some(object.size));
    pen.timed(&mut row, object.size);
    pen.write(&row);
}

// What follows are the jobs, each one request.

fn describe<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    configuration::read_by(pen, &account.config);
}

fn list_logging<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let person = pen.rng.pick(&account.people);
    let mut row = pen.row(person, Operation::ListBucket);
    pen.ask_bucket("GET", person.style);
    pen.query("list-type=2&delimiter=%2F&encoding-type=url&max-keys=1000&prefix=");
    pen.timed(&mut row, 0);
    row.sent = pen.rng.magnitude(8, 17);
    pen.write(&row);
}

/// Somebody looks around with the console.
fn browse<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let person = pen.rng.pick(&account.people);
    let object = account.popular(pen, Shelf::Report, 200);
    match pen.rng.below(4) {
        0 => read(pen, person, &object),
        1 => look(pen, person, &object),
        _ => list(pen, person, &object),
    }
}

/// Somebody may not see everything.
fn browse_refused<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let person = pen.rng.pick(&account.people);
    let object = account.popular(pen, Shelf::Customer, 8);
    let mut row = ask(pen, "GET", Operation::GetObject, person, &object);
    row.refuse(403, "AccessDenied", 243);
    pen.write(&row);
}

fn web_object<'w>(pen: &mut Pen<'w>, account: &'w Account) -> Object<'w> {
    let shelf = *pen.rng.pick(&[Shelf::Page, Shelf::Script, Shelf::Style, Shelf::Picture, Shelf::Picture]);
    account.popular(pen, shelf, 4_000)
}

fn page<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = web_object(pen, account);
    let row = from_cdn(pen, &object);
    pen.write(&row);
}

fn page_unchanged<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = web_object(pen, account);
    let mut row = from_cdn(pen, &object);
    row.refuse(304, "", 0);
    pen.write(&row);
}

fn page_missing<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.popular(pen, Shelf::Page, 9_000);
    let mut row = from_cdn(pen, &object);
    row.refuse(404, "NoSuchKey", 346);
    row.size = None;
    pen.write(&row);
}

fn deploy<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = web_object(pen, account);
    put(pen, &account.deploy, &object);
}

/// A deployment removes what it no longer has.
fn retire<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.popular(pen, Shelf::Script, 4_000);
    delete(pen, &account.deploy, &object);
}

fn back_up<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.fresh(pen, Shelf::Backup);
    put(pen, &account.backup, &object);
}

fn back_up_in_parts<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.fresh(pen, Shelf::Backup);
    let parts = pen.rng.between(2, 6);
    if pen.room < parts + 2 {
        return put(pen, &account.backup, &object);
    }
    bulk::upload_parts(pen, &account.backup, &object, parts, false);
}

fn back_up_check<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let number = pen.rng.below(1_000);
    let object = account.object_of_day(pen, Shelf::Backup, 1, number);
    look(pen, &account.backup, &object);
}

fn list_backups<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.object_of_day(pen, Shelf::Backup, 0, 0);
    list(pen, &account.backup, &object);
}

fn expire_backup<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let number = pen.rng.next();
    let object = account.object_of_day(pen, Shelf::Backup, 14, number);
    age(pen, Operation::Expire, &object);
}

fn take_in<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.fresh(pen, Shelf::Incoming);
    put(pen, &account.ingest, &object);
}

fn make_thumb<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.fresh(pen, Shelf::Incoming);
    read(pen, &account.thumbnailer, &object);
}

fn put_thumb<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.fresh(pen, Shelf::Thumb);
    put(pen, &account.thumbnailer, &object);
}

fn shop_picture<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.popular(pen, Shelf::Thumb, 50_000);
    read(pen, &account.shop, &object);
}

fn shop_picture_unchanged<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.popular(pen, Shelf::Thumb, 50_000);
    let mut row = ask(pen, "GET", Operation::GetObject, &account.shop, &object);
    row.refuse(304, "", 0);
    row.size = Some(object.size);
    pen.write(&row);
}

fn shop_slowed_down<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.popular(pen, Shelf::Thumb, 50_000);
    let mut row = ask(pen, "GET", Operation::GetObject, &account.shop, &object);
    row.refuse(503, "SlowDown", 373);
    pen.write(&row);
}

fn expire_incoming<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let number = pen.rng.next();
    let object = account.object_of_day(pen, Shelf::Incoming, 7, number);
    age(pen, Operation::Expire, &object);
}

fn load_part<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.fresh(pen, Shelf::Part);
    put(pen, &account.etl, &object);
}

/// The parts of yesterday.
fn yesterday<'w>(pen: &mut Pen<'w>, account: &'w Account) -> Object<'w> {
    let number = pen.rng.below(4_000);
    account.object_of_day(pen, Shelf::Part, 1, number)
}

fn analyse<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = yesterday(pen, account);
    read(pen, &account.analytics, &object);
}

/// A reader of Parquet begins with the end of a file.
fn analyse_range<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = yesterday(pen, account);
    let mut row = ask(pen, "GET", Operation::GetObject, &account.analytics, &object);
    let part = pen.rng.magnitude(10, 19).min(object.size);
    (row.status, row.sent, row.size) = (206, part, Some(object.size));
    pen.timed(&mut row, part);
    pen.write(&row);
}

fn list_parts<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = yesterday(pen, account);
    list(pen, &account.analytics, &object);
}

/// A job looks for one of few markers that another has yet to set.
fn wait_for_marker<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.popular(pen, Shelf::Marker, 24);
    let mut row = ask(pen, "HEAD", Operation::HeadObject, &account.etl, &object);
    row.refuse(404, "NoSuchKey", 0);
    pen.write(&row);
}

fn read_prices<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.popular(pen, Shelf::Price, 400);
    read(pen, &account.prices, &object);
}

fn segment<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.popular(pen, Shelf::Segment, 3_000);
    let row = from_cdn(pen, &object);
    pen.write(&row);
}

fn segment_unchanged<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.popular(pen, Shelf::Segment, 3_000);
    let mut row = from_cdn(pen, &object);
    row.refuse(304, "", 0);
    pen.write(&row);
}

fn transcode<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.fresh(pen, Shelf::Original);
    read(pen, &account.transcoder, &object);
}

fn put_segment<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.popular(pen, Shelf::Segment, 3_000);
    put(pen, &account.transcoder, &object);
}

fn write_report<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let number = pen.rng.below(100_000);
    put(pen, &account.reports, &account.object(Shelf::Report, number));
}

fn write_feed<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.fresh(pen, Shelf::Partner);
    put(pen, &account.reports, &object);
}

fn fetch_feed<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let number = pen.rng.below(2_000);
    let object = account.object_of_day(pen, Shelf::Partner, 1, number);
    read(pen, &account.partner, &object);
}

/// A customer follows a link of a quarter of an hour, the first one to do so.
fn follow_link<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let customer = pen.rng.pick(&account.customers);
    let number = pen.rng.below(100_000);
    let link = (pen.second() - pen.rng.below(900) as i64, 900);
    use_link(pen, account, customer, &account.object(Shelf::Report, number), link);
}

fn look_at_ledger<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.popular(pen, Shelf::Customer, 3_000);
    look(pen, &account.reports, &object);
}

fn archive_year<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.fresh(pen, Shelf::Year);
    put(pen, &account.backup, &object);
}

fn look_at_archive<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let object = account.popular(pen, Shelf::Year, 20_000);
    look(pen, &account.backup, &object);
}

fn transition_archive<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let number = pen.rng.next();
    age(pen, Operation::TransitionDeepArchive, &account.object(Shelf::Year, number));
}

fn list_archive<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    list(pen, &account.backup, &account.object(Shelf::Year, 0));
}

fn read_inventory<'w>(pen: &mut Pen<'w>, account: &'w Account) {
    let number = pen.rng.below(50);
    let object = account.object_of_day(pen, Shelf::Listing, 1, number);
    read(pen, &account.reports, &object);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shelf_has_its_pattern() {
        let account = Account::new(&Options::default());
        for (shelf, start) in [
            (Shelf::Page, "guide/"),
            (Shelf::Thumb, "thumbs/"),
            (Shelf::Original, "originals/"),
            (Shelf::Customer, "customers/"),
            (Shelf::Listing, "inventory/2026-03-01/"),
        ] {
            let mut key = Vec::new();
            account.object(shelf, 5).put_path(&mut key);
            assert!(key.starts_with(start.as_bytes()), "{}", String::from_utf8_lossy(&key));
        }
        assert_eq!(Shelf::Listing as usize + 1, PATTERNS.len());
    }

    #[test]
    fn the_shares_of_the_buckets_are_all_there_is() {
        for count in [0, 1, 2, 9] {
            let (receiver, others) = Account::shares(count);
            let total = receiver + others.iter().map(|s| s.0 as f64 * s.1).sum::<f64>();
            assert!((total - 1.0).abs() < 1e-9, "{count}: {total}");
        }
    }
}
