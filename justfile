# The commands people and CI use. `just` alone lists them.

release := "target/release/s3trail"

_list:
    @just --list --unsorted

# Debug build
build:
    cargo build

# All tests
test *ARGS:
    cargo test {{ ARGS }}

# Formatting and lints, as the gate checks them
lint:
    cargo fmt --all --check
    cargo clippy --all-targets -- -D warnings

# The whole gate: what must pass before a commit
ci:
    .ci/run

# The README's first command: the operations in the sample logs
demo:
    cargo run --release -- query operations-summary --logs sample_logs

# Release build of the binary that the scripts below run
release:
    cargo build --release

# Micro-benchmarks, such as `just bench parse`
bench *ARGS:
    cargo bench {{ ARGS }}

# The same log through s3trail and its peers, such as `just bench-peers --runs 9 --json figures.json`
bench-peers *ARGS: release
    python3 benches/peers/run.py --bin {{ release }} {{ ARGS }}

# Reports, detections and point lookups beside DuckDB on the same files, such as `just bench-queries --lake lake`
bench-queries *ARGS: release
    python3 benches/peers/queries.py --bin {{ release }} {{ ARGS }}

# Time and memory of ingest and detect against the size, such as `just bench-growth --sizes 1GB 2GB 4GB`
bench-growth *ARGS: release
    python3 benches/peers/growth.py --bin {{ release }} {{ ARGS }}

# Fuzz one target; needs cargo-fuzz, whose compiler flags a stable compiler accepts only so
fuzz TARGET SECONDS="600":
    mkdir -p fuzz/corpus/{{ TARGET }}
    RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none {{ TARGET }} fuzz/corpus/{{ TARGET }} fuzz/seeds/{{ TARGET }} -- -max_total_time={{ SECONDS }}

# Kill all that writes a lake at many moments and compare, such as `just kill9 --instants 200 --clock-back 2`
kill9 *ARGS: release
    python3 tests/scripts/kill9.py --bin {{ release }} {{ ARGS }}

# Ingest, compact, vacuum, verify and query one lake all at once for ten minutes, every answer checked
mixed-load *ARGS: release
    python3 tests/scripts/mixed_load.py --bin {{ release }} {{ ARGS }}

# Fail each call on files, fill disks and mount lakes read-only, such as `just faults --only ingest --points 10`
faults *ARGS: release
    python3 tests/scripts/faults.py --bin {{ release }} {{ ARGS }}

# Open a lake with other Delta readers and compare, such as `just readers lake`
readers LAKE *ARGS: release
    python3 tests/scripts/readers.py {{ LAKE }} --bin {{ release }} {{ ARGS }}
