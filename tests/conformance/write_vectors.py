"""Write the golden vectors anew from the engine: python -m tests.conformance.write_vectors"""

from __future__ import annotations

from tests.conformance.vectors import FILE, write

if __name__ == "__main__":
    file = write()
    rows = sum(len(vector.get("head", ())) for vector in file["vectors"])
    print(f"{FILE.name}: {len(file['vectors'])} scenarios, {rows} events, {FILE.stat().st_size / 1024:.0f} KiB")
