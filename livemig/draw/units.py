"""Sizes and times in words; the only place where figures turn bytes into MiB and seconds into ms."""

from __future__ import annotations

__all__ = ["count", "duration", "size"]

KIB = 1 << 10


def size(number_of_bytes: float) -> str:
    """Bytes as people write them: 0, 512 B, 64 KiB, 1.95 MiB, 384 MiB, 2 GiB."""
    value, unit = float(number_of_bytes), "B"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if abs(value) < KIB:
            break
        value, unit = value / KIB, bigger
    if not value:
        return "0"
    return f"{_three_figures(value)} {unit}"


def duration(seconds: float) -> str:
    """Seconds as people write them: 5.21 s, 289 ms, 7.7 ms, 120 µs."""
    if abs(seconds) >= 1:
        return f"{_three_figures(seconds)} s"
    if abs(seconds) >= 1e-3:
        return f"{_three_figures(seconds * 1e3)} ms"
    return f"{seconds * 1e6:.0f} µs"


def count(number: int, noun: str) -> str:
    """A number and its noun: 1 page, 4 pages, 2 passes."""
    ending = "es" if noun.endswith("s") else "s"
    return f"{number} {noun}" + ("" if number == 1 else ending)


def _three_figures(value: float) -> str:
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
