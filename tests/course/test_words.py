"""The glossary: its entries are well formed, words are found in every form, errors name what is near."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from livemig import course
from livemig.course.words import TERMS, anchor, find

# What issue 7 and the seed document need explained, whatever else the glossary has.
WANTED = (
    "pre-copy", "stop-copy", "dirty page", "dirty bitmap", "dirty rate", "bitmap sync", "pass", "iteration",
    "threshold", "downtime", "downtime limit", "switchover", "convergence", "T0", "T1", "Tn", "Tn+1", "Tn+2",
    "Tn+3", "Tn+4", "ITS", "LPI", "device table", "collection table", "ITT", "DTE", "CTE", "ITE", "EventID",
    "DeviceID", "GICv3", "redistributor", "pending table", "change-state handler", "run state", "QMP", "HMP",
    "TCG", "KVM", "auto-converge", "XBZRLE", "multifd", "postcopy", "KVM_DEV_ARM_ITS_SAVE_TABLES", "quantum",
    "window of 100 ms", "zero page", "vCPU",
)


@pytest.mark.parametrize("word", WANTED)
def test_a_word_of_the_course_is_explained(word: str) -> None:
    assert word in find(word).spellings


@pytest.mark.parametrize(("word", "name"), [("LPIs", "LPI"), ("VCPUs", "vCPU"), ("Passes", "pass"),
                                            ("dirty-log", "dirty log"),
                                            ("ITSes", "ITS"), ("interrupt translation service", "ITS")])
def test_other_forms_are_found(word: str, name: str) -> None:
    assert course.term(word).heading == name


def test_no_spelling_has_two_entries() -> None:
    counts = Counter(spelling for one in TERMS for spelling in {spelling.lower() for spelling in one.spellings})
    assert [spelling for spelling, count in counts.items() if count > 1] == []


def test_related_words_are_entries() -> None:
    names = {one.name for one in TERMS}
    assert [(one.name, name) for one in TERMS for name in one.see if name not in names or name == one.name] == []


@pytest.mark.parametrize("one", TERMS, ids=lambda one: one.name)
def test_an_entry_is_one_plain_sentence_with_a_source(one) -> None:
    """Marks stand in HTML attributes, in Markdown tables and beside formulas: no sign may mean anything there."""
    assert re.fullmatch(r"[^|$<>\"`*\n]{20,170}\.", one.says), one.says
    assert re.match(r"(QEMU|Linux|Arm|livemig|libvirt|Clark)[ /]", one.source), one.source
    assert not one.says.lower().startswith((one.name.lower() + " ", "a " + one.name.lower() + " "))


def test_files_of_livemig_that_entries_name_exist(root) -> None:
    for one in TERMS:
        for name in re.findall(r"livemig/\S+?\.py|data/\w+", one.source):
            assert (root / name).exists(), (one.name, name)
        if found := re.match(r"(livemig/\S+\.py) (\w+)$", one.source):
            assert re.search(rf"(def|class) {found[2]}\b", (root / found[1]).read_text(encoding="utf-8")), one.name


@pytest.mark.parametrize(("word", "near"), [("LPJ", "LPI"), ("threshhold", "threshold"), ("table", "device table"),
                                            ("xyzzy", "course.glossary()")])
def test_an_unknown_word_names_what_is_near(word: str, near: str) -> None:
    with pytest.raises(course.CourseError, match=re.escape(near)) as error:
        course.term(word)
    assert "\n" not in str(error.value)


def test_the_table_shows_every_word_to_a_screen_reader_and_a_terminal() -> None:
    shown = course.glossary()
    for text in (repr(shown), shown._repr_html_()):
        assert all(one.name in text for one in TERMS)
    assert course.term("LPI")._repr_html_().count("8192") == 1


def test_anchors_are_those_of_github() -> None:
    """GitHub lowers the text, drops punctuation and turns each space into a hyphen."""
    texts = ("Tn+1", "KVM_DEV_ARM_ITS_SAVE_TABLES", "livemig's own words", "VM change-state handler")
    wanted = ["tn1", "kvm_dev_arm_its_save_tables", "livemigs-own-words", "vm-change-state-handler"]
    assert [anchor(text) for text in texts] == wanted
    anchors = Counter(anchor(one.name) for one in TERMS)
    assert anchors.most_common(1)[0][1] == 1
