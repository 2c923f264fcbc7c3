"""Makes logs of recorded runs: what people would have logged, had they watched them."""

import json

QMP = {"dirty_sync_count": "dirty-sync-count", "dirty_pages_rate": "dirty-pages-rate",
       "precopy_bytes": "precopy-bytes", "downtime_bytes": "downtime-bytes", "postcopy_bytes": "postcopy-bytes",
       "multifd_bytes": "multifd-bytes"}
RAM = ("transferred", "remaining", "normal", "duplicate", "mbps", *QMP)


def replies(recording):
    """(t, query-migrate reply) of each poll that was answered, and at the end the recorder's last one."""
    found = []
    for row in recording["polls"]:
        poll = dict(zip(recording["poll_cols"], row, strict=True))
        if poll["status"] is None:
            continue
        ram = {QMP.get(key, key): poll[key] for key in RAM if poll.get(key) is not None}
        reply = {"status": poll["status"], **({"ram": ram} if "remaining" in ram else {})}
        if poll.get("expected_downtime") is not None:
            reply["expected-downtime"] = poll["expected_downtime"]
        found.append((poll["t"], reply))
    if recording["final"]:
        found.append((found[-1][0] + 0.04 if found else 1.0, recording["final"]))
    return found


def qmp_log(recording, epoch_s=0.0):
    """JSON lines {"t": ..., "return": ...}."""
    return "".join(json.dumps({"t": epoch_s + t, "return": reply}) + "\n" for t, reply in replies(recording))


def with_events(recording, epoch_s):
    """The same with the source's QMP events between, as a monitor's log has them, and total-time in the answers."""
    lines = []
    for t, reply in replies(recording):
        told = reply if "total-time" in reply or reply["status"] in ("cancelled", "failed") else {
            **reply, "total-time": round(1000 * t)}
        lines.append((t, {"timestamp": epoch_s + t, "return": told}))
    for _, t, side, name, data in (row[:5] for row in recording["events"]):
        if side == "src":
            at = epoch_s + t
            stamp = {"seconds": int(at), "microseconds": round(at % 1 * 1e6)}
            lines.append((t, {"timestamp": stamp, "event": name, "data": data}))
    return "".join(json.dumps(line) + "\n" for _, line in sorted(lines, key=lambda pair: pair[0]))


def typed(t, reply):
    """libvirt's typed parameters for one answer."""
    ram = reply["ram"]
    done = reply["status"] == "completed"
    return {"type": 3 if done else 2, "operation": 5, "time_elapsed": reply.get("total-time", round(1000 * t)),
            "downtime": reply.get("downtime", reply.get("expected-downtime", 0)),
            "data_total": 402792448, "data_processed": ram["transferred"], "data_remaining": ram["remaining"],
            "memory_total": 402792448, "memory_processed": ram["transferred"], "memory_remaining": ram["remaining"],
            "memory_bps": int(ram["mbps"] * 125000), "memory_constant": ram["duplicate"],
            "memory_normal": ram["normal"], "memory_normal_bytes": ram["normal"] * 4096,
            "memory_dirty_rate": ram["dirty-pages-rate"], "memory_iteration": ram["dirty-sync-count"],
            "memory_page_size": 4096}


def virsh_block(values):
    """What `virsh domjobinfo` prints for typed parameters (labels and units as in tools/virsh-domain.c)."""
    def size(value):
        for unit in ("B", "KiB", "MiB", "GiB"):
            if value < 1024 or unit == "GiB":
                return f"{value:.3f} {unit}"
            value /= 1024

    done = values["type"] == 3
    rows = [("Job type", "Completed" if done else "Unbounded"), ("Operation", "Outgoing migration"),
            ("Time elapsed", f"{values['time_elapsed']:<12} ms"), ("Data processed", size(values["data_processed"])),
            ("Data remaining", size(values["data_remaining"])), ("Data total", size(values["data_total"])),
            ("Memory processed", size(values["memory_processed"])),
            ("Memory remaining", size(values["memory_remaining"])), ("Memory total", size(values["memory_total"])),
            ("Memory bandwidth", f"{size(values['memory_bps'])}/s"),
            ("Dirty rate", f"{values['memory_dirty_rate']:<12} pages/s"),
            ("Page size", f"{values['memory_page_size']:<12} bytes"),
            ("Iteration", f"{values['memory_iteration']:<12}"),
            ("Constant pages", f"{values['memory_constant']:<12}"), ("Normal pages", f"{values['memory_normal']:<12}"),
            ("Normal data", size(values["memory_normal_bytes"])),
            ("Total downtime" if done else "Expected downtime", f"{values['downtime']:<12} ms"),
            ("Setup time", f"{1:<12} ms")]
    return "".join(f"{label + ':':<17} {value:<12}\n" for label, value in rows) + "\n"
