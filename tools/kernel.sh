#!/bin/sh
# Runs a module of Python of this checkout under another kernel: Debian's own, in an emulated machine. There control
# groups are of version 2 only, as most machines of our users have them and a container of ours may not; and the machine
# may be one of ARM.
#
# usage: tools/kernel.sh CACHE (x86_64 | aarch64) MODULE [WORD ...]
#        tools/kernel.sh .cache aarch64 pytest tests/confine/test_calls.py
#
# On x86_64 the machine sees this one's files as they are, with .venv; on aarch64 those of a Debian that is unpacked for
# it, this checkout, and what requirements/dev.txt names. What it writes stays in its own memory, and it has no network.
# All that is fetched lies below CACHE; qemu and what unpacks packages are installed where this runs as root with
# apt-get. It ends with the status of the command. Each instruction is emulated, which takes ten to thirty times as long.
set -eu

say() { printf 'doorward: %s\n' "$*" >&2; }

cache=$(realpath "$1")/kernel-$2 machine=$2 checkout=$(pwd)
shift 2
case $machine in
x86_64)
    debian=amd64 emulator=qemu-system-x86 console=ttyS0 options='-cpu max'
    packages=busybox-static,linux-image-amd64
    ;;
aarch64)
    debian=arm64 emulator=qemu-system-arm console=ttyAMA0 options='-machine virt -cpu max'
    packages=busybox-static,linux-image-arm64,python3,python3-distutils,dash,coreutils,grep,sed,util-linux,procps,iproute2
    ;;
*)
    say "no machine is called $machine: x86_64 or aarch64"
    exit 2
    ;;
esac

needed="$emulator mmdebstrap cpio kmod"
# shellcheck disable=SC2086 # words on purpose
if ! dpkg -s $needed >/dev/null 2>&1; then
    say "installing $needed"
    apt-get update >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $needed >&2
fi
if [ ! -e "$cache/root" ]; then
    say "unpacking a Debian for $machine"
    rm -rf "$cache"
    mkdir -p "$cache"
    mmdebstrap --quiet --variant=extract --architectures=$debian --include=$packages bookworm "$cache/new" >&2
    /sbin/depmod -b "$cache/new" "$(ls "$cache/new/lib/modules")"
    if [ $machine = aarch64 ]; then
        .venv/bin/python -m pip install --quiet --target "$cache/site" --no-deps --require-hashes --only-binary :all: \
            --platform manylinux2014_aarch64 --platform manylinux_2_17_aarch64 --platform manylinux_2_28_aarch64 \
            --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none -r requirements/dev.txt >&2
    fi
    mv "$cache/new" "$cache/root"
fi

# What comes up first: the modules that the root needs, then the files with memory laid over them.
first=$(mktemp -d)
trap 'rm -rf "$first"' EXIT
mkdir -p "$first/bin" "$first/modules" "$first/proc" "$first/files" "$first/memory" "$first/root"
cp "$cache/root/bin/busybox" "$first/bin/busybox"
release=$(ls "$cache/root/lib/modules")
number=100
for module in $(for name in virtio_pci 9p 9pnet_virtio overlay; do
    /sbin/modprobe --dirname "$cache/root" --set-version "$release" --show-depends $name | sed -n 's/^insmod //p'
done | awk '!seen[$1]++ {print $1}'); do
    cp "$module" "$first/modules/$number-$(basename "$module")"
    number=$((number + 1))
done

share() { # TAG FOLDER: how the emulator gives a folder
    printf -- '-virtfs local,path=%s,mount_tag=%s,security_model=none,readonly=on,multidevs=remap ' "$2" "$1"
}
attach() { # TAG FOLDER: how the machine takes it
    echo "busybox mkdir -p $2"
    echo "busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=524288,cache=loose $1 $2"
}
{
    echo '#!/bin/busybox sh'
    echo 'export PATH=/bin'
    echo 'busybox mount -t proc proc /proc'
    # shellcheck disable=SC2016 # for the machine to expand
    echo 'for module in /modules/*; do busybox insmod "$module"; done'
    attach files /files
    echo 'busybox mount -t tmpfs -o size=75% memory /memory'
    echo 'busybox mkdir /memory/upper /memory/work'
    echo 'busybox mount -t overlay -o lowerdir=/files,upperdir=/memory/upper,workdir=/memory/work root /root'
    echo 'cd /root && busybox mkdir -p proc sys dev run tmp root && cd /'
    if [ $machine = aarch64 ]; then
        attach checkout "/root$checkout"
        attach site /root/site
        echo '[ -e /root/bin/sh ] || busybox ln -s dash /root/bin/sh'
    fi
    echo 'busybox mount -t proc proc /root/proc'
    echo 'busybox mount -t sysfs sys /root/sys'
    echo 'busybox mount -t devtmpfs dev /root/dev'
    echo 'busybox mkdir -p /root/dev/pts /root/dev/shm'
    echo 'busybox mount -t devpts devpts /root/dev/pts'
    for place in dev/shm tmp run; do echo "busybox mount -t tmpfs -o mode=1777 tmpfs /root/$place"; done
    echo 'busybox mount -t cgroup2 cgroup2 /root/sys/fs/cgroup'
    echo 'busybox cp /command /root/run/command'
    echo 'exec busybox switch_root /root /bin/sh /run/command'
} >"$first/init"
chmod +x "$first/init"
{
    echo "exec </dev/null >/dev/$console 2>&1"
    echo 'export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1'
    if [ $machine = aarch64 ]; then
        echo "export PYTHONPATH=/site:$checkout/src:$checkout"
        echo "printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' >/etc/passwd"
        echo "printf 'root:x:0:\nnogroup:x:65534:\n' >/etc/group; echo '127.0.0.1 localhost' >/etc/hosts"
        python=python3
    else
        python=.venv/bin/python
    fi
    echo "ip link set lo up; cd '$checkout'"
    # As systemd has it: the top shares out, and what runs is in a group of its own.
    echo "echo '+cpu +memory +pids' >/sys/fs/cgroup/cgroup.subtree_control; mkdir /sys/fs/cgroup/session"
    echo '(echo "$(exec sh -c '\''echo $PPID'\'')" >/sys/fs/cgroup/session/cgroup.procs'
    printf '%s -m' "$python"
    for word in "$@"; do printf " '%s'" "$(printf %s "$word" | sed "s/'/'\\\\''/g")"; done
    printf '\n)\n'
    echo 'echo "ended with $?"; echo o >/proc/sysrq-trigger; read -r _ </dev/zero'
} >"$first/command"
(cd "$first" && find . | cpio -o -H newc --quiet | gzip -1) >"$cache/first.gz"

if [ $machine = aarch64 ]; then
    shares="$(share files "$cache/root") $(share checkout "$checkout") $(share site "$cache/site")"
else
    shares=$(share files /)
fi
say "starting $release"
# shellcheck disable=SC2086 # words on purpose
qemu-system-$machine $options -accel tcg,thread=multi -smp 2 -m 6G -nographic -no-reboot -nodefaults -serial stdio \
    -monitor none -kernel "$cache/root/boot/vmlinuz-$release" -initrd "$cache/first.gz" \
    -append "console=$console quiet panic=-1 mitigations=off" $shares </dev/null | tee "$cache/said"
status=$(tr -d '\r' <"$cache/said" | sed -n 's/^ended with //p' | tail -1)
exit "${status:-2}"
