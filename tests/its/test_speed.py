"""Speed as ratios in one run: the codec against hand-written numpy, the stream reader against sha256."""

import hashlib
import lzma
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from livemig.its.layout import ITE
from livemig.its.stream import open_stream, read_stream

DATA = Path(__file__).parents[2] / "data" / "stream"
COUNT = 1_000_000


def best_of(action: Callable[[], object], times: int = 5) -> float:
    durations = []
    for _ in range(times):
        start = time.process_time()
        action()
        durations.append(time.process_time() - start)
    return min(durations)


def test_bulk_codec_at_most_4_times_hand_written() -> None:
    rng = np.random.default_rng(7)
    columns = {"next": rng.integers(0, 1 << 16, COUNT, np.uint64), "pintid": rng.integers(0, 1 << 32, COUNT, np.uint64),
               "icid": rng.integers(0, 1 << 16, COUNT, np.uint64)}

    def encode_by_hand() -> np.ndarray:
        return columns["next"] << np.uint64(48) | columns["pintid"] << np.uint64(16) | columns["icid"]

    entries = encode_by_hand()

    def decode_by_hand() -> list[np.ndarray]:
        return [entries >> np.uint64(48), entries >> np.uint64(16) & np.uint64(0xFFFFFFFF), entries & np.uint64(0xFFFF)]

    assert (ITE.encode_array(**columns) == entries).all()
    for mine, theirs in zip(ITE.decode_array(entries).values(), decode_by_hand(), strict=True):
        assert (mine == theirs).all()
    assert best_of(lambda: ITE.encode_array(**columns)) <= 4 * best_of(encode_by_hand)
    assert best_of(lambda: ITE.decode_array(entries)) <= 4 * best_of(decode_by_hand)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A.mig with 64 MiB of pages in front of its own RAM parts; not all pages stand in runs."""
    data = lzma.decompress((DATA / "6.12-A.mig.xz").read_bytes())
    first_part = data.index(b"\x7e\0\0\0\1") + 5
    rng = np.random.default_rng(7)
    path = tmp_path_factory.mktemp("stream") / "large.mig"
    with path.open("wb") as file:
        file.write(data[:first_part])
        for part in range(32):
            file.write(b"\x02" + (1).to_bytes(4, "big"))
            for page in range(512):
                address = (part * 512 + page) * 4096
                head = address | (8 if page == 0 else 0x28)
                file.write(head.to_bytes(8, "big") + (b"\x0dmach-virt.ram" if page == 0 else b"") + rng.bytes(4096))
                if page % 8 == 7:
                    file.write((address | 0x22).to_bytes(8, "big") + b"\0")
            file.write((16).to_bytes(8, "big") + b"\x7e" + (1).to_bytes(4, "big"))
        file.write(data[first_part:])
    return path


@pytest.mark.parametrize("keep_ram", [False, True])
def test_stream_reader_at_least_a_quarter_of_sha256(large: Path, keep_ram: bool) -> None:
    def digest() -> None:
        with large.open("rb") as file:
            hashlib.file_digest(file, "sha256")

    def read() -> None:
        with open_stream(large) as source:
            read_stream(source, keep_ram)

    assert best_of(digest, 3) >= 0.25 * best_of(read, 3)
