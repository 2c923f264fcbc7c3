"""The ITS device of Linux KVM: registers, command queue, MSI translation, reset.

Source: Linux arch/arm64/kvm/vgic/vgic-its.c (vgic_its_attr_regs_access, vgic_mmio_write_its_*,
vgic_its_process_commands, vgic_its_inject_msi, vgic_its_reset); every rule is checked against recordings in data/its.
"""

from __future__ import annotations

from collections.abc import Sequence

from livemig.its import registers as reg
from livemig.its.commands import COMMAND_BYTES, Command, decode_command
from livemig.its.errors import ItsError, MemoryFault
from livemig.its.memory import Memory
from livemig.its.processing import HANDLERS
from livemig.its.profile import REFERENCE, KernelProfile
from livemig.its.registers import OFFSETS
from livemig.its.state import ItsState
from livemig.its.vgic import Vgic

__all__ = ["Its", "FRAME_BYTES"]

FRAME_BYTES = 0x20000
"""Doorbell and control frames of one ITS."""

_CTLR_ENABLED = reg.GITS_CTLR.by_name["enabled"].mask
_CTLR_QUIESCENT = reg.GITS_CTLR.by_name["quiescent"].mask
_WORD = (1 << 64) - 1


class Its(ItsState):
    """One ITS of a VM.

    vgic: the VM's shared part (VCPUs, LPIs, RAM).   base_address: guest physical address, None = never set.
    """

    def __init__(self, vgic: Vgic, base_address: int | None = 0x0808_0000) -> None:
        super().__init__(vgic)
        self.base_address = base_address
        self.enabled = False
        self.cbaser = self.creadr = self.cwriter = 0
        self.basers = [reg.baser_at_reset(0), reg.baser_at_reset(1)]

    @classmethod
    def create(cls, memory: Memory, vcpu_ids: Sequence[int] = (0,), kernel: str | KernelProfile = REFERENCE,
               propbaser: int = 0, pendbasers: Sequence[int] = ()) -> Its:
        """A VM with one ITS over `memory`.

        propbaser, pendbasers: GICR_PROPBASER and one GICR_PENDBASER per VCPU; where given, LPIs are enabled.
        """
        vgic = Vgic(memory, vcpu_ids, kernel)
        for vcpu, pendbaser in zip(vgic.vcpus, pendbasers, strict=False):
            vgic.write_redistributor(vcpu, "GICR_PROPBASER", propbaser)
            vgic.write_redistributor(vcpu, "GICR_PENDBASER", pendbaser)
            vgic.write_redistributor(vcpu, "GICR_CTLR", 1)
        return cls(vgic)

    @property
    def memory(self) -> Memory:
        return self.vgic.memory

    # -- registers, as KVM_GET/SET_DEVICE_ATTR on KVM_DEV_ARM_VGIC_GRP_ITS_REGS

    def read_register(self, register: str | int) -> int:
        """Value of a register by name ("GITS_CTLR") or offset.

        ItsError: EINVAL misaligned offset, EBUSY a VCPU runs, ENXIO no such register or no address set.
        """
        offset = self._register_offset(register)
        if offset == OFFSETS["GITS_CTLR"]:
            quiescent = _CTLR_QUIESCENT if self.creadr == self.cwriter else 0
            return quiescent | (_CTLR_ENABLED if self.enabled else 0)
        fixed = {OFFSETS["GITS_IIDR"]: reg.IIDR_VALUE, OFFSETS["GITS_TYPER"]: reg.TYPER_VALUE,
                 OFFSETS["GITS_CBASER"]: self.cbaser, OFFSETS["GITS_CWRITER"]: self.cwriter,
                 OFFSETS["GITS_CREADR"]: self.creadr}
        if offset in fixed:
            return fixed[offset]
        if offset < OFFSETS["GITS_PIDR4"]:
            index = (offset - OFFSETS["GITS_BASER0"]) // 8
            return self.basers[index] if index < len(self.basers) else 0
        return reg.ID_REGISTERS.get(offset, 0)

    def write_register(self, register: str | int, value: int) -> None:
        """Write a register. Values are sanitised as KVM does; read-only registers ignore writes.

        ItsError: as `read_register`; EINVAL for a GITS_IIDR revision above 0 or a GITS_CREADR past the queue; EBUSY for
        GITS_CREADR while the ITS is enabled.
        """
        offset = self._register_offset(register)
        value &= _WORD
        if offset == OFFSETS["GITS_CTLR"]:
            self._write_ctlr(value)
        elif offset == OFFSETS["GITS_IIDR"]:
            self._write_iidr(value)
        elif offset == OFFSETS["GITS_CBASER"]:
            self._write_cbaser(value)
        elif offset == OFFSETS["GITS_CWRITER"]:
            self._write_cwriter(value)
        elif offset == OFFSETS["GITS_CREADR"]:
            self._write_creadr(value)
        elif offset in (OFFSETS["GITS_BASER0"], OFFSETS["GITS_BASER1"]):
            self._write_baser((offset - OFFSETS["GITS_BASER0"]) // 8, value)

    def _register_offset(self, register: str | int) -> int:
        if isinstance(register, str):
            if register not in OFFSETS:
                raise ItsError("ENXIO", f"no ITS register {register!r}")
            register = OFFSETS[register]
        narrow = not OFFSETS["GITS_TYPER"] <= register < OFFSETS["GITS_PIDR4"]
        if register % (4 if narrow else 8):
            raise ItsError("EINVAL", f"register offset {register:#x} is not a multiple of {4 if narrow else 8}")
        self.vgic.require_stopped()
        if self.base_address is None:
            raise ItsError("ENXIO", "the ITS has no address yet; its registers cannot be reached")
        known = register in OFFSETS.values() or OFFSETS["GITS_PIDR4"] <= register < 0x10000
        if not known:
            raise ItsError("ENXIO", f"no ITS register at offset {register:#x}")
        return register

    def _write_ctlr(self, value: int) -> None:
        enable = bool(value & _CTLR_ENABLED)
        tables = all(reg.baser_valid(baser) for baser in self.basers)
        if enable and not self.enabled and not (tables and self.cbaser & reg.GITS_CBASER.by_name["valid"].mask):
            return
        self.enabled = enable
        if not enable:
            self.translations.clear()
        self.process_commands()

    def _write_iidr(self, value: int) -> None:
        revision = reg.GITS_IIDR.by_name["revision"].decode(value)
        if revision:
            raise ItsError("EINVAL", f"GITS_IIDR asks for table ABI revision {revision}; KVM knows only 0")

    def _write_cbaser(self, value: int) -> None:
        if not self.enabled:
            self.cbaser = reg.sanitise_cbaser(value)
            self.creadr = self.cwriter = 0

    def _write_cwriter(self, value: int) -> None:
        offset = reg.QUEUE_OFFSET.by_name["offset"].decode(value)
        if offset < reg.cbaser_size_bytes(self.cbaser):
            self.cwriter = offset
            self.process_commands()

    def _write_creadr(self, value: int) -> None:
        if self.enabled:
            raise ItsError("EBUSY", "GITS_CREADR can be set only while the ITS is disabled")
        offset = reg.QUEUE_OFFSET.by_name["offset"].decode(value)
        size_bytes = reg.cbaser_size_bytes(self.cbaser)
        if offset >= size_bytes:
            raise ItsError("EINVAL", f"GITS_CREADR = {offset:#x} is past the queue of {size_bytes:#x} bytes")
        self.creadr = offset

    def _write_baser(self, index: int, value: int) -> None:
        if self.enabled:
            return
        before, after = self.basers[index], reg.sanitise_baser(index, value)
        self.basers[index] = after
        if index == 1:
            if not reg.baser_valid(after):
                self.free_collections()
        elif not reg.baser_valid(after) or (self.vgic.profile.baser0_change_drops_devices and after != before):
            self.free_devices()

    # -- commands

    def apply(self, command: Command | bytes) -> str:
        """Run one command on the state, whatever CTLR says. Returns "" or why the kernel drops it silently."""
        if not isinstance(command, Command):
            command = decode_command(command)
        handler = HANDLERS.get(command.name)
        return handler(self, command.fields) if handler else f"no command has opcode {command.raw[0]:#04x}"

    def process_commands(self) -> None:
        """Run the queue from CREADR to CWRITER if the ITS is enabled; at most one round of the queue."""
        if not self.enabled:
            return
        base, size_bytes = reg.cbaser_address(self.cbaser), reg.cbaser_size_bytes(self.cbaser)
        while self.creadr != self.cwriter:
            try:
                raw = self.memory.read(base + self.creadr, COMMAND_BYTES)
            except MemoryFault:
                pass
            else:
                self.apply(raw)
            self.creadr = (self.creadr + COMMAND_BYTES) % size_bytes

    # -- MSIs

    def doorbell(self, address: int) -> bool:
        """Whether an MSI written to `address` reaches this ITS."""
        return self.base_address is not None and self.base_address <= address < self.base_address + FRAME_BYTES

    def signal_msi(self, device_id: int, event_id: int) -> int:
        """KVM_SIGNAL_MSI: 1 = the LPI is pending now, 0 = no mapping (blocked).

        ItsError(EBUSY) while the ITS or the target's LPIs are disabled.
        """
        cached = self.translations.get((device_id, event_id))
        if cached is not None:
            cached.pending = True
            return 1
        return 0 if self.trigger(device_id, event_id) else 1

    def trigger(self, device_id: int, event_id: int) -> str:
        """Make an event's LPI pending (Linux vgic_its_trigger_msi); returns "" or why there is no LPI."""
        if not self.enabled:
            raise ItsError("EBUSY", "GITS_CTLR.Enabled is 0: no MSI is translated")
        event = self.event(device_id, event_id)
        if event is None:
            return f"device {device_id:#x} event {event_id} is not mapped"
        if event.collection is None or not event.collection.mapped:
            return f"device {device_id:#x} event {event_id}: its collection has no VCPU"
        vcpu = self.vgic.vcpu_at(event.collection.rdbase)
        if vcpu is None:
            return f"no VCPU {event.collection.rdbase}"
        if not vcpu.lpis_enabled:
            raise ItsError("EBUSY", f"VCPU {vcpu.vcpu_id} has GICR_CTLR.EnableLPIs = 0")
        self.translations[device_id, event_id] = event.lpi
        event.lpi.pending = True
        return ""

    # -- control group

    def reset(self) -> None:
        """KVM_DEV_ARM_ITS_CTRL_RESET: everything unmapped, queue registers 0, tables not valid (addresses stay).

        ItsError(EBUSY) while a VCPU runs.
        """
        self.vgic.require_stopped()
        valid = reg.GITS_BASER.by_name["valid"].mask
        self.basers = [baser & ~valid for baser in self.basers]
        self.cbaser = self.creadr = self.cwriter = 0
        self.enabled = False
        self.free_devices()
        self.free_collections()

    def control(self, attribute: int) -> None:
        """Any other control attribute: success, or ItsError(ENXIO), as the kernel profile says."""
        self.vgic.require_stopped()
        if self.vgic.profile.unknown_control:
            raise ItsError(self.vgic.profile.unknown_control, f"no ITS control attribute {attribute}")
