"""Recorded call trees of real QEMU (qemu-calltree/1) and the Trace's calls, brought into one comparable form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from livemig.trace import Trace

# What livemig leaves out of QEMU's tree, by reason (DESIGN.md, "What the engine leaves out").
LEFT_OUT: dict[str, str] = {
    "locks and threads": r"bql_lock_impl|bql_unlock|run_on_cpu|migration_threads_(add|remove)|migrate_mode_is_cpr",
    "the block layer below drain, flush, activate and inactivate": r"(bdrv|blk)_(?!drain_all$|flush_all$)\w+",
    "QMP's plumbing": r"qmp_send_response|qobject_output_visitor_new_qmp",
    "how a section's fields are written": r"vmstate_(?!save$)\w+|put_\w+|timer_put|\w*_needed|needed_always"
    r"|\w+_pre_save"
    r"|cpu_post_save|global_state_do_store|get_validatable_capabilities_count|configuration_post_save|vfp_\w+"
    r"|max_queue_pairs_gt_1"
    r"|mac_table_\w+|has_ctrl_guest_offloads|cpu_synchronize_state",
    "the stream's plumbing": r"qemu_savevm_command_send|qemu_fclose|qemu_file_set_error(_obj)?|qemu_file_get_ioc"
    r"|migration_release_dst_files|migration_ioc_\w+|migrate_hup_delete|cpr_\w+",
    "bookkeeping of RAM": r"ram_bytes_\w+|ram_list_init_bitmaps|ram_state_(init|reset|cleanup)|ram_save_cleanup"
    r"|ram_bitmaps_destroy"
    r"|ramblock_dirty_bitmap_clear_discarded_pages|migration_bitmap_clear_discarded_pages|xbzrle_\w+|precopy_notify"
    r"|memory_global_dirty_log_(do_start|do_stop|stop)|migration_page_queue_free|qemu_savevm_state_cleanup",
    "reading the throttle, and its timer's ticks": r"cpu_throttle_(active|get_percentage|dirty_sync_active|timer_tick)",
    "failover of network devices": r"qemu_savevm_state_guest_unplug_pending|(dev|primary)_unplug_pending"
    r"|vhost_user_net_is_internal_migration",
    "what a device does in its handler": r"virtio_(?!vmstate_change$|blk_dma_restart_cb$|rng_vm_state_change$)\w+"
    r"|qemu_flush_or_purge_queued_packets|to_virtio_pci_proxy|vm_get_suspended",
    "the destination around loading and starting": r"postcopy_\w+"
    r"|qemu_loadvm_(?!state$|state_main$|section_start_full$)\w+"
    r"|vmstate_load\w*|ram_load_\w+|cpu_synchronize_\w+(loadvm|init)|cpu_synchronize_all_post_init|qemu_foreach_nic"
    r"|migrate_incoming_unref_outgoing_state|loadvm_\w+|migration_get_target_runstate|global_state_(received|get_runstate)"
    r"|postload_update_cb|qemu_del_vm_change_state_handler|pflash_update|migration_incoming_\w+|check_section_footer"
    r"|migrate_send_rp_\w+|qemu_send_packet_\w+|is_guest_ready|blk_vm_state_changed",
    "the main thread's part before and after": r"migrate_uri_parse|migration_channels_and_transport_compatible"
    r"|migration_needs_\w+|migration_is_blocked|qemu_savevm_state_(blocked|prepare)|should_send_vmdesc"
    r"|migration_reset_vfio_bytes_transferred|qmp_migrate_finish|socket_\w+|migration_channel_connect|migration_connect"
    r"|migrate_error_free|migration_call_notifiers|migration_cleanup_json_writer|migration_has_failed"
    r"|migrate_channel_requires_tls_upgrade|qemu_add_vm_change_state_handler\w*|qemu_file_(new|set_blocking)\w*",
}
_LEFT_OUT = re.compile("|".join(f"(?:{pattern})" for pattern in LEFT_OUT.values()))


class Node(NamedTuple):
    """A call and the calls in it."""

    name: str
    calls: tuple[Node, ...]

    def walk(self) -> Iterator[Node]:
        yield self
        for call in self.calls:
            yield from call.walk()


def load(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


def recorded(rec: dict[str, Any], thread: str, side: str = "src", stack: str = "thread") -> list[Node]:
    """The recorded calls of one thread, or of its coroutines."""
    rows = []
    for _, _, depth, number, function, _ in rec[f"calls_{side}"]:
        which = rec["threads"][number]
        if which["name"] == thread and which["stack"] == stack:
            rows.append((depth, rec["functions"][function][0]))
    return _nest(rows)


def simulated(trace: Trace, lane: str) -> list[Node]:
    """The calls of one lane of a Trace."""
    return _nest([(e.depth, e.name) for e in trace.select("call", lane=lane)])


def left_out(name: str, engine: set[str]) -> bool:
    """Whether the engine does not have this function, for one of the reasons of LEFT_OUT."""
    return name not in engine and _LEFT_OUT.fullmatch(name) is not None


def _nest(rows: list[tuple[int, str]]) -> list[Node]:
    def build(i: int, depth: int) -> tuple[list[Node], int]:
        nodes = []
        while i < len(rows) and rows[i][0] >= depth:
            name = rows[i][1]
            calls, i = build(i + 1, rows[i][0] + 1)
            nodes.append(Node(name, tuple(calls)))
        return nodes, i

    return build(0, 0)[0]


def subtrees(nodes: list[Node], roots: tuple[str, ...]) -> list[Node]:
    """The outermost calls of the functions `roots`, in order."""
    found: list[Node] = []
    for node in nodes:
        found += [node] if node.name in roots else subtrees(list(node.calls), roots)
    return found


def prune(nodes: list[Node] | tuple[Node, ...], engine: set[str]) -> list[Node]:
    """Without left-out functions; what they called moves up."""
    kept: list[Node] = []
    for node in nodes:
        calls = prune(node.calls, engine)
        if left_out(node.name, engine):
            kept += calls
        else:
            kept.append(Node(node.name, tuple(calls)))
    return kept


def collapse(nodes: list[Node] | tuple[Node, ...]) -> list[Node]:
    """Repetitions of one shape, or of one pair of shapes, become one: a loop's length is not its form."""
    shapes = [Node(n.name, tuple(collapse(n.calls))) for n in nodes]
    for period in (1, 2, 3, 4, 5):
        out: list[Node] = []
        for shape in shapes:
            out.append(shape)
            if len(out) >= 2 * period and out[-period:] == out[-2 * period : -period]:
                del out[-period:]
        shapes = out
    return shapes


def show(nodes: list[Node] | tuple[Node, ...], depth: int = 0) -> str:
    """An indented list, for messages."""
    return "".join(f"{'  ' * depth}{n.name}\n{show(n.calls, depth + 1)}" for n in nodes)
