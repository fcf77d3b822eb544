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

# Fuzz one target; needs cargo-fuzz, whose compiler flags a stable compiler accepts only so
fuzz TARGET SECONDS="600":
    mkdir -p fuzz/corpus/{{ TARGET }}
    RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none {{ TARGET }} fuzz/corpus/{{ TARGET }} fuzz/seeds/{{ TARGET }} -- -max_total_time={{ SECONDS }}

# Kill an ingest at many moments and compare with an undisturbed one
kill9 *ARGS: release
    python3 tests/scripts/kill9.py --bin {{ release }} {{ ARGS }}

# Open a lake with other Delta readers and compare, such as `just readers lake`
readers LAKE *ARGS: release
    python3 tests/scripts/readers.py {{ LAKE }} --bin {{ release }} {{ ARGS }}
