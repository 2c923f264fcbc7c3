"""Coverage-guided run: python tests/fuzz/its/fuzz.py TARGET SECONDS [CORPUS]   (needs `pip install atheris`).

Starts from the kept corpus and adds to CORPUS (default: the kept one); stops at the first exception but ItsError.
The last line says how many inputs ran.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[2])]

with atheris.instrument_imports(include=["livemig.its"]):
    from targets import targets


def main() -> None:
    name, seconds = sys.argv[1], sys.argv[2]
    kept = HERE / "corpus" / name
    corpus = Path(sys.argv[3]) if len(sys.argv) > 3 else kept
    corpus.mkdir(parents=True, exist_ok=True)
    folders = [str(corpus)] + ([str(kept)] if corpus != kept else [])
    length = "65536" if name == "stream" else "4096"
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", f"-max_len={length}", "-timeout=20", "-rss_limit_mb=2048",
                   f"-artifact_prefix={kept.parent}/crash-{name}-", *folders], targets[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
