"""Exercises that check themselves, and the glossary, for the notebooks.

>>> from livemig import course
>>> course.exercise("02.1", seed=7)                     # the question with this seed's numbers
>>> course.check("02.1", "15.2 s")                      # right or not, and why
>>> course.hint("02.1")                                 # three of them; then course.answer("02.1")
>>> course.key(seed=7)                                  # for instructors: the same numbers, all keys
>>> course.term("LPI")                                  # what a word means; course.glossary() lists them all

The glossary is data (`words`); `mark` writes its sentences into the notebooks, where the pointer shows them.

Theory of operation. An exercise is data (`model`), built from a seed by one small file a notebook (`exercises_00` and
so on); its key comes from the engine, the its room or the closed form, and the usual wrong answers stand beside it with
their reasons. `judge` reads an answer and compares. A learner's function runs in a process of its own (`runner`,
`child`) and is stopped when it does not end. `progress_file` keeps a local file. `versions` writes the notebooks for a
class. Nothing is sent anywhere.
"""

from livemig.course.catalogue import EXERCISES
from livemig.course.desk import Desk
from livemig.course.model import CourseError
from livemig.course.progress_file import ProgressError
from livemig.course.words import glossary, term

__all__ = ["exercise", "check", "hint", "answer", "key", "use_seed", "progress", "keep_progress_in",
           "export_progress", "import_progress", "glossary", "term", "Desk", "EXERCISES", "CourseError",
           "ProgressError"]

_desk = Desk(EXERCISES)

exercise = _desk.exercise
check = _desk.check
hint = _desk.hint
answer = _desk.answer
key = _desk.key
use_seed = _desk.use_seed
progress = _desk.progress
keep_progress_in = _desk.keep_progress_in
export_progress = _desk.export_progress
import_progress = _desk.import_progress
