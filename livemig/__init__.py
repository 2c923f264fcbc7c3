"""livemig: live migration of a QEMU/KVM guest with an ARM GICv3 ITS, simulated, recorded and explained."""

__version__ = "0.1.0"
