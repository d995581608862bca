#!/usr/bin/env bash
# The first stage: from a Debian with nothing in it and the source to a folder that holds Cloister, its models and all
# Python packages, for Debian's own Python. Usage: build.sh SOURCE PREFIX, as root.
set -euo pipefail
source=$(cd "$1" && pwd)
prefix=$2
export DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

apt-get update -qq
apt-get install -y -qq --no-install-recommends g++ libcap-dev python3-dev python3-venv >/dev/null

# Only what has these names of a lock file, with its hashes.
locked() {
  local lock=$1
  shift
  awk -v names=" $* " '/^[a-zA-Z0-9]/ { split($1, part, "=="); kept = index(names, " " part[1] " ") } kept' "$lock"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The tools that build the detector come from the lock of the developers, and stay behind.
python3 -m venv "$work/tools"
locked "$source/requirements.lock" cmake nanobind ninja packaging pathspec scikit-build-core >"$work/tools.lock"
"$work/tools/bin/pip" install -q --require-hashes -r "$work/tools.lock"
PATH="$work/tools/bin:$PATH" "$work/tools/bin/pip" wheel -q --no-deps --no-build-isolation -w "$work" "$source"

python3 -m venv "$prefix"
"$prefix/bin/pip" install -q --require-hashes --no-deps -r "$source/deploy/container/requirements.lock"
"$prefix/bin/pip" install -q --no-deps "$work"/cloister-*.whl
install -m 755 "$source/deploy/container/cloister-probe" "$prefix/bin/cloister-probe"

# What serves nobody: headers, names of TensorFlow's own symbols (a quarter of it), a compiler's library that it asks for
# and never loads, the means to install more, and the code that trains.
packages=$(echo "$prefix"/lib/python3.*/site-packages)
"$prefix/bin/pip" uninstall -q -y pip setuptools
rm -rf "$packages"/tensorflow/include "$packages"/clang "$packages"/engines/scribe/training "$packages"/engines/scribe/orientation/training
find "$packages" -depth -type d -name tests -path '*/site-packages/*/*' -exec rm -rf {} +
find "$packages/tensorflow" -name '*.so*' -exec strip --strip-unneeded {} +
find "$prefix" -name '*.a' -delete
