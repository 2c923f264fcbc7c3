"""Which QEMU: the program, its version, whether KVM can run the lab's guest, and the command line of one side."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["OLDEST", "PROGRAM", "Qemu", "QemuError", "command_line", "find_qemu", "has_kvm"]

PROGRAM = "qemu-system-aarch64"
OLDEST = (7, 2)
_PACKAGE = "qemu-system-arm"  # Debian's and Ubuntu's name
_VERSION = re.compile(r"QEMU emulator version (\d+)\.(\d+)\.(\d+)")
_ANSWER_S = 20.0

KVM_CREATE_VM, KVM_CREATE_DEVICE = 0xAE01, 0xC00CAEE0  # Linux include/uapi/linux/kvm.h
KVM_DEV_TYPE_ARM_VGIC_V3, KVM_CREATE_DEVICE_TEST = 7, 1


class QemuError(RuntimeError):
    """QEMU cannot be used, or something went wrong with one that was started; the message says what and why."""


@dataclass(frozen=True)
class Qemu:
    """An installed QEMU that the lab can use."""

    program: str
    version: tuple[int, int, int]

    @property
    def short_version(self) -> str:
        """As recordings have it in `params`: "10.0"."""
        return f"{self.version[0]}.{self.version[1]}"

    def __str__(self) -> str:
        return f"QEMU {'.'.join(map(str, self.version))}"


def find_qemu(program: str | Path | None = None) -> Qemu:
    """The QEMU to use: a path, or a name on PATH (default `qemu-system-aarch64`).

    Raises `QemuError`: missing (with the name of the package that brings it), not QEMU, or older than 7.2.
    """
    wanted = str(program or PROGRAM)
    found = shutil.which(wanted)
    if found is None:
        raise QemuError(f"{wanted} is missing: no such program on PATH (Debian and Ubuntu: apt install {_PACKAGE})")
    try:
        asked = subprocess.run([found, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                               errors="replace", timeout=_ANSWER_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QemuError(f"{found}: cannot be run: {error}") from None
    match = _VERSION.search(asked.stdout)
    if match is None:
        said = (asked.stdout + asked.stderr).strip().splitlines()
        raise QemuError(f"{found}: not a QEMU, --version says {(said[0] if said else 'nothing')[:100]!r}")
    qemu = Qemu(found, (int(match[1]), int(match[2]), int(match[3])))
    if qemu.version[:2] < OLDEST:
        raise QemuError(f"{found}: {qemu} is too old, the lab needs {OLDEST[0]}.{OLDEST[1]} or newer")
    return qemu


def has_kvm(device: str = "/dev/kvm") -> bool:
    """Whether this machine's KVM can run an AArch64 guest with a GICv3; the kernel is asked, nothing stays open."""
    wanted = struct.pack("=3I", KVM_DEV_TYPE_ARM_VGIC_V3, 0, KVM_CREATE_DEVICE_TEST)
    with contextlib.ExitStack() as opened:
        try:
            kvm = os.open(device, os.O_RDWR | os.O_CLOEXEC)
            opened.callback(os.close, kvm)
            machine = fcntl.ioctl(kvm, KVM_CREATE_VM, 0)
            opened.callback(os.close, machine)
            fcntl.ioctl(machine, KVM_CREATE_DEVICE, wanted)
        except OSError:
            return False
        return True


def command_line(qemu: Qemu, folder: Path, side: str, ram_bytes: int, kvm: bool, paused: bool = False) -> list[str]:
    """One side ("src" or "dst") of the pair. The source waits for `cont`, so nothing it prints is missed.

    `paused`: the destination waits for one, too.
    """
    cpu, accelerator = ("host", "kvm") if kvm else ("cortex-a57", "tcg")
    return [qemu.program, "-M", "virt,gic-version=3", "-cpu", cpu, "-accel", accelerator, "-smp", "1",
            "-m", f"{ram_bytes >> 20}M", "-display", "none", "-nodefaults", "-no-user-config",
            "-kernel", str(folder / "guest.bin"),
            "-qmp", f"unix:{_option(folder / f'{side}.qmp')},server=on,wait=off",
            "-serial", f"unix:{_option(folder / f'{side}.ser')},server=on,wait=off",
            "-trace", f"events={_option(folder / 'trace-events.txt')}",
            "-msg", "timestamp=on", "-D", str(folder / f"{side}.log"),
            *(("-incoming", "defer") if side == "dst" else ()), *(("-S",) if side == "src" or paused else ())]


def _option(path: Path) -> str:
    """In QEMU's options a comma ends a value; two are one."""
    return str(path).replace(",", ",,")
