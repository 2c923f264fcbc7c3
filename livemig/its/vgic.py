"""What all ITSes of a VM share: VCPUs with their redistributor tables, and the LPIs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from livemig.its.errors import ItsError
from livemig.its.layout import pending_bit
from livemig.its.memory import Memory
from livemig.its.profile import REFERENCE, KernelProfile, profile
from livemig.its.registers import GICR_PENDBASER, GICR_PROPBASER, MAX_LPI_BITS, REGISTER_LAYOUTS, sanitise_gicr

__all__ = ["Vcpu", "TargetGroup", "Lpi", "Vgic", "FIRST_LPI"]

FIRST_LPI = 8192
_NEW_PROPBASER = GICR_PROPBASER.encode(inner=3, shareability=1)
_CTLR_ENABLE_LPIS = 1
_CTLR_READ_ONLY = 0b110
"""GICR_CTLR bits that read as 1 (IR, CES) and ignore writes."""


@dataclass(eq=False)
class Vcpu:
    """A VCPU and its redistributor: `pendbaser` places its LPI pending table."""

    index: int
    vcpu_id: int
    pendbaser: int = 0
    lpis_enabled: bool = False

    @property
    def pending_table_address(self) -> int:
        return GICR_PENDBASER.by_name["address"].decode(self.pendbaser)


@dataclass(eq=False)
class TargetGroup:
    """The LPIs that go to one VCPU. A MOVALL hands a whole group over, so that its cost does not grow with its LPIs."""

    vcpu: Vcpu | None
    lpis: set[Lpi] = field(default_factory=set)


@dataclass(eq=False)
class Lpi:
    """An LPI that at least one event of one ITS maps (`references`)."""

    intid: int
    group: TargetGroup
    pending: bool = False
    references: int = 1

    @property
    def target(self) -> Vcpu | None:
        return self.group.vcpu


class Vgic:
    """VCPUs, redistributors and LPIs of one VM.

    memory: guest RAM.   vcpu_ids: VCPU ids in creation order.   kernel: profile name or profile.
    """

    def __init__(self, memory: Memory, vcpu_ids: Sequence[int] = (0,), kernel: str | KernelProfile = REFERENCE) -> None:
        self.memory = memory
        self.profile = profile(kernel)
        self.vcpus = tuple(Vcpu(index, vcpu_id) for index, vcpu_id in enumerate(vcpu_ids))
        self.propbaser = _NEW_PROPBASER
        self.lpis: dict[int, Lpi] = {}
        self.vcpu_running = False
        by_id = self.profile.rdbase_names_vcpu_by == "id"
        self._vcpu_by_rdbase = {vcpu.vcpu_id if by_id else vcpu.index: vcpu for vcpu in self.vcpus}
        self._groups: dict[Vcpu | None, TargetGroup] = {}

    def vcpu_at(self, rdbase: int) -> Vcpu | None:
        """The VCPU that a RDBase field names, by index or by id as the kernel profile says."""
        return self._vcpu_by_rdbase.get(rdbase)

    def require_stopped(self) -> None:
        """ItsError(EBUSY) while a VCPU is in KVM_RUN."""
        if self.vcpu_running:
            raise ItsError("EBUSY", "a VCPU is running; KVM takes ITS state only while all VCPUs are stopped")

    @property
    def lpi_limit(self) -> int:
        """First LPI number that MAPTI rejects (GICR_PROPBASER.IDbits, at most 16 bits)."""
        return 1 << min(GICR_PROPBASER.by_name["id_bits"].decode(self.propbaser) + 1, MAX_LPI_BITS)

    @property
    def config_table_address(self) -> int:
        return GICR_PROPBASER.by_name["address"].decode(self.propbaser)

    def write_redistributor(self, vcpu: Vcpu, register: str, value: int) -> None:
        """Write GICR_PROPBASER, GICR_PENDBASER or GICR_CTLR. The bases are ignored once LPIs are enabled.

        ItsError(ENXIO) for another register; EFAULT-free: enabling reads the pending table as far as it is RAM.
        """
        if register == "GICR_CTLR":
            self._enable_lpis(vcpu, bool(value & _CTLR_ENABLE_LPIS))
        elif register not in REGISTER_LAYOUTS or not register.startswith("GICR_"):
            raise ItsError("ENXIO", f"no redistributor register {register!r}")
        elif not vcpu.lpis_enabled and register == "GICR_PROPBASER":
            self.propbaser = sanitise_gicr(register, value)
        elif not vcpu.lpis_enabled:
            vcpu.pendbaser = sanitise_gicr(register, value)

    def read_redistributor(self, vcpu: Vcpu) -> dict[str, int]:
        """The three registers that matter to LPIs, as KVM returns them."""
        return {"GICR_PROPBASER": self.propbaser,
                "GICR_PENDBASER": vcpu.pendbaser & ~GICR_PENDBASER.by_name["table_zero"].mask,
                "GICR_CTLR": _CTLR_READ_ONLY | (_CTLR_ENABLE_LPIS if vcpu.lpis_enabled else 0)}

    def _enable_lpis(self, vcpu: Vcpu, enable: bool) -> None:
        if enable and not vcpu.lpis_enabled and not vcpu.pendbaser & GICR_PENDBASER.by_name["table_zero"].mask:
            self._read_pending_table(vcpu)
        vcpu.lpis_enabled = enable

    def _read_pending_table(self, vcpu: Vcpu) -> None:
        """Linux its_sync_lpi_pending_table: take the bits of LPIs that are mapped already; the bits stay in RAM."""
        for lpi in self.lpis_in_order():
            byte, mask = pending_bit(lpi.intid)
            try:
                stored = self.memory.read(vcpu.pending_table_address + byte, 1)[0]
            except ItsError:
                return
            if lpi.target is vcpu:
                lpi.pending = bool(stored & mask)

    def add_lpi(self, intid: int, vcpu: Vcpu | None) -> Lpi:
        """Reference LPI `intid`, creating it for `vcpu` (Linux vgic_add_lpi).

        A new LPI has its configuration byte read and its pending bit taken out of RAM. MemoryFault if either byte is
        not RAM; then nothing was created. An LPI that exists keeps its target.
        """
        found = self.lpis.get(intid)
        if found is not None:
            found.references += 1
            return found
        self.read_config(intid)
        pending = vcpu is not None and self._take_pending_bit(vcpu, intid)
        group = self._group(vcpu)
        lpi = Lpi(intid, group, pending)
        group.lpis.add(lpi)
        self.lpis[intid] = lpi
        return lpi

    def put_lpi(self, lpi: Lpi) -> None:
        """Drop one reference; the last one drops the LPI, with its pending state."""
        lpi.references -= 1
        if not lpi.references:
            del self.lpis[lpi.intid]
            lpi.group.lpis.discard(lpi)

    def read_config(self, intid: int) -> int:
        """The configuration byte of an LPI; MemoryFault outside RAM. No table byte depends on its value."""
        return self.memory.read(self.config_table_address + intid - FIRST_LPI, 1)[0]

    def _take_pending_bit(self, vcpu: Vcpu, intid: int) -> bool:
        byte, mask = pending_bit(intid)
        address = vcpu.pending_table_address + byte
        stored = self.memory.read(address, 1)[0]
        if stored & mask:
            self.memory.write(address, bytes([stored & ~mask]))
        return bool(stored & mask)

    def retarget(self, lpi: Lpi, vcpu: Vcpu | None) -> None:
        lpi.group.lpis.discard(lpi)
        lpi.group = self._group(vcpu)
        lpi.group.lpis.add(lpi)

    def move_all(self, sources: Iterable[Vcpu | None], destination: Vcpu) -> None:
        """All LPIs of `sources` go to `destination`."""
        for source in sources:
            small, big = self._group(destination), self._groups.pop(source, None)
            if big is None or source is destination:
                if big is not None:
                    self._groups[source] = big
                continue
            if len(small.lpis) > len(big.lpis):
                small, big = big, small
            for lpi in small.lpis:
                lpi.group = big
            big.lpis |= small.lpis
            big.vcpu = destination
            self._groups[destination] = big

    def all_targets(self) -> tuple[Vcpu | None, ...]:
        return tuple(self._groups)

    def _group(self, vcpu: Vcpu | None) -> TargetGroup:
        found = self._groups.get(vcpu)
        if found is None:
            found = self._groups[vcpu] = TargetGroup(vcpu)
        return found

    def lpis_in_order(self) -> list[Lpi]:
        """LPIs in the order in which the kernel of the profile walks them."""
        lpis = list(self.lpis.values())
        return sorted(lpis, key=lambda lpi: lpi.intid) if self.profile.lpis_in_order_of == "intid" else lpis

    def pending_lpis(self) -> dict[int, tuple[int, ...]]:
        """VCPU id -> its pending LPIs, ascending. LPIs without a VCPU are under -1."""
        found: dict[int, list[int]] = {}
        for lpi in self.lpis.values():
            if lpi.pending:
                found.setdefault(lpi.target.vcpu_id if lpi.target else -1, []).append(lpi.intid)
        return {vcpu_id: tuple(sorted(intids)) for vcpu_id, intids in sorted(found.items())}
