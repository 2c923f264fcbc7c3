"""The GICv3 ITS as Linux KVM and QEMU keep it, down to each byte in guest RAM. Imports nothing else of livemig.

Theory of operation. A guest tells its ITS what to do through a command queue in RAM: map a device (MAPD), a collection
(MAPC), an event (MAPTI). KVM keeps the outcome in host memory: that is `Its` (state.py, device.py, processing.py),
with the VM's shared LPIs and redistributors in `Vgic`. The tables that the guest set aside in its RAM stay empty, until
`save_tables` writes them, at a VM stop, and `restore_tables` reads them, on the destination of a migration (tables.py,
restore.py, migration.py). Bits are described once, as `Layout` tables (codec.py, layout.py, commands.py, registers.py);
what differs between kernels is data (profile.py). QEMU's own ITS writes its tables with every command (emulated.py).
`replay` runs recorded cases against all of this, `dump` decodes table bytes, `stream` finds them in a migration stream.
"""

from livemig.its.commands import Command, command, decode_command, encode_command
from livemig.its.device import Its
from livemig.its.errors import DataError, ItsError, KernelCrash, MemoryFault
from livemig.its.layout import CTE, DTE, ITE, L1, Field, Layout
from livemig.its.memory import Memory, RamSlots
from livemig.its.migration import migration_state, post_load
from livemig.its.tables import restore_tables, save_pending_tables, save_tables
from livemig.its.vgic import Vgic

__all__ = [
    "Its", "Vgic", "RamSlots", "Memory", "save_tables", "restore_tables", "save_pending_tables", "migration_state",
    "post_load", "Command", "command", "decode_command", "encode_command", "Layout", "Field", "DTE", "CTE", "ITE", "L1",
    "ItsError", "MemoryFault", "KernelCrash", "DataError"]
