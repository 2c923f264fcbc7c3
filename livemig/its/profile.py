"""What differs between the kernels that were recorded, as data. Rules common to all are code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from livemig.its.errors import ItsError

__all__ = ["KernelProfile", "profile", "PROFILES", "REFERENCE"]


@dataclass(frozen=True)
class KernelProfile:
    """One kernel's answers where kernels differ; the recordings are in data/its (`differs`, `crashed`).

    rdbase_names_vcpu_by: "index" (creation order) or "id" (VCPU id) in MAPC, MOVALL and CTEs.
    unmapc_checks_target: MAPC V=0 naming a VCPU that does not exist is ignored.
    movall_moves_all: MOVALL a -> b moves every LPI of the VM, not only those of a.
    save_without_collection: an event whose collection is gone, at SAVE: "crash" or "zero" (its ITE is written as 0).
    save_unresolved_device: a DTE that has no place in RAM, at SAVE: "EINVAL" or "skip".
    baser0_change_drops_devices: another valid GITS_BASER0 value unmaps all devices.
    unknown_control: errno name for an unknown attribute of the control group, "" = success.
    lpis_in_order_of: order in which SAVE_PENDING_TABLES walks LPIs: "mapping" or "intid".
    """

    name: str
    release: str
    rdbase_names_vcpu_by: str
    unmapc_checks_target: bool
    movall_moves_all: bool
    save_without_collection: str
    save_unresolved_device: str
    baser0_change_drops_devices: bool
    unknown_control: str
    lpis_in_order_of: str


PROFILES: Mapping[str, KernelProfile] = {profile.name: profile for profile in (
    KernelProfile("6.1", "6.1.176 (Debian 6.1.0-50-cloud-arm64)", "index", True, False, "crash", "EINVAL",
                  False, "", "mapping"),
    KernelProfile("6.12", "6.12.107 (Debian 6.12.107+deb13-cloud-arm64)", "id", False, True, "crash", "EINVAL",
                  False, "", "intid"),
    KernelProfile("7.2", "7.2.13 (Debian 7.2.13+deb14-cloud-arm64)", "id", False, False, "zero", "skip",
                  True, "ENXIO", "intid"),
)}

REFERENCE = "6.12"


def profile(kernel: str | KernelProfile = REFERENCE) -> KernelProfile:
    """Look a profile up by name ("6.1", "6.12", "7.2"); ItsError(EINVAL) lists the names."""
    if isinstance(kernel, KernelProfile):
        return kernel
    if kernel not in PROFILES:
        raise ItsError("EINVAL", f"no kernel profile {kernel!r}; there are {', '.join(PROFILES)}")
    return PROFILES[kernel]
