#!/usr/bin/env bash
# Runs a command in ROOT as a container engine would: that is all there is, read-only, as a user without any capability.
# /run/cloister is RUN, /var/lib/cloister and /tmp are empty and can be written to. Start it in a mount namespace of its
# own. Usage: inside.sh ROOT RUN USER COMMAND...
set -euo pipefail
root=$1 run=$2 user=$3
shift 3
mount --bind "$root" "$root"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o nosuid,nodev,noexec tmpfs "$root/tmp"
mount -t tmpfs -o "nosuid,nodev,noexec,mode=750,uid=$user,gid=$user" tmpfs "$root/var/lib/cloister"
mount --bind "$run" "$root/run/cloister"
mount -o remount,bind,ro "$root"
cd "$root"
pivot_root . mnt
exec chroot . sh -c '
  umount -l /mnt
  cd /var/lib/cloister
  user=$1
  shift
  exec setpriv --reuid "$user" --regid "$user" --clear-groups --bounding-set -all --inh-caps -all --no-new-privs "$@"
' sh "$user" "$@"
