#!/usr/bin/env bash
# Puts libtorch 2.11 where .cargo/config.toml looks for it: .libtorch/torch.
#
#   scripts/setup_libtorch.sh                CPU: the three wheels that libtorch_cpu.so needs, and nothing of Python
#   CUDA=1 scripts/setup_libtorch.sh         the same with all CUDA libraries (several GB)
#   LIBTORCH=DIR scripts/setup_libtorch.sh   links an existing libtorch or PyTorch (the folder that holds lib/, include/)
#
# Does nothing where the wanted libtorch is present. The folder is its own stamp: it is filled under another name,
# checked, and put in place by one rename, so a broken download leaves nothing behind that looks finished.
set -euo pipefail
cd "$(dirname "$0")/.."

VERSION=2.11.0 # welded to tch 0.24: both move together
HOME_DIR=.libtorch
TMP_DIR=.libtorch.tmp

die() {
    echo "setup: $*" >&2
    exit 2
}

# need PROGRAM REMEDY: one clear line for a missing prerequisite.
need() {
    command -v "$1" >/dev/null 2>&1 || die "'$1' not found; $2"
}

# torch_version DIR: the release of a libtorch (build-version) or a PyTorch (version.py), without its +cu130 suffix.
torch_version() {
    if [ -f "$1/build-version" ]; then
        sed 's/+.*//' "$1/build-version"
    elif [ -f "$1/version.py" ]; then
        sed -n "s/^__version__ = '\([0-9.]*\).*/\1/p" "$1/version.py"
    fi
}

# problem_with DIR: one line that says why DIR is no libtorch 2.11; silence if it is one.
problem_with() {
    local found
    [ -d "$1" ] || { echo "no such folder"; return; }
    for part in lib/libtorch_cpu.so include/torch; do
        [ -e "$1/$part" ] || { echo "it has no $part (expected the folder that holds lib/ and include/)"; return; }
    done
    found=$(torch_version "$1")
    case "$found" in
        2.11.*) ;;
        "") echo "it has neither build-version nor version.py, so its release cannot be told (expected $VERSION)" ;;
        *) echo "it is release $found, expected $VERSION" ;;
    esac
}

has_cuda() {
    compgen -G "$HOME_DIR/nvidia/*/lib/libcublas.so*" >/dev/null
}

put_in_place() {
    rm -rf "$HOME_DIR"
    mv "$TMP_DIR" "$HOME_DIR"
}

link_existing() {
    local given=$1 real problem
    problem=$(problem_with "$given")
    [ -z "$problem" ] || die "LIBTORCH=$given: $problem"
    real=$(cd "$given" && pwd -P)

    # Linking our own folder to itself would delete it.
    if [ -d $HOME_DIR/torch ] && [ "$real" = "$(cd $HOME_DIR/torch && pwd -P)" ]; then return; fi
    rm -rf $TMP_DIR
    mkdir $TMP_DIR
    ln -s "$real" $TMP_DIR/torch
    put_in_place
    echo "setup: $HOME_DIR/torch -> $real"
}

install_wheels() {
    need python3 "install it (Debian: apt install python3 python3-pip), or set LIBTORCH to an existing libtorch $VERSION"
    python3 -m pip --version >/dev/null 2>&1 || die "python3 has no pip; install it (Debian: apt install python3-pip)"

    local wheels=(--no-deps "torch==$VERSION" "nvidia-cuda-runtime==13.0.*" "nvidia-cuda-cupti==13.0.*")
    if [ "${CUDA:-0}" = 1 ]; then wheels=("torch==$VERSION"); fi
    rm -rf $TMP_DIR
    echo "setup: fetching libtorch $VERSION into $HOME_DIR (about 0.5 GB; with CUDA=1 several)"
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --disable-pip-version-check --no-compile --target $TMP_DIR "${wheels[@]}" \
        || die "pip could not fetch torch $VERSION (wheels exist for Linux with Python 3.10 to 3.14); see above"

    # Only the C++ side stays, with the wheels' licences.
    find $TMP_DIR -mindepth 1 -maxdepth 1 ! -name torch ! -name nvidia ! -name 'torch-*.dist-info' \
        ! -name 'nvidia_*.dist-info' -exec rm -rf {} +
    find $TMP_DIR/torch -mindepth 1 -maxdepth 1 ! -name lib ! -name include ! -name version.py -exec rm -rf {} +
    rm -f $TMP_DIR/torch/lib/libtorch_python.so

    local problem
    problem=$(problem_with $TMP_DIR/torch)
    [ -z "$problem" ] || die "what pip installed is not usable: $problem"
    put_in_place
}

need cargo "install Rust 1.88 or later from https://rustup.rs"
need c++ "install a C++17 compiler (Debian: apt install g++)"

if [ -n "${LIBTORCH:-}" ]; then
    link_existing "$LIBTORCH"
elif [ -n "$(problem_with $HOME_DIR/torch)" ]; then
    install_wheels
elif [ "${CUDA:-0}" = 1 ] && [ -L $HOME_DIR/torch ]; then
    echo "setup: CUDA=1 changes nothing: $HOME_DIR/torch links $(readlink $HOME_DIR/torch), which brings its own CUDA or none"
elif [ "${CUDA:-0}" = 1 ] && ! has_cuda; then
    install_wheels
fi
