#!/usr/bin/env bash
# The second stage: from a Debian with nothing in it to one that can run what build.sh made, with a user of its own and
# nothing in it that this user can write to but two folders. As root.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

apt-get update -qq
apt-get install -y -qq --no-install-recommends libcap2 libseccomp2 libstdc++6 python3 tesseract-ocr-eng >/dev/null
groupadd --gid 10001 cloister
useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/cloister --shell /usr/sbin/nologin cloister
install -d -o cloister -g cloister -m 750 /run/cloister /var/lib/cloister

apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/debconf/* /var/log/*.log /var/log/apt /usr/share/doc /usr/share/man /usr/share/locale
# No program may give rights: neither to the server nor to what might take it over.
find / -xdev -type f -perm /6000 -exec chmod ug-s {} +
