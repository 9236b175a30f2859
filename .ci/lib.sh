# shellcheck shell=bash
# Settings and functions that the steps of .ci/steps share. Each step, .ci/run and .ci/fast source this file.
set -Eeuo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Versions of the tools that are installed below target/.
# shellcheck disable=SC2034 # Used by the steps.
readonly CARGO_DENY=0.20.2 CARGO_MACHETE=0.9.2 TYPOS=1.42.3 CARGO_DEB=3.8.0 CARGO_CYCLONEDX=0.5.9 ACTIONLINT=1.7.12

# Every step uses the same features, because cargo compiles everything again for other features.
# shellcheck disable=SC2034
readonly FEATURES=real-attack,real-browser,real-compose,real-disk,real-kafka,real-prometheus,real-proxy,real-stores

# Most tests wait, so more tests than processors run at the same time.
export CARGO_TERM_PROGRESS_WHEN=never RUST_BACKTRACE=1 CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 3 / 2))}

target=${CARGO_TARGET_DIR:-$PWD/target}
tools=$target/tools
mkdir -p "$tools"

has() {
    command -v "$1" >/dev/null 2>&1
}

# cargo_tool CRATE VERSION: installs a tool written in Rust, unless this version is installed.
cargo_tool() {
    local crate=$1 version=$2
    if [[ -x $tools/bin/$crate && -f $tools/$crate-$version ]]; then
        echo "$crate $version is there"
        return
    fi
    # Without optimization, because optimizing takes much longer than it saves here.
    CARGO_TARGET_DIR=$tools/build CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --root "$tools" "$crate@$version"
    rm -f "$tools/$crate"-[0-9]*
    touch "$tools/$crate-$version"
}

# not_done CHECK: reports a check that is impossible on this machine, for a reason outside the change.
# .ci/run repeats it at its end.
not_done() {
    echo "NOT DONE: $1"
    if [[ -n ${CI_NOT_DONE:-} ]]; then
        echo "$1" >>"$CI_NOT_DONE"
    fi
}
