#!/usr/bin/env bash
# Makes .venv with everything that Cloister and its tests need, and installs what the system lacks for it.
# Quick when there is nothing to do. Debian or Ubuntu; elsewhere install what it names and run it again.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }

packages=(
  libseccomp2  # pyseccomp calls it
  libcap-dev   # python-prctl is built against it
  g++          # the detector's C++
  python3-dev  # headers for both
  python3-venv
)

stamp=.venv/.complete
wanted=$(cat requirements.lock pyproject.toml CMakeLists.txt engines/scribe/mser/*.cpp engines/scribe/mser/*.h* \
  2>/dev/null | sha256sum)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0

python=${PYTHON:-python3}
if command -v dpkg-query >/dev/null; then
  missing=()
  for package in "${packages[@]}"; do
    state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [[ $state == *"ok installed" ]] || missing+=("$package")
  done
  # A Python that is not the system's own brings its headers and venv with it.
  if [ "$(readlink -f "$(command -v "$python" || true)")" != "$(readlink -f /usr/bin/python3)" ] && command -v "$python" >/dev/null; then
    missing=($(printf '%s\n' "${missing[@]}" | grep -v '^python3-' || true))
  fi
  if [ ${#missing[@]} -gt 0 ]; then
    as_root=(); [ "$(id -u)" = 0 ] || as_root=(sudo)
    say "installing system packages: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  fi
else
  say "no dpkg here: libseccomp, libcap's headers, a C++17 compiler and Python's headers must be there already"
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Python 3.11 or newer is needed, $("$python" --version) was found; set PYTHON=/path/to/python3.11" >&2
  exit 1
}
[ -x .venv/bin/python ] || { say "creating .venv"; "$python" -m venv .venv; }
say "installing Python packages (TensorFlow is large: some minutes the first time)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
say "building and installing Cloister"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
echo "$wanted" >"$stamp"
say "ready"
