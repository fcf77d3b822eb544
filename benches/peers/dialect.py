"""s3trail's saved queries as DuckDB can run them: parameters become literals, names of functions DuckDB's.

What DuckDB lacks is of two kinds. Functions of s3trail, and functions of DataFusion under another name, are macros
(`SETUP`). What a macro cannot do is rewritten in the text (`translated`): a few aggregates, structs with named fields,
`EXCEPT`. The meaning stays that of the original, with the exceptions `SIMPLER` names. Knows nothing of files or
processes.
"""

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

ROOT = Path(__file__).resolve().parent.parent.parent

# Where the macros know less than s3trail's functions: for the reader of a comparison.
SIMPLER = (
    "`uri_param` finds only names that stand unencoded in the URI",
    "`ip_class` and `ip_in_cidr` know IPv4, of IPv6 no more than beginnings",
    "`evidence` keeps a record that a join repeats as often as it comes",
)

LOG_DELIVERY_ID = "3272ee65a908a7677109fedda345db8d9554ba26398b2ca10581de88777e2b61"
ALL_USERS_ID = "65a011a29cdf8ec533ec3d1ccaae921c"


def literal(text: str) -> str:
    """`text` as a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


# --- The saved queries ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Saved:
    """A saved query as its file says."""

    name: str
    kind: str  # report, detection or view
    sql: str
    params: dict[str, dict]


def saved(name: str) -> Saved:
    """The saved query of that name."""
    [path] = (ROOT / "queries").glob(f"*/{name}.sql")
    return read(path)


def saved_of(folder: str) -> list[Saved]:
    """All saved queries of a folder: `detections`, `reports` or `views`."""
    return [read(path) for path in sorted((ROOT / "queries" / folder).glob("*.sql"))]


def read(path: Path) -> Saved:
    front, sql = [], []
    for line in path.read_text().splitlines():
        if line.startswith("--!"):
            front.append(line[3:].removeprefix(" "))
        else:
            sql.append(line)
    facts = tomllib.loads("\n".join(front))
    return Saved(facts["id"], facts["kind"], "\n".join(sql).strip(), facts.get("params", {}))


UNITS = {"ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def seconds(duration: str) -> float:
    """`1h30m` as 5400."""
    parts = re.findall(r"([0-9.]+)(ms|[smhdw])", duration)
    if "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f"no duration: {duration}")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def value(spec: dict, given: Optional[str]) -> str:
    """The value of a parameter as a literal of DuckDB: what is given as on s3trail's command line, or the default."""
    kind, text = spec["type"], given if given is not None else spec.get("default")
    lists = ("text_list", "cidr_list")
    types = {
        "int": "BIGINT",
        "float": "DOUBLE",
        "bool": "BOOLEAN",
        "timestamp": "TIMESTAMPTZ",
        "duration": "INTERVAL",
    }
    if text is None:
        return f"CAST(NULL AS {'VARCHAR[]' if kind in lists else types.get(kind, 'VARCHAR')})"
    if kind in lists:
        if isinstance(text, str):
            text = json.loads(text) if text.startswith("[") else [part for part in text.split(",") if part]
        return "CAST([" + ", ".join(map(literal, text)) + "] AS VARCHAR[])"
    if kind == "text":
        return literal(str(text))
    if kind == "duration":
        return f"INTERVAL '{seconds(str(text)):g} seconds'"
    if kind == "timestamp":
        return f"TIMESTAMPTZ '{text}'"
    if kind == "bool":
        return str(text).lower()
    # A cast, not a bare number: a decimal is what DuckDB would make of it.
    return f"CAST({text} AS {types[kind]})"


def bound(query: Saved, given: dict[str, str]) -> str:
    """The SQL with every `$name` replaced by its value."""
    unknown = given.keys() - query.params.keys()
    if unknown:
        raise ValueError(f"{query.name} has no parameter {', '.join(sorted(unknown))}")
    values = {name: value(spec, given.get(name)) for name, spec in query.params.items()}
    return re.sub(r"\$([a-z_][a-z0-9_]*)", lambda found: values[found[1]], without_comments(query.sql))


# --- Text --------------------------------------------------------------------------------------------------


def without_comments(sql: str) -> str:
    """The SQL without its `--` comments, whose quotes would confuse what follows."""
    return re.sub(r"'(?:[^']|'')*'|--[^\n]*", lambda found: found[0] if found[0].startswith("'") else "", sql)


def closing(sql: str, opening: int) -> int:
    """Where the bracket that opens at `opening` closes."""
    depth, at = 0, opening
    while at < len(sql):
        character = sql[at]
        if character == "'":
            at = sql.index("'", at + 1)
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
            if depth == 0:
                return at
        at += 1
    raise ValueError("a bracket does not close")


def arguments(inside: str) -> list[str]:
    """What stands between the commas of a call."""
    parts, start, at = [], 0, 0
    while at < len(inside):
        if inside[at] == "'":
            at = inside.index("'", at + 1)
        elif inside[at] in "([{":
            at = closing(inside, at)
        elif inside[at] == ",":
            parts.append(inside[start:at].strip())
            start = at + 1
        at += 1
    parts.append(inside[start:].strip())
    return parts


def rewritten(sql: str, name: str, write: Callable[[list[str]], str]) -> str:
    """The SQL with every call of `name` replaced by what `write` makes of its arguments."""
    # The last one first: it holds no other.
    for found in reversed(list(re.finditer(rf"\b{name}\(", sql))):
        end = closing(sql, found.end() - 1)
        sql = sql[: found.start()] + write(arguments(sql[found.end() : end])) + sql[end + 1 :]
    return sql


def struct(parts: list[str]) -> str:
    return "{" + ", ".join(f"{name}: {expression}" for name, expression in zip(parts[::2], parts[1::2])) + "}"


def evidence(parts: list[str]) -> str:
    log_bucket, log_key, log_offset, time = parts
    place = f"'time': {time}, 'log_bucket': {log_bucket}, 'log_key': {log_key}, 'log_offset': {log_offset}"
    return "min({" + place + "}, 10)"


def with_groups(call: re.Match[str]) -> str:
    """regexp_match for two groups, where the pattern has so many: one that is not there cannot be asked for."""
    return f"regexp_match{'2' if re.compile(call[2]).groups == 2 else ''}{call[1]}"


def translated(sql: str) -> str:
    """The SQL of a saved query, parameters bound, as DuckDB takes it after `SETUP`."""
    sql = without_comments(sql)
    sql = rewritten(sql, "named_struct", struct)
    sql = rewritten(sql, "evidence", evidence)
    sql = rewritten(sql, "make_array", lambda parts: f"[{', '.join(parts)}]")
    sql = re.sub(r"\* EXCEPT \(", "* EXCLUDE (", sql)
    sql = re.sub(r"\bapprox_distinct\(", "approx_count_distinct(", sql)
    sql = re.sub(r"\bregexp_like\(", "regexp_matches(", sql)
    sql = re.sub(r"\bregexp_match(\([^(),']*, '((?:[^']|'')*)'\))", with_groups, sql)
    # Patterns laid out over several lines.
    sql = re.sub(r"'\(\?ix\)((?:[^']|'')*)'", lambda found: "'(?i)" + re.sub(r"\s", "", found[1]) + "'", sql)
    sql = re.sub(
        r"approx_percentile_cont\(([^()]*)\)\s+WITHIN GROUP\s+\(ORDER BY ([^()]*)\)",
        r"approx_quantile(\2, \1)",
        sql,
    )
    # As aggregates they have other names; as window functions they have not.
    sql = aggregates(sql, "first_value", "first")
    sql = aggregates(sql, "last_value", "last")
    # References to groups in replacements.
    return re.sub(r"\$\{([0-9])\}", r"\\\1", sql)


def aggregates(sql: str, name: str, other: str) -> str:
    for found in reversed(list(re.finditer(rf"\b{name}\(", sql))):
        after = sql[closing(sql, found.end() - 1) + 1 :]
        if not re.match(r"\s+OVER\b", after, re.IGNORECASE):
            sql = sql[: found.start()] + other + sql[found.end() - 1 :]
    return sql


# --- Macros ------------------------------------------------------------------------------------------------


def table(path: str, name: str) -> list[tuple[str, str]]:
    """A table of pairs of text in s3trail's own source, so that both engines go by the same one."""
    rust = (ROOT / "src" / "query" / "functions" / path).read_text()
    body = rust[rust.index(f"const {name}: &[(&str, &str)]") :]
    return re.findall(r'^    \("([^"]*)", "([^"]*)"\),$', body[: body.index("\n];")], re.MULTILINE)


def user_agent_family() -> str:
    rules = " ".join(
        f"WHEN contains(lower(user_agent), {literal(text)}) THEN {literal(family)}"
        for text, family in table("user_agent.rs", "RULES")
    )
    return f"CREATE MACRO user_agent_family(user_agent) AS CASE WHEN user_agent IS NOT NULL THEN CASE {rules} ELSE 'other' END END"


def ip_class() -> str:
    """IPv4 by number; IPv6 by the first groups, as an address is usually written."""
    rules, beginnings = [], []
    for network, name in table("ip.rs", "CLASSES"):
        address, _, length = network.partition("/")
        if ":" in address:
            exact = int(length) == 128
            start = address if exact else address.split("::")[0].rstrip("0").rstrip(":")
            test = f"lower(ip) = {literal(address)}" if exact else f"starts_with(lower(ip), {literal(start)})"
            beginnings.append(f"WHEN {test} THEN {literal(name)}")
        else:
            rules.append(
                f"WHEN ip4(ip) >> {32 - int(length)} = ip4('{address}') >> {32 - int(length)} THEN {literal(name)}"
            )
    return (
        "CREATE MACRO ip_class(ip) AS CASE WHEN ip IS NULL THEN NULL "
        f"WHEN ip4(ip) IS NOT NULL THEN CASE {' '.join(rules)} ELSE 'public' END "
        f"WHEN contains(ip, ':') THEN CASE {' '.join(beginnings)} ELSE 'public' END ELSE 'unparsable' END"
    )


# Every statement stands alone. Later macros use earlier ones.
MACROS = [
    # DataFusion's under another name or with other arguments.
    "array_length(list) AS len(list)",
    "arrow_cast(x, type) AS x",
    "cardinality(list) AS len(list)",
    "date_bin(width, moment) AS time_bucket(width, moment, TIMESTAMPTZ '1970-01-01')",
    "regexp_match(text, pattern) AS CASE WHEN regexp_matches(text, pattern) THEN "
    "[nullif(regexp_extract(text, pattern, 1), '')] END",
    "regexp_match2(text, pattern) AS CASE WHEN regexp_matches(text, pattern) THEN "
    "[nullif(regexp_extract(text, pattern, 1), ''), nullif(regexp_extract(text, pattern, 2), '')] END",
    "regexp_count(text, pattern) AS len(regexp_extract_all(text, pattern))",
    "to_char(moment, format) AS strftime(moment, format)",
    "to_timestamp_micros(micros) AS make_timestamptz(micros)",
    "to_timestamp_seconds(seconds) AS to_timestamp(seconds)",
    # s3trail's: operations.
    "operation_method(operation) AS nullif(split_part(operation, '.', 2), '')",
    "operation_resource(operation) AS nullif(array_to_string(str_split(operation, '.')[3:], '.'), '')",
    """operation_class(operation) AS CASE
        WHEN operation IS NULL THEN NULL
        WHEN starts_with(operation, 'S3.') THEN 'internal'
        WHEN split_part(operation, '.', 2) = 'OPTIONS' THEN 'preflight'
        WHEN operation_resource(operation) IN ('OBJECT_GET', 'PART_GET') OR operation LIKE '%.POST.SELECT' THEN 'read'
        WHEN split_part(operation, '.', 2) IN ('GET', 'HEAD') THEN CASE
            WHEN operation_resource(operation) IN ('OBJECT', 'PART', 'OBJECT_ATTRIBUTES', 'TORRENT') THEN 'read'
            WHEN operation_resource(operation) IN ('BUCKET', 'BUCKETVERSIONS', 'UPLOADS', 'UPLOAD') THEN 'list'
            WHEN operation_resource(operation) IS NULL THEN 'other'
            ELSE 'config_read' END
        WHEN operation LIKE '%.DELETE.OBJECT' OR operation LIKE '%.DELETE.UPLOAD'
            OR operation LIKE '%.POST.MULTI_OBJECT_DELETE' THEN 'delete'
        WHEN split_part(operation, '.', 2) IN ('PUT', 'POST', 'COPY')
            AND operation_resource(operation) IN ('OBJECT', 'PART', 'UPLOAD', 'UPLOADS') THEN 'write'
        WHEN operation LIKE '%.POST.RESTORE' THEN 'restore'
        WHEN operation_resource(operation) IS NULL THEN 'other'
        WHEN split_part(operation, '.', 2) IN ('PUT', 'POST', 'DELETE') THEN 'config_write'
        ELSE 'other' END""",
    # Requesters.
    f"""principal_type(requester) AS CASE
        WHEN requester IS NULL THEN 'anonymous'
        WHEN starts_with(requester, 'arn:aws') AND split_part(requester, ':', 3) IN ('iam', 'sts') THEN
            CASE split_part(split_part(requester, ':', 6), '/', 1)
            WHEN 'assumed-role' THEN 'assumed_role'
            WHEN 'user' THEN
                CASE split_part(requester, ':', 5) WHEN 'cloudfront' THEN 'cloudfront_oai' ELSE 'iam_user' END
            WHEN 'federated-user' THEN 'federated_user'
            WHEN 'root' THEN 'root_or_canonical'
            ELSE 'other' END
        WHEN requester = 'AmazonS3' THEN 'aws_s3'
        WHEN requester IN ('{LOG_DELIVERY_ID}', 'svc:logging.s3.amazonaws.com') THEN 'log_delivery'
        WHEN starts_with(requester, 'svc:') THEN 'service'
        WHEN requester IN ('', '-', '{ALL_USERS_ID}') OR lower(requester) = 'anonymous' THEN 'anonymous'
        WHEN regexp_full_match(requester, '[0-9a-fA-F]{{64}}') THEN 'root_or_canonical'
        ELSE 'other' END""",
    """principal(requester) AS CASE
        WHEN requester LIKE 'arn:aws%:sts:%:assumed-role/%/%'
            THEN concat(split_part(requester, '/', 1), '/', split_part(requester, '/', 2))
        WHEN starts_with(requester, 'arn:') THEN requester
        WHEN principal_type(requester) = 'anonymous' THEN 'anonymous'
        ELSE requester END""",
    """principal_account(requester) AS CASE
        WHEN starts_with(requester, 'arn:aws') AND split_part(requester, ':', 3) IN ('iam', 'sts')
            AND regexp_full_match(split_part(requester, ':', 5), '[0-9]{12}') THEN split_part(requester, ':', 5) END""",
    """role_name(requester) AS CASE
        WHEN requester LIKE 'arn:aws%:assumed-role/%' THEN split_part(requester, '/', 2) END""",
    """session_name(requester) AS CASE
        WHEN requester LIKE 'arn:aws%:assumed-role/%/%'
            THEN array_to_string(str_split(requester, '/')[3:], '/') END""",
    # Request-URIs.
    "uri_method(uri) AS nullif(split_part(uri, ' ', 1), '')",
    r"uri_target(uri) AS CASE WHEN contains(uri, ' ') THEN regexp_extract(uri, '^[^ ]* (.*?)(?: HTTP/[^ ]*)?$', 1) END",
    "uri_path(uri) AS split_part(uri_target(uri), '?', 1)",
    """uri_query(uri) AS CASE
        WHEN contains(uri_target(uri), '?') THEN substr(uri_target(uri), strpos(uri_target(uri), '?') + 1) END""",
    # The cheap test first: few URIs have a query string.
    """uri_param(uri, name) AS CASE
        WHEN contains(uri, '?') AND regexp_matches(uri_query(uri), '(?i)(?:^|&)' || name || '(?:=|&|$)')
            THEN url_decode(regexp_extract(uri_query(uri), '(?i)(?:^|&)' || name || '(?:=([^&]*)|&|$)', 1)) END""",
    # Addresses.
    """ip4(ip) AS CASE
        WHEN regexp_full_match(ip, '[0-9]{1,3}([.][0-9]{1,3}){3}') THEN
            CAST(split_part(ip, '.', 1) AS BIGINT) * 16777216 + CAST(split_part(ip, '.', 2) AS BIGINT) * 65536
            + CAST(split_part(ip, '.', 3) AS BIGINT) * 256 + CAST(split_part(ip, '.', 4) AS BIGINT) END""",
    """ip_in_cidr(ip, networks) AS CASE
        WHEN ip4(ip) IS NOT NULL THEN len(list_filter(networks, lambda net:
            ip4(split_part(net, '/', 1)) >> (32 - CAST(split_part(net || '/32', '/', 2) AS BIGINT))
            = ip4(ip) >> (32 - CAST(split_part(net || '/32', '/', 2) AS BIGINT)))) > 0
        WHEN contains(ip, ':') THEN list_contains(networks, ip) END""",
]

SETTINGS = [
    "SET TimeZone = 'UTC'",
    # As in DataFusion.
    "SET integer_division = true",
    "SET default_null_order = 'nulls_last_on_asc_first_on_desc'",
]

SETUP = [*SETTINGS, *(f"CREATE MACRO {macro}" for macro in MACROS), user_agent_family(), ip_class()]
