# What AppArmor allows a container of Cloister's: what profiles of containers usually do, and what makes a cell. A cell
# is confined by this and by all of its own layers.
#   apparmor_parser -r apparmor.profile
abi <abi/4.0>,
include <tunables/global>

profile cloister flags=(attach_disconnected,mediate_deleted) {
  include <abstractions/base>

  file,
  network,
  unix,
  signal (send, receive) peer=cloister,
  ptrace (read) peer=cloister,

  # Cells: a user namespace, in it the others and an empty root. Capabilities are those of that namespace alone: the
  # container itself has none.
  userns,
  mount,
  umount,
  pivot_root,
  capability setgid,
  capability setuid,
  capability setpcap,
  capability sys_admin,

  deny /proc/sys/** w,
  deny /proc/sysrq-trigger rwlx,
  deny /proc/kcore rwlx,
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/firmware/** rwlx,
  deny /sys/kernel/security/** rwlx,
}
