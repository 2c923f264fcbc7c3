"""All exercises, in the order of the notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from livemig.course import (
    exercises_00,
    exercises_01,
    exercises_02,
    exercises_03,
    exercises_04,
    exercises_05,
    exercises_06,
    exercises_07,
    exercises_08,
)
from livemig.course.model import Exercise

__all__ = ["EXERCISES"]

_ROOMS = (exercises_00, exercises_01, exercises_02, exercises_03, exercises_04, exercises_05, exercises_06,
          exercises_07, exercises_08)
EXERCISES: Mapping[str, Exercise] = MappingProxyType({one.id: one for room in _ROOMS for one in room.EXERCISES})
