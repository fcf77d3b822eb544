//! The world that is logged: buckets, callers and objects, made once from the seed and then only read.
//!
//! Everything a record repeats is rendered here as bytes, so that writing a record is copying.

use super::calendar::Timetable;
use super::keys::KeySpace;
use super::names::{
    ACCESS_POINTS, ACCOUNTS, BUCKETS, CONSOLE_REFERERS, LOGGING_BUCKET, MODERN, NETWORKS, OPERATORS, PEOPLE,
    Program, REFERERS, REGION, REGIONS, ROBOTS, ROLES, TRANSPORTS, Tls, VISITORS, WORKERS,
};
use super::rng::{Rate, Rng, mix};
use super::scenario::{Event, Plan};
use super::text::{HEX_LOWER, put_decimal, put_random, put_uuid};
use super::{Options, Script};

/// Records per slice: the piece of work of one thread. Part of the meaning of a seed.
pub(super) const SLICE_RECORDS: u64 = 4096;

/// The stream from which the world is made; slices use their number.
const WORLD_STREAM: u64 = u64::MAX;

/// The form of the endpoint a caller addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    VirtualHost,
    Path,
    DualStack,
    /// Without a region, as old programs have it.
    Global,
    Website,
    /// One of the bucket's access points.
    AccessPoint(usize),
}

/// A source bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) name: String,
    /// `OWNER BUCKET `: how each of its records begins.
    pub(super) head: Vec<u8>,
    /// Whether its writes have version ids.
    pub(super) versioned: bool,
    virtual_host: Vec<u8>,
    dual_stack: Vec<u8>,
    global: Vec<u8>,
    website: Vec<u8>,
    access_points: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Bucket {
    fn new(number: usize, name: String, owner: &[u8]) -> Self {
        let host = |middle: &str| format!("{name}.{middle}.amazonaws.com").into_bytes();
        let access_points = ACCESS_POINTS
            .iter()
            .map(|point| {
                // Names of access points are unique in an account and region.
                let point = if number == 0 { (*point).to_owned() } else { format!("{point}-{}", number + 1) };
                let account = ACCOUNTS[0];
                (
                    format!("{point}-{account}.s3-accesspoint.{REGION}.amazonaws.com").into_bytes(),
                    format!("arn:aws:s3:{REGION}:{account}:accesspoint/{point}").into_bytes(),
                )
            })
            .collect();
        let mut head = owner.to_vec();
        head.push(b' ');
        head.extend_from_slice(name.as_bytes());
        head.push(b' ');
        Self {
            head,
            versioned: number.is_multiple_of(2),
            virtual_host: host(&format!("s3.{REGION}")),
            dual_stack: host(&format!("s3.dualstack.{REGION}")),
            global: host("s3"),
            website: host(&format!("s3-website-{REGION}")),
            access_points,
            name,
        }
    }

    /// The Host header of a request of this style.
    pub(super) fn host(&self, style: Style) -> &[u8] {
        match style {
            Style::VirtualHost => &self.virtual_host,
            Style::Path => PATH_HOST,
            Style::DualStack => &self.dual_stack,
            Style::Global => &self.global,
            Style::Website => &self.website,
            Style::AccessPoint(n) => &self.access_points[n % self.access_points.len()].0,
        }
    }

    /// The access point's ARN, or the dash.
    pub(super) fn access_point(&self, style: Style) -> &[u8] {
        match style {
            Style::AccessPoint(n) => &self.access_points[n % self.access_points.len()].1,
            _ => b"-",
        }
    }
}

/// The endpoint of path-style requests.
pub(super) const PATH_HOST: &[u8] = b"s3.us-west-2.amazonaws.com";

/// Somebody who sends requests.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) requester: Vec<u8>,
    pub(super) addresses: Vec<Vec<u8>>,
    pub(super) agent: Vec<u8>,
    pub(super) referer: &'static str,
    pub(super) style: Style,
    pub(super) tls: &'static Tls,
    /// The region it calls from, or the dash.
    pub(super) region: &'static str,
    /// Whether its SDK appends `x-id=` to targets.
    pub(super) x_id: bool,
    /// Whether it signs.
    pub(super) signed: bool,
}

/// All of it.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) script: &'static Script,
    /// What the script lays down beforehand.
    pub(super) plan: Option<Plan>,
    /// Records to make.
    pub(super) records: u64,
    pub(super) timetable: Timetable,
    pub(super) generations: Vec<u8>,
    pub(super) quirks: Rate,
    pub(super) damage: Rate,
    pub(super) duplicates: Rate,
    pub(super) buckets: Vec<Bucket>,
    pub(super) keys: KeySpace,
    /// Signing programs.
    pub(super) workers: Vec<Caller>,
    /// People and tools that configure buckets.
    pub(super) operators: Vec<Caller>,
    /// Callers that do not sign.
    pub(super) visitors: Vec<Caller>,
}

impl World {
    /// The world of `options`, whose values must be in range, with `records` records to make.
    pub(super) fn new(options: &Options, records: u64) -> Self {
        let mut rng = Rng::new(options.seed, WORLD_STREAM);
        let script = options.scenario.script();
        let plan = script.plan.map(|plan| plan(options, records));
        let spread = plan.as_ref().map_or(records, |plan| plan.spread);
        let owner = canonical_id(&mut rng);
        let buckets = (0..options.buckets as usize)
            .map(|n| {
                let name = match BUCKETS.get(n) {
                    Some(_) if n == 0 && script.echo.is_some() => LOGGING_BUCKET.to_owned(),
                    Some(name) => (*name).to_owned(),
                    None => format!("amzn-s3-demo-bucket-{}", n + 1),
                };
                Bucket::new(n, name, &owner)
            })
            .collect();
        let foreign: Vec<Vec<u8>> = (0..4).map(|_| canonical_id(&mut rng)).collect();
        let mut cast = Cast { rng, owner: &owner, foreign: &foreign };
        let workers = (0..1200).map(|_| cast.worker()).collect();
        let operators = (0..48).map(|_| cast.operator()).collect();
        let visitors = (0..3000).map(|_| cast.visitor()).collect();
        Self {
            seed: mix(options.seed ^ u64::from_be_bytes(*b"s3-trail")),
            script,
            plan,
            records,
            timetable: Timetable::new(options.start, options.days, spread),
            generations: options.generations.clone(),
            quirks: Rate::new(options.quirk_rate.unwrap_or(script.quirk_rate)),
            damage: Rate::new(options.damage_rate),
            duplicates: Rate::new(options.duplicate_rate),
            buckets,
            keys: KeySpace::new(options.seed, options.start, options.days),
            workers,
            operators,
            visitors,
        }
    }

    /// Number of slices.
    pub(super) fn slices(&self) -> u64 {
        self.records.div_ceil(SLICE_RECORDS)
    }

    /// The planned events that belong into slice `number`, in time order: those from its first moment on and
    /// before that of the next.
    pub(super) fn events(&self, number: u64) -> &[Event] {
        let Some(plan) = &self.plan else { return &[] };
        let begin = |slice: u64| match slice {
            0 => 0,
            slice if slice >= self.slices() => plan.events.len(),
            slice => {
                let first = self.timetable.second((slice * SLICE_RECORDS) as f64, &mut 0);
                plan.events.partition_point(|event| event.second < first)
            }
        };
        &plan.events[begin(number)..begin(number + 1)]
    }

    /// A source bucket: the first is the busiest.
    pub(super) fn any_bucket(&self, rng: &mut Rng) -> usize {
        rng.popular(self.buckets.len() as u64) as usize
    }

    pub(super) fn worker(&self, rng: &mut Rng) -> &Caller {
        frequent(&self.workers, rng)
    }

    pub(super) fn operator(&self, rng: &mut Rng) -> &Caller {
        rng.pick(&self.operators)
    }

    pub(super) fn visitor(&self, rng: &mut Rng) -> &Caller {
        frequent(&self.visitors, rng)
    }
}

/// One of `callers`: half of all requests come from the busy ones at the head of the list.
fn frequent<'w>(callers: &'w [Caller], rng: &mut Rng) -> &'w Caller {
    let count = callers.len() as u64;
    let number = if rng.one_in(2) { rng.popular(count) } else { rng.below(count) };
    &callers[number as usize]
}

fn canonical_id(rng: &mut Rng) -> Vec<u8> {
    let mut id = Vec::with_capacity(64);
    put_random(&mut id, rng, HEX_LOWER, 64);
    id
}

/// Appends an address reserved for documentation.
pub(super) fn put_address(out: &mut Vec<u8>, rng: &mut Rng) {
    out.extend_from_slice(rng.pick(&NETWORKS).as_bytes());
    put_decimal(out, rng.between(1, 254));
}

/// The casting of callers.
struct Cast<'a> {
    rng: Rng,
    owner: &'a [u8],
    foreign: &'a [Vec<u8>],
}

impl Cast<'_> {
    fn worker(&mut self) -> Caller {
        let mut caller = self.signer(WORKERS);
        caller.requester = match self.rng.below(100) {
            0..74 => self.role(None),
            74..88 => self.user(ROBOTS),
            88..95 => self.owner.to_vec(),
            _ => self.rng.pick(self.foreign).clone(),
        };
        caller
    }

    fn operator(&mut self) -> Caller {
        let mut caller = self.signer(OPERATORS);
        caller.requester = match self.rng.below(10) {
            0..6 => self.role(Some('p')),
            6..9 => self.user(PEOPLE),
            _ => self.owner.to_vec(),
        };
        if caller.agent.starts_with(b"S3Console") {
            caller.referer = CONSOLE_REFERERS[0];
        }
        caller.style = Style::VirtualHost;
        caller.tls = MODERN;
        caller
    }

    fn visitor(&mut self) -> Caller {
        let v6 = self.rng.below(100) < 18;
        let agent = *self.rng.pick(VISITORS);
        let referer = *self.rng.pick(REFERERS);
        let browser = agent.starts_with("Mozilla") && !agent.contains("compatible");
        Caller {
            requester: b"-".to_vec(),
            addresses: vec![self.address(v6)],
            agent: self.numbered(agent),
            referer: if browser { referer } else { "-" },
            style: match self.rng.below(10) {
                _ if v6 => Style::DualStack,
                0..7 => Style::VirtualHost,
                7..9 => Style::Global,
                _ => Style::Path,
            },
            tls: self.transport(),
            region: "-",
            x_id: false,
            signed: false,
        }
    }

    /// A caller that signs, still without a requester.
    fn signer(&mut self, programs: &'static [Program]) -> Caller {
        let program = self.rng.pick(programs);
        let v6 = self.rng.below(100) < 6;
        let region = *self.rng.pick(&REGIONS);
        let count = if program.inside_aws { self.rng.between(1, 6) } else { 1 };
        Caller {
            requester: Vec::new(),
            addresses: (0..count).map(|_| self.address(v6)).collect(),
            agent: self.numbered(program.agent),
            referer: "-",
            style: match self.rng.below(100) {
                _ if v6 => Style::DualStack,
                0..76 => Style::VirtualHost,
                76..88 => Style::Path,
                88..93 => Style::AccessPoint(self.rng.index(ACCESS_POINTS.len())),
                93..96 => Style::DualStack,
                _ => Style::Global,
            },
            tls: if program.inside_aws { MODERN } else { self.transport() },
            region: if program.inside_aws { region } else { "-" },
            x_id: program.x_id,
            signed: true,
        }
    }

    fn transport(&mut self) -> &'static Tls {
        let mut draw = self.rng.below(TRANSPORTS.iter().map(|t| t.percent).sum());
        for tls in TRANSPORTS {
            if draw < tls.percent {
                return tls;
            }
            draw -= tls.percent;
        }
        MODERN
    }

    fn address(&mut self, v6: bool) -> Vec<u8> {
        let mut out = Vec::new();
        if v6 {
            // The documentation prefix; a network, an empty middle and a host.
            out.extend_from_slice(b"2001:0db8:");
            put_random(&mut out, &mut self.rng, HEX_LOWER, 4);
            out.extend_from_slice(b":0000:0000:0000:");
            put_random(&mut out, &mut self.rng, HEX_LOWER, 4);
            out.push(b':');
            put_random(&mut out, &mut self.rng, HEX_LOWER, 4);
        } else {
            put_address(&mut out, &mut self.rng);
        }
        out
    }

    /// `agent` with a number for each `{}`.
    fn numbered(&mut self, agent: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for (i, part) in agent.split("{}").enumerate() {
            if i > 0 {
                put_decimal(&mut out, self.rng.below(60));
            }
            out.extend_from_slice(part.as_bytes());
        }
        out
    }

    fn account(&mut self) -> &'static str {
        // The buckets' own account does most of the work.
        ACCOUNTS[self.rng.popular(ACCOUNTS.len() as u64) as usize]
    }

    fn user(&mut self, names: &[&str]) -> Vec<u8> {
        let name = *self.rng.pick(names);
        // A user may be named after an e-mail address.
        let domain = if self.rng.one_in(4) { "@example.com" } else { "" };
        format!("arn:aws:iam::{}:user/{name}{domain}", self.account()).into_bytes()
    }

    /// The session of a role; `kind` restricts the roles to those with such sessions.
    fn role(&mut self, kind: Option<char>) -> Vec<u8> {
        let roles: Vec<_> = ROLES.iter().filter(|r| kind.is_none_or(|k| r.1 == k)).collect();
        let &&(role, sessions) = self.rng.pick(&roles);
        let mut out = format!("arn:aws:sts::{}:assumed-role/{role}/", self.account()).into_bytes();
        match sessions {
            'i' => {
                out.extend_from_slice(b"i-0");
                put_random(&mut out, &mut self.rng, HEX_LOWER, 16);
            }
            'l' => {
                out.extend_from_slice(role.strip_suffix("-role").unwrap_or(role).as_bytes());
            }
            'b' => {
                out.extend_from_slice(b"botocore-session-17");
                put_decimal(&mut out, self.rng.between(40_000_000, 79_999_999));
            }
            'c' => {
                out.extend_from_slice(b"AWSCodeBuild-");
                put_uuid(&mut out, &mut self.rng);
            }
            _ => {
                out.extend_from_slice(self.rng.pick(PEOPLE).as_bytes());
                out.extend_from_slice(b"@example.com");
            }
        }
        out
    }
}
