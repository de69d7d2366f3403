# SPDX-License-Identifier: GPL-2.0
"""Reach into the physical memory of a running guest, as a fault in DRAM would.

QEMU's qtest socket reads and writes guest physical addresses while the guest
runs; writes also invalidate code that TCG has translated. An access is atomic
for its size as far as the guest can see, but flip() is a read and a write: the
guest may write in between, which real DRAM faults do not care about either.
"""

import socket

from lab.common import LabError

_SIZES = {1: "b", 2: "w", 4: "l", 8: "q"}


class QTest:
    """The protocol is lines of text: 'readb 0xADDR' is answered 'OK 0xVALUE'."""

    def __init__(self, path, timeout=10.0):
        self.link = socket.socket(socket.AF_UNIX)
        self.link.settimeout(timeout)
        self.link.connect(str(path))
        self.rest = b""

    def close(self):
        self.link.close()

    def ask(self, *words):
        """Send one request, return the words after OK."""
        request = " ".join(str(word) for word in words)
        try:
            self.link.sendall(request.encode() + b"\n")
            while b"\n" not in self.rest:
                got = self.link.recv(1 << 16)
                if not got:
                    raise LabError(f"qtest: QEMU is gone, was asked: {request[:80]}")
                self.rest += got
        except OSError as error:
            raise LabError(f"qtest: {error}, was asked: {request[:80]}") from error
        line, self.rest = self.rest.split(b"\n", 1)
        answer = line.decode().split()
        if not answer or answer[0] != "OK":
            raise LabError(f"qtest: {request[:80]}: {line.decode()}")
        return answer[1:]

    def read(self, address, size):
        return int(self.ask(f"read{_SIZES[size]}", hex(address))[0], 16)

    def write(self, address, size, value):
        self.ask(f"write{_SIZES[size]}", hex(address), hex(value))

    def read8(self, address):
        return self.read(address, 1)

    def read16(self, address):
        return self.read(address, 2)

    def read32(self, address):
        return self.read(address, 4)

    def read64(self, address):
        return self.read(address, 8)

    def write8(self, address, value):
        self.write(address, 1, value)

    def write16(self, address, value):
        self.write(address, 2, value)

    def write32(self, address, value):
        self.write(address, 4, value)

    def write64(self, address, value):
        self.write(address, 8, value)

    def read_bytes(self, address, size):
        return bytes.fromhex(self.ask("read", hex(address), hex(size))[0][2:])

    def write_bytes(self, address, data):
        self.ask("write", hex(address), hex(len(data)), "0x" + data.hex())

    def flip(self, address, bit):
        """Invert one bit, counted from the lowest bit of the byte at address.

        bit may be above 7 (a bit of a little-endian word). Returns the byte
        before and after.
        """
        address, bit = address + bit // 8, bit % 8
        before = self.read8(address)
        self.write8(address, before ^ (1 << bit))
        return before, before ^ (1 << bit)
