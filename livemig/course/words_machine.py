"""The words of QEMU, KVM, the interrupt tables and of livemig itself, as data for the glossary."""

from __future__ import annotations

from livemig.course.word import Term

__all__ = ["ITS", "LIVEMIG", "QEMU"]

_ABI = "Linux Documentation/virt/kvm/devices/arm-vgic-its.rst"
_VGIC = "Linux arch/arm64/kvm/vgic/vgic-its.c"
_GIC = "Arm IHI 0069 (GICv3 and GICv4 architecture)"
_RUNSTATE = "QEMU system/runstate.c"

QEMU = (
    Term("QEMU", "The program that runs a virtual machine: its devices, and without KVM its processors too.",
         "QEMU docs/about/index.rst", see=("KVM", "TCG")),
    Term("KVM", "The virtualisation inside Linux: the guest's processors run on real ones, and parts of its hardware, "
         "such as the ITS, live in the kernel.", "Linux Documentation/virt/kvm/api.rst", see=("TCG",)),
    Term("TCG", "QEMU's emulation of a processor, for guests of another architecture or hosts without KVM.",
         "QEMU docs/devel/tcg.rst", see=("KVM",)),
    Term("vCPU", "A virtual processor of the guest; each is a thread of QEMU.", "QEMU system/cpus.c",
         also=("VCPU", "virtual processor")),
    Term("QMP", "QEMU's monitor protocol: commands, answers and events as lines of JSON.",
         "QEMU docs/interop/qmp-spec.rst", see=("HMP",)),
    Term("HMP", "QEMU's monitor for people: commands as words, answers as text.", "QEMU monitor/hmp.c", see=("QMP",)),
    Term("libvirt", "The library through which most clouds start and migrate QEMU's guests.",
         "libvirt docs/migration.rst",
         see=("QMP",)),
    Term("migration thread", "The thread of QEMU that does the whole work of a migration on the source.",
         "QEMU migration/migration.c migration_thread", see=("call stack",)),
    Term("BQL", "QEMU's big lock: who holds it may change the machine, so a command waits while the stop is made.",
         "QEMU system/cpus.c bql_lock_impl", also=("big lock", "big QEMU lock")),
    Term("call stack", "The functions that are waiting for each other at a moment, the caller above the called.",
         "livemig/engine/machine.py traced", also=("stack",), see=("frame",)),
    Term("frame", "One waiting function on the call stack.", "livemig/engine/machine.py traced", see=("call stack",),
         never=("a frame around", "with a frame", "has frames")),
    Term("VM change-state handler", "A function that a part of the machine has registered to be called whenever the "
         "guest is stopped or started.", f"{_RUNSTATE} vm_state_notify", also=("change-state handler", "handler"),
         see=("priority", "run state")),
    Term("priority", "The number that orders the handlers: stop calls them from high to low, start from low to high.",
         f"{_RUNSTATE} qemu_add_vm_change_state_handler_prio", see=("VM change-state handler",)),
    Term("run state", "Whether the guest runs, and if not, why it stands: running, paused, finish-migrate and so on.",
         f"{_RUNSTATE} runstate_transitions_def", see=("migration status",)),
    Term("migration status", "How far the migration is: setup, active, device, completed, failed, cancelled.",
         "QEMU migration/migration.c migrate_set_state", also=("status of the migration",), see=("run state",)),
    Term("STOP", "The event by which QEMU tells the outside world that the guest stands; it comes after the handlers.",
         "QEMU system/cpus.c do_vm_stop", see=("QMP",)),
    Term("pre_save", "A device's last chance before its state is sent; guest memory has been sent by then.",
         "QEMU migration/vmstate.c vmstate_save_state", see=("device state",)),
)

ITS = (
    Term("GICv3", "The interrupt controller of 64-bit ARM machines, in its third version.", _GIC, also=("GIC",),
         see=("ITS", "redistributor")),
    Term("ITS", "Interrupt Translation Service: the part of an ARM interrupt controller that turns “device 8 signals "
         "event 3” into an interrupt for a processor.", _GIC, also=("Interrupt Translation Service",),
         see=("LPI", "device table")),
    Term("LPI", "Locality-specific Peripheral Interrupt: an interrupt numbered from 8192 up, delivered by the ITS.",
         _GIC, see=("ITS", "pending table")),
    Term("redistributor", "The part of the interrupt controller that belongs to one processor.", _GIC,
         see=("GICv3", "pending table")),
    Term("DeviceID", "The number by which the ITS knows a device.", _GIC, see=("device table",)),
    Term("EventID", "The number of one of the things that a device may signal.", _GIC, see=("ITT",)),
    Term("collection", "A name for “interrupts that go to this processor”, so that many move with one command.",
         _GIC, see=("collection table",)),
    Term("device table", "The ITS's table with one entry for each DeviceID; the entry says where the device's ITT is.",
         _ABI, see=("DTE", "ITT")),
    Term("collection table", "The ITS's list of collections and of the processors that they stand for.", _ABI,
         see=("CTE",)),
    Term("ITT", "Interrupt Translation Table: a device's own table with one entry for each EventID.", _ABI,
         see=("ITE", "EventID")),
    Term("DTE", "Device Table Entry, 8 bytes: where the device's ITT is, how large, and how far the next entry is.",
         _ABI, see=("device table",)),
    Term("CTE", "Collection Table Entry, 8 bytes: a collection and its processor.", _ABI, see=("collection table",)),
    Term("ITE", "Interrupt Translation Entry, 8 bytes under KVM: the LPI and the collection of one event.", _ABI,
         see=("ITT",)),
    Term("pending table", "A table in guest memory for each processor, one bit for each LPI that waits for it.", _GIC,
         see=("pending bit", "redistributor")),
    Term("pending bit", "The bit that says that an LPI has been signalled and not yet been taken.", _GIC,
         see=("pending table",)),
    Term("command queue", "The place in guest memory where the guest writes commands of 32 bytes for the ITS.", _GIC,
         see=("MAPTI", "GITS_CBASER")),
    Term("MAPD", "The ITS command that gives a device its ITT, or takes it away.", _GIC, see=("ITT",)),
    Term("MAPC", "The ITS command that gives a collection to a processor.", _GIC, see=("collection",)),
    Term("MAPTI", "The ITS command that maps an event of a device to an LPI and a collection.", _GIC,
         see=("EventID", "LPI")),
    Term("GITS_BASER", "Registers of the ITS that say where its tables lie in guest memory.", _GIC,
         also=("base register", "BASER1", "BASER0"), see=("device table",)),
    Term("GITS_CBASER", "The register of the ITS that says where its command queue lies.", _GIC, also=("CBASER",),
         see=("command queue",)),
    Term("GITS_CREADR", "The register of the ITS that says which command it will read next.", _GIC, also=("CREADR",),
         see=("command queue",)),
    Term("GITS_CTLR", "The register that turns the ITS on.", _GIC, also=("CTLR",)),
    Term("ghost device", "An entry of an earlier save that is found again when tables are read back, though the device "
         "was unmapped.", "livemig data/its resave-stale-devid-at-cap", see=("DTE",)),
    Term("KVM_DEV_ARM_ITS_SAVE_TABLES", "The order to the kernel to write its living ITS tables into guest memory.",
         f"{_ABI} KVM_DEV_ARM_ITS_SAVE_TABLES", also=("SAVE_TABLES", "SAVE"), see=("Tn+2",)),
    Term("KVM_DEV_ARM_ITS_RESTORE_TABLES", "The order to the kernel to read the ITS tables back from guest memory.",
         f"{_ABI} KVM_DEV_ARM_ITS_RESTORE_TABLES", also=("RESTORE_TABLES", "RESTORE"), see=("Tn+4",)),
    Term("EBUSY", "The kernel's answer to a save while a virtual processor runs: not now.",
         f"{_VGIC} vgic_its_ctrl", see=("KVM_DEV_ARM_ITS_SAVE_TABLES",)),
)

LIVEMIG = (
    Term("stage", "livemig's animated picture of one migration, with sliders that compute it anew.",
         "livemig/draw/stage.py Stage"),
    Term("Scenario", "All inputs of one simulated migration, each with its unit, range and default.",
         "livemig/scenario.py Scenario", see=("Trace",)),
    Term("Trace", "Everything that happened in one migration, simulated or recorded, as rows in the order of time.",
         "livemig/trace.py Trace", see=("recording",)),
    Term("recording", "What one migration of a real QEMU reported and traced, in a file of data/recordings.",
         "livemig/lab/recording.py load_recording", see=("Trace",), never=("Recording needs",)),
    Term("sweep", "The same question for many combinations of inputs, for example which of them converge.",
         "livemig/sweeps/sweep.py sweep"),
    Term("textbook", "The model of pre-copy as a geometric series, without QEMU's own rules.",
         "livemig/engine/closed_form.py textbook", see=("round",)),
)
