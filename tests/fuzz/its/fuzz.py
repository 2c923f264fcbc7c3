"""Coverage-guided run: python tests/fuzz/its/fuzz.py TARGET SECONDS [CORPUS]   (needs `pip install atheris`).

Starts from the kept corpus (and for `stream` from a real stream), adds to CORPUS, stops at the first exception that is
no ItsError. The last line says how many inputs ran; the corpus is kept with `--merge`.
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
    corpus = Path(sys.argv[3]) if len(sys.argv) > 3 else HERE / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    target = targets[name]
    length = "65536" if name == "stream" else "4096"
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", f"-max_len={length}", "-timeout=20", "-rss_limit_mb=2048",
                   f"-artifact_prefix={corpus.parent}/crash-{name}-", str(corpus)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
