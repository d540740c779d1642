#!/usr/bin/env bash
# Serves a folder of runs: scripts/tensorboard.sh [RUNS [TensorBoard options]]
#
# An installed `tensorboard` is used as it is; otherwise one is put into .tensorboard/ once.
set -euo pipefail
cd "$(dirname "$0")/.."

RUNS=${1:-runs}
shift || true

die() {
    echo "tensorboard: $*" >&2
    exit 2
}

[ -d "$RUNS" ] || die "$RUNS: no such folder; train something first (make run)"
if command -v tensorboard >/dev/null 2>&1; then
    exec tensorboard --logdir "$RUNS" "$@"
fi

if [ ! -d .tensorboard ]; then
    command -v python3 >/dev/null 2>&1 || die "'python3' not found; install it (Debian: apt install python3 python3-pip)"
    python3 -m pip --version >/dev/null 2>&1 || die "python3 has no pip; install it (Debian: apt install python3-pip)"
    rm -rf .tensorboard.tmp
    # TensorBoard still imports pkg_resources, which later setuptools dropped.
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --target .tensorboard.tmp tensorboard "setuptools<81" \
        || die "pip could not install tensorboard; see above"
    mv .tensorboard.tmp .tensorboard
fi
PYTHONPATH=.tensorboard exec python3 -m tensorboard.main --logdir "$RUNS" "$@"
