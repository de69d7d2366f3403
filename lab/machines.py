# SPDX-License-Identifier: GPL-2.0
"""What differs between architectures: how a kernel is made, and the machine QEMU shows it.

Keyed by the kernel's ARCH. The host's own architecture is x86-64 here; for the others the
compiler, the C library and the busybox of lab/initramfs.py come from Debian as well.
"""

from dataclasses import dataclass

from lab.common import LabError


@dataclass(frozen=True)
class Machine:
    """One architecture."""

    qemu: str			# program
    machine: str		# -machine
    cpu: str			# -cpu
    console: str		# console= of the kernel
    agent: str			# the device of lab/guest/agent.c; "": its default
    devices: tuple = ()		# what tells QEMU of a panic, what the agent's line hangs on
    target: str = "vmlinux"	# what make builds
    image: str = ""		# what is booted; "": vmlinux without its symbols
    debian: str = ""		# Debian's name; "": this machine's own programs will do
    cross: str = ""		# prefix of the compiler of the guest's programs
    packages: str = ""		# group of lab/packages.py
    native: bool = False	# may run under KVM
    counter: str = r"PC=([0-9a-f]+)"	# the program counter in 'info registers'
    append: tuple = ()		# of every kernel command line
    end: str = "sync; busybox poweroff -f"	# a root of the host may have no other


_X86 = dict(machine="pc", cpu="max", console="ttyS0", agent="", native=True,
            devices=("-device", "pvpanic-pci"), counter=r"[RE]IP=([0-9a-f]+)",
            # QEMU's TSC is one for all CPUs, which the kernel does not believe of several sockets:
            # it would read the HPET, and each time wait for QEMU's lock. Nor does it take a
            # watchdog: that of 7.3 waits for the other CPU by a clock that can be jiffies still,
            # while the CPU that counts them is in the stop_machine() of a change of clocksource.
            append=("tsc=reliable",))

MACHINES = {
    "x86_64": Machine("qemu-system-x86_64", **_X86),
    # Its own vendor would be AMD, with a model of which the kernel says that there is no SMP.
    "i386": Machine("qemu-system-i386", **{**_X86, "cpu": "max,vendor=GenuineIntel"},
                    debian="i386", cross="i686-linux-gnu-", packages="i386"),
    # Pointer authentication as the architecture defines it takes TCG most of its time.
    "arm64": Machine("qemu-system-aarch64", "virt", "max,pauth-impdef=on", "ttyAMA0",
                     "/dev/hvc0", ("-device", "pvpanic-pci", "-device", "virtio-serial-pci"),
                     "Image", "arch/arm64/boot/Image", "arm64", "aarch64-linux-gnu-", "arm64"),
    # Here a panic ends in a disabled wait, of which QEMU tells by itself.
    "s390": Machine("qemu-system-s390x", "s390-ccw-virtio", "max", "ttysclp0", "/dev/hvc0",
                    ("-device", "virtio-serial-ccw"), "bzImage", "arch/s390/boot/bzImage",
                    "s390x", "s390x-linux-gnu-", "s390x", counter=r"addr ([0-9a-f]+)",
                    # Its console prints with a delay, so that the kernel's last line is lost.
                    end="sync; echo '<1>lab: powers down' > /dev/kmsg; sleep 1; poweroff -f"),
}


def of(arch):
    """The Machine of a kernel's ARCH."""
    if arch not in MACHINES:
        raise LabError(f"no machine is known for ARCH={arch}; there are {', '.join(MACHINES)}")
    return MACHINES[arch]


def words(machine):
    """What the kernel's command line says about the machine."""
    return [f"console={machine.console}", *machine.append,
            *([f"lab.agent={machine.agent}"] if machine.agent else [])]


def agent_line(machine):
    """QEMU's arguments that connect the chardev 'agent'."""
    return ["-device", "virtconsole,chardev=agent"] if machine.agent \
        else ["-serial", "chardev:agent"]
