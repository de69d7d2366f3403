# SPDX-License-Identifier: GPL-2.0
"""What QEMU is told for a kernel of each architecture."""

import unittest
from pathlib import Path
from unittest import mock

from lab import accel, build, kconfig, machines, packages, qemu
from lab.common import LabError


def kernel(arch):
    return build.Kernel("k", arch, False, Path("out"), Path("image"), Path("vmlinux"),
                        Path("config"))


def command(arch, **more):
    settings = dict(accelerator="tcg", append="a=b", smp=2, memory="1G", nodes=1, initrd="rd",
                    machine="", cpu="", reboot=False, host_root=False, extra=(), channels=[])
    return qemu.command_line(kernel(arch), **{**settings, **more})


class Machines(unittest.TestCase):
    def test_each_has_its_program_and_machine(self):
        for arch, program, machine in (("x86_64", "x86_64", "pc"), ("i386", "i386", "pc"),
                                       ("arm64", "aarch64", "virt"),
                                       ("s390", "s390x", "s390-ccw-virtio")):
            argv = command(arch)
            self.assertEqual(argv[0], f"qemu-system-{program}")
            self.assertEqual(argv[argv.index("-machine") + 1], machine)
            self.assertEqual(argv[argv.index("-kernel") + 1], "image")

    def test_a_wish_overrides_the_table(self):
        argv = command("x86_64", machine="q35", cpu="Haswell")
        self.assertEqual((argv[argv.index("-machine") + 1], argv[argv.index("-cpu") + 1]),
                         ("q35", "Haswell"))

    def test_only_x86_has_a_second_serial_line(self):
        for arch in machines.MACHINES:
            machine = machines.of(arch)
            serial = "chardev:agent" in machines.agent_line(machine)
            self.assertEqual(serial, arch in ("x86_64", "i386"))
            self.assertEqual(serial, not any("lab.agent" in w for w in machines.words(machine)))

    def test_every_configuration_has_a_machine(self):
        for config in kconfig.table().values():
            if config.arch == "um":
                continue
            machine = machines.of(config.arch)
            self.assertTrue(not machine.packages or machine.packages in packages.GROUPS)
            self.assertTrue(not config.cross or config.cross == machine.cross, config.name)

    def test_unknown_architecture_lists_the_known(self):
        with self.assertRaisesRegex(LabError, "vax.*s390"):
            machines.of("vax")

    def test_no_kvm_for_another_architecture(self):
        with mock.patch.dict("os.environ", {"LAB_ACCEL": "kvm"}):
            self.assertEqual(accel.choose(kernel("x86_64")), "kvm")
            self.assertEqual(accel.choose(kernel("arm64")), "tcg")

    def test_make_gets_the_cross_compiler(self):
        words = build._make(kconfig.find("arm64"), Path("src"), Path("out"))	# pylint: disable=W0212
        self.assertIn("ARCH=arm64", words)
        self.assertIn("CROSS_COMPILE=aarch64-linux-gnu-", words)
        self.assertFalse([w for w in words if w == "CC=ccache gcc"])


if __name__ == "__main__":
    unittest.main()
