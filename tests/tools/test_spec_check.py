"""The checker of SPEC.md finds each kind of disagreement that it is there to find."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tools import spec_check

MODULE = '''
class Tree:
    """A tree."""

    @property
    def root(self):
        """Return the root."""
        # As the RFC says.
        return self.top


def add(a: int, b: int) -> int:
    """Add.

    Raises nothing.
    """
    return a + b


def nothing():
    """Do nothing."""


def double(a): return 2 * a
'''


def only(faults: Iterable[str]) -> str:
    (fault,) = faults
    return fault


def read(path: str) -> str:
    if path != "module.py":
        raise FileNotFoundError(path)
    return MODULE


def quote(name: str, text: str) -> str:
    return f"## 1. Sums\n\n```python source={name}\n{text}```\n"


def test_this_specification_agrees_with_the_code_and_the_tests() -> None:
    assert spec_check.check() == []


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ("add", "def add(a: int, b: int) -> int:\n    return a + b\n"),
        ("Tree.root", "@property\ndef root(self):\n    # As the RFC says.\n    return self.top\n"),
        ("double", "def double(a): return 2 * a\n"),
        ("double,double", "def double(a): return 2 * a\n\n\ndef double(a): return 2 * a\n"),
    ],
)
def test_an_algorithm_is_the_function_without_its_docstring(names: str, text: str) -> None:
    spec = quote(f"module.py:{names}", text)
    assert list(spec_check.check_quotes(spec, read)) == []
    stale = quote(f"module.py:{names}", "pass\n")
    assert "is not what" in only(spec_check.check_quotes(stale, read))
    assert spec_check.refresh(stale, read) == spec


@pytest.mark.parametrize("altered", ["a - b", "a + b ", "a + b\n    return 0", "b + a"])
def test_an_algorithm_that_differs_in_anything_is_found(altered: str) -> None:
    spec = quote("module.py:add", f"def add(a: int, b: int) -> int:\n    return {altered}\n")
    assert "module.py:add is not what" in only(spec_check.check_quotes(spec, read))


@pytest.mark.parametrize("name", ["module.py:absent", "module.py:Tree.leaf", "other.py:add"])
def test_an_algorithm_without_a_source_is_found(name: str) -> None:
    assert "does not exist" in only(spec_check.check_quotes(quote(name, "pass\n"), read))


def test_python_that_names_no_source_is_found() -> None:
    assert "does not name its source" in only(spec_check.check_quotes("```python\npass\n```\n", read))


GOOD = "### 5.1 Suite\n\nA lab MUST refuse it with\n`BAD_ELEMENT`. [5.1-1] It may go on.\n"
CITED = {"5.1-1": {"test"}}


def faults(spec: str, cited: dict[str, set[str]] = CITED) -> list[str]:
    return list(spec_check.check_requirements(spec, cited))


@pytest.mark.parametrize(
    "spec",
    [
        GOOD,
        GOOD.replace("`. [5.1-1]", "` [5.1-1]; so be it."),
        GOOD.replace("refuse it with\n", "be as it was. Otherwise "),
        "### 5.1 Suite\n\n| a | MUST be set [5.1-1] |\n| b | none |\n",
        "### 5.1 Suite\n\n1. does not\n2. MUST do [5.1-1]\n",
        GOOD + "\n```text\nMUST\n```\n",
        GOOD + "\n## 2. Terms\n\nMUST is that of RFC 2119.\n",
    ],
)
def test_a_requirement_with_its_anchor_and_a_test_is_in_order(spec: str) -> None:
    assert faults(spec) == []


ANNEX = GOOD.replace("### 5.1", "## A. Types\n\n### A.6").replace("5.1", "A.6")


def test_a_requirement_of_an_annex_has_an_anchor_with_a_letter() -> None:
    assert faults(ANNEX, {"A.6-1": {"test"}}) == []
    assert faults(ANNEX, {}) == [
        "section A.6, 'A lab MUST refuse it with `BAD_ELEMENT`. [A.6-1]': no test cites [A.6-1]"
    ]
    assert "not of this section" in only(faults(ANNEX.replace("[A.6", "[A.7"), {"A.7-1": {"test"}}))
    assert "a MUST without an anchor" in faults(ANNEX.replace(" [A.6-1]", ""), {})[0]


@pytest.mark.parametrize(
    "spec",
    [
        GOOD + "\nIt MUST be more.\n",
        GOOD.replace("may", "MUST"),
        GOOD.replace("A lab", "It MUST be. A lab"),
        GOOD + "\n- MUST be\n- is\n",
        GOOD + "\n| a | MUST be |\n| b | is |\n",
        GOOD + "\n### 5.2 More\n\nIt MUST NOT be.\n",
        GOOD.replace("[5.1-1] It", "[5.1-1] It MUST do one thing; it"),
    ],
)
def test_a_must_without_an_anchor_is_found(spec: str) -> None:
    assert "a MUST without an anchor" in only(faults(spec))


@pytest.mark.parametrize(
    ("spec", "cited", "said"),
    [
        (GOOD, {}, "no test cites [5.1-1]"),
        (GOOD, {"5.1-1": set()}, "no test cites [5.1-1]"),
        (GOOD, CITED | {"5.1-2": {"test_two"}}, "test_two: SPEC.md has no [5.1-2]"),
        (GOOD.replace("5.1 ", "5.2 "), CITED, "not of this section"),
        (
            GOOD.replace("go on.", "go on. [5.1-1] Or not, which it MUST be. [5.1-1]"),
            CITED,
            "follows no MUST",
        ),
        (GOOD + "\nIt MUST be. [5.1-1]\n", CITED, "used twice"),
        (GOOD.replace("`BAD_ELEMENT`", "a code"), CITED, "names no code"),
    ],
)
def test_anchors_that_are_wrong_are_found(spec: str, cited: dict[str, set[str]], said: str) -> None:
    assert said in faults(spec, cited)[0]


def test_citations_are_those_of_tests() -> None:
    text = (
        "import pytest\n"
        '@pytest.mark.spec("1-1", "2.3-4")\n@pytest.mark.parametrize("a", [1])\ndef test_one(a): ...\n'
        '@pytest.mark.spec("1-1")\ndef test_two(): ...\n'
        '@pytest.mark.spec("9-9")\ndef helper(): ...\n'
        '# pytest.mark.spec("8-8")\ndef test_three(): ...\n'
    )
    assert spec_check.citations({"t.py": text}) == {
        "1-1": {"t.py::test_one", "t.py::test_two"},
        "2.3-4": {"t.py::test_one"},
    }


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", '"""As § 5.1, 7.9 says."""'),
        ("a.py", "# § sections 5 and 8"),
        ("a.py", "# § 5.1-5.4"),
        ("a.md", "[§.md, section 12](§.md)"),
        ("a.md", "[there](§.md#51-suites)"),
        ("a.md", "[there](../§.md#51-suites)"),
        ("a.py", '"""As § A.7 says."""'),
        ("a.py", "# § A.6 and A.7"),
        ("a.py", "# §.md, Annex B"),
        ("a.md", "[there](§.md#b-types)"),
    ],
)
def test_a_section_that_is_cited_and_absent_is_found(path: str, text: str) -> None:
    spec = (
        "## 5. OPRF\n\nSee section 5.1, A.6, [Annex A](#a-indicators-and-profiles), E.164 and RFC 9497\n"
        "section 3.3.\n\n"
        "### 5.1 Suite\n\n## A. Indicators and profiles\n\n### A.6 Accounts\n"
    )
    text = text.replace("§", "SPEC")  # written so that this file cites nothing itself
    fine = {
        "numbers": "SPEC 5, SPEC.md, section 5.1, SPEC.md#51-suite",
        "letters": "SPEC A.6, SPEC.md, Annex A, SPEC.md#a-indicators-and-profiles",
    }
    assert list(spec_check.check_sections(spec, fine)) == []
    assert path in only(spec_check.check_sections(spec, {path: text}))
    for wrong in ("section 6", "sections 5 and\n6", "A.7", "Annex B", "[this](#51-suites)"):
        assert "SPEC.md" in only(spec_check.check_sections(f"{spec}\nSee {wrong}.\n", fine))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("It is `BAD_LUCK`.\n", "BAD_LUCK"),
        ("\n*Evidence.* `oprf-correct`,\n`oprf-wrong`.\n\nSee `no-claim`.\n", "oprf-wrong"),
        ("See `tests/absent.py`.\n", "tests/absent.py"),
    ],
)
def test_a_name_of_what_does_not_exist_is_found(spec: str, said: str) -> None:
    known = ["oprf-correct"]
    assert said in only(spec_check.check_names(spec, known, lambda path: path == "tests/there.py"))
    assert not list(spec_check.check_names("`BAD_PROOF`, `tests/there.py`\n", known, lambda path: True))
