"""Each field of KVM's four entries matters: moved by one bit, a recorded answer differs. `mutate.py` tries far more."""

import pytest

from livemig.its.layout import CTE, DTE, ITE, L1
from tests.its.mutate import change_fields, noticed, oracles

FIELDS = [(layout, field.name) for layout in (DTE, CTE, ITE, L1) for field in layout.fields]


@pytest.mark.parametrize(("layout", "name"), FIELDS, ids=lambda value: getattr(value, "name", value))
def test_a_moved_field_is_noticed(layout, name) -> None:  # type: ignore[no-untyped-def]
    field = layout.by_name[name]
    step = -1 if field.hi == 63 else 1
    moved = {"hi": field.hi + step, "lo": field.lo + step}
    assert noticed(lambda: change_fields(layout, {name: moved}), oracles)


def test_unchanged_code_is_not_noticed() -> None:
    assert not noticed(lambda: None, oracles)
