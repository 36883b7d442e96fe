#!/bin/sh
# Runs a command of this checkout under another kernel: Debian's own, in an emulated machine, where control groups are
# of version 2 only, as most machines of our users have them and a container of ours may not.
#
# usage: tools/kernel.sh CACHE COMMAND [WORD ...]
#        tools/kernel.sh .cache .venv/bin/python -m pytest tests/confine/test_cgroups.py
#
# The machine sees this one's files as they are, and writes beside them, into its own memory. It has no network. It
# needs qemu and three packages more, which are installed where this runs as root with apt-get; the kernel itself is only
# unpacked, below CACHE. It ends with the status of the command. Without /dev/kvm each instruction is emulated, ten to
# thirty times slower.
set -eu

say() { printf 'doorward: %s\n' "$*" >&2; }

cache=$(realpath "$1")/kernel
shift
mkdir -p "$cache"
arch=$(dpkg --print-architecture)
[ "$arch" = amd64 ] || { say "only written for amd64, and this is $arch"; exit 2; }

needed='qemu-system-x86 busybox-static cpio kmod'
# shellcheck disable=SC2086 # words on purpose
if ! dpkg -s $needed >/dev/null 2>&1; then
    say "installing $needed"
    apt-get update >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $needed >&2
fi
if [ ! -e "$cache/boot" ]; then
    package=$(apt-cache depends "linux-image-$arch" | sed -n 's/ *Depends: \(linux-image-.*\)/\1/p')-unsigned
    say "unpacking $package"
    rm -rf "$cache/new"
    mkdir -p "$cache/new"
    (cd "$cache/new" && apt-get download "$package" >&2 && dpkg-deb -x ./*.deb . && rm ./*.deb)
    /sbin/depmod -b "$cache/new" "$(ls "$cache/new/lib/modules")"
    mv "$cache/new"/* "$cache"
fi

# What comes up first: the modules that the root needs, then this machine's files with memory laid over them.
first=$(mktemp -d)
trap 'rm -rf "$first"' EXIT
mkdir -p "$first/bin" "$first/modules" "$first/proc" "$first/ours" "$first/memory" "$first/root"
cp "$(command -v busybox)" "$first/bin/busybox"
release=$(ls "$cache/lib/modules")
modules='virtio_pci 9p 9pnet_virtio overlay'
order=$(for module in $modules; do
    /sbin/modprobe --dirname "$cache" --set-version "$release" --show-depends "$module" | sed -n 's/^insmod //p'
done | awk '!seen[$1]++ {print $1}')
number=100
for module in $order; do
    cp "$module" "$first/modules/$number-$(basename "$module")"
    number=$((number + 1))
done
cat >"$first/init" <<'INIT'
#!/bin/busybox sh
export PATH=/bin
busybox mount -t proc proc /proc
for module in /modules/*; do busybox insmod "$module"; done
busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=524288,cache=loose ours /ours
busybox mount -t tmpfs -o size=75% memory /memory
busybox mkdir /memory/upper /memory/work
busybox mount -t overlay -o lowerdir=/ours,upperdir=/memory/upper,workdir=/memory/work root /root
busybox mount -t proc proc /root/proc
busybox mount -t sysfs sys /root/sys
busybox mount -t devtmpfs dev /root/dev
busybox mkdir -p /root/dev/pts /root/dev/shm
busybox mount -t devpts devpts /root/dev/pts
busybox mount -t tmpfs shm /root/dev/shm
busybox mount -t tmpfs tmp /root/tmp
busybox mount -t tmpfs run /root/run
busybox mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
busybox cp /command /root/run/command
exec busybox switch_root /root /bin/sh /run/command
INIT
chmod +x "$first/init"
{
    echo 'exec </dev/null >/dev/ttyS0 2>&1'
    echo 'ip link set lo up'
    env | sed -n "s/^\(PATH\|HOME\|LANG\|CI\|DOORWARD_[A-Z_]*\|PYTHON[A-Z]*\)=\(.*\)/export \1='\2'/p"
    printf "cd '%s'\n" "$(pwd)"
    # As systemd has it: the top shares out, and what runs is in a group of its own.
    echo "echo '+cpu +memory +pids' >/sys/fs/cgroup/cgroup.subtree_control; mkdir /sys/fs/cgroup/session"
    echo '(echo "$(exec sh -c '\''echo $PPID'\'')" >/sys/fs/cgroup/session/cgroup.procs'
    for word in "$@"; do printf "'%s' " "$(printf %s "$word" | sed "s/'/'\\\\''/g")"; done
    echo ')'
    echo 'echo "ended with $?"; echo o >/proc/sysrq-trigger; read -r _ </dev/zero'
} >"$first/command"
(cd "$first" && find . | cpio -o -H newc --quiet | gzip -1) >"$cache/first.gz"

accel=tcg,thread=multi
[ ! -w /dev/kvm ] || ! grep -q -E '(vmx|svm)' /proc/cpuinfo || accel=kvm
say "starting $release ($accel)"
qemu-system-x86_64 -accel "$accel" -cpu max -smp 2 -m 6G -nographic -no-reboot -nodefaults -serial stdio -monitor none \
    -kernel "$cache"/boot/vmlinuz-* -initrd "$cache/first.gz" \
    -append 'console=ttyS0 quiet panic=-1 mitigations=off' \
    -virtfs local,path=/,mount_tag=ours,security_model=none,readonly=on,multidevs=remap \
    </dev/null | tee "$cache/said"
status=$(tr -d '\r' <"$cache/said" | sed -n 's/^ended with //p' | tail -1)
exit "${status:-2}"
