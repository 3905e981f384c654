"""Check that SPEC.md, the code and the tests say the same thing.

    python tools/spec_check.py            say what is wrong; the exit status is 1 if anything is
    python tools/spec_check.py --write    first copy the algorithms that SPEC.md quotes anew from the code

An algorithm in SPEC.md is a fenced block that names its source, `python source=PATH:NAME`: it is that
function without its docstring. A requirement is a sentence with a MUST; an anchor such as [5.1-2] follows it,
and a test cites the anchor with `@pytest.mark.spec("5.1-2")`. Section 2 says what MUST means, and is exempt.
Sections have a number (5, 5.1); annexes and their sections have a letter (A, A.6; the anchor [A.6-1]).
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mandorla_protocol.errors import Code

ROOT: Final = Path(__file__).parents[1]
EXEMPT: Final = "2"

# Annexes A to D can exist; E.164 is a standard.
_SECTION: Final = r"(?:\d+(?:\.\d+)?|[A-D]\.\d+)"
_LIST: Final = rf"({_SECTION}(?:(?:,\s|\sand\s|\sto\s|-){_SECTION})*)"

_FENCE = re.compile(r"^```python source=(\S+?):(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(rf"^#{{2,3}} ({_SECTION}|[A-D](?=\.))\.? (.*)$")
_ITEM = re.compile(r"\s*(?:\||- |\d+\. )")
_ANCHOR = re.compile(rf"\[({_SECTION})-(\d+)\]")
_SENTENCE = re.compile(r"(?<=\])\s+(?=[A-Z`])|(?<=\.)\s+(?!Otherwise)(?=[A-Z])")
_CODE = re.compile(r"`([A-Z]+(?:_[A-Z]+)*)`")
_CITED = re.compile(rf"SPEC(?:\.md,)?(?: sections?)? (?:{_LIST}|Annex ([A-D])\b)")
_OWN = re.compile(rf"(?<!RFC\s\d{{4}}\s)\bsections?\s{_LIST}|\b([A-D]\.\d+)\b|\bAnnex\s([A-D])\b")
_LINK = re.compile(r"SPEC\.md#([\w-]+)")
_OWN_LINK = re.compile(r"\]\(#([\w-]+)\)")


def _source_of(module: str, name: str) -> str:
    """Return the text of a function, `Class.method` included, without its docstring.

    Raises LookupError if the module has none of that name.
    """
    within = ast.parse(module).body
    for part in name.split("."):
        found = [n for n in within if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == part]
        if not found:
            raise LookupError(name)
        node, within = found[0], found[0].body
    lines = module.splitlines()
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    body = node.body[0]
    if ast.get_docstring(node) is not None:
        taken = [*lines[first - 1 : body.lineno - 1], *lines[body.end_lineno or 0 : node.end_lineno]]
    else:
        taken = lines[first - 1 : node.end_lineno]
    return textwrap.dedent("\n".join(taken)).strip("\n") + "\n"


def refresh(spec: str, read: Callable[[str], str]) -> str:
    """Return SPEC.md with each quoted algorithm as the code has it; `read` gives a file's text by its path.

    Raises LookupError for a function that does not exist, OSError for a file.
    """

    def quote(match: re.Match[str]) -> str:
        path, names, _ = match.groups()
        text = "\n\n".join(_source_of(read(path), name) for name in names.split(","))
        return f"```python source={path}:{names}\n{text}```"

    return _FENCE.sub(quote, spec)


def check_quotes(spec: str, read: Callable[[str], str]) -> Iterator[str]:
    """Yield each quoted algorithm that differs from its source, and each block of Python without a source."""
    for block in re.findall(r"^```python(.*)$", spec, re.MULTILINE):
        if not block.startswith(" source="):
            yield "a block of Python does not name its source"
    for match in _FENCE.finditer(spec):
        name = f"{match[1]}:{match[2]}"
        try:
            if refresh(match[0], read) != match[0]:
                yield f"{name} is not what SPEC.md quotes: see the difference, then run with --write"
        except (LookupError, OSError):
            yield f"{name} does not exist"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, row or item of SPEC.md, and the section that it stands in."""

    section: str
    text: str


def sentences(spec: str) -> Iterator[Sentence]:
    """Yield the sentences of SPEC.md outside fenced blocks."""
    section, block, fenced = "", [""], False

    def flush() -> Iterator[Sentence]:
        text = " ".join(block).strip()
        block.clear()
        yield from (Sentence(section, one) for one in _SENTENCE.split(text) if one)

    for line in [*spec.splitlines(), ""]:
        if line.startswith("```"):
            fenced = not fenced
        heading = _HEADING.match(line)
        if fenced or heading or not line or _ITEM.match(line):
            yield from flush()
        if heading and not fenced:
            section = heading[1]
        elif not fenced:
            block.append(line.strip())


def check_requirements(spec: str, cited: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Yield what is wrong with the requirements; `cited` gives the tests by the anchor that they cite."""
    anchors: set[str] = set()
    for sentence in sentences(spec):
        if sentence.section == EXEMPT:
            continue
        where = f"section {sentence.section}, {sentence.text[:60]!r}"
        last = max((match.start() for match in _ANCHOR.finditer(sentence.text)), default=-1)
        must = sentence.text.rfind("MUST")
        if must > last:
            yield f"{where}: a MUST without an anchor"
        for section, number in _ANCHOR.findall(sentence.text):
            anchor = f"{section}-{number}"
            if must < 0:
                yield f"{where}: [{anchor}] follows no MUST"
            if section != sentence.section:
                yield f"{where}: [{anchor}] is not of this section"
            if anchor in anchors:
                yield f"{where}: [{anchor}] is used twice"
            anchors.add(anchor)
            if not cited.get(anchor):
                yield f"{where}: no test cites [{anchor}]"
        if must >= 0 and re.search(r"MUST.*\brefuse", sentence.text) and not _CODE.search(sentence.text):
            yield f"{where}: a MUST that refuses names no code"
    for anchor in sorted(cited.keys() - anchors):
        yield f"{', '.join(sorted(cited[anchor]))}: SPEC.md has no [{anchor}]"


def citations(tests: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the names of the tests that cite each anchor, given the text of each file of tests."""
    cited: dict[str, set[str]] = {}
    for path, text in tests.items():
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                continue
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.spec":
                    for argument in decorator.args:
                        cited.setdefault(str(ast.literal_eval(argument)), set()).add(f"{path}::{node.name}")
    return cited


def check_sections(spec: str, sources: Mapping[str, str]) -> Iterator[str]:
    """Yield each citation of a section, in SPEC.md or in another file, that SPEC.md does not have."""
    found = [heading for line in spec.splitlines() if (heading := _HEADING.match(line))]
    numbers = {heading[1] for heading in found}
    titles = re.findall(r"^#{2,4} (.*)$", spec, re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    for path, text in [("SPEC.md", spec), *sources.items()]:
        own = path == "SPEC.md"
        cited = [number for match in (_OWN if own else _CITED).finditer(text) for number in _numbers(match)]
        for number in cited:
            if number not in numbers:
                yield f"{path}: SPEC.md has no section {number}"
        for slug in (_OWN_LINK if own else _LINK).findall(text):
            if slug not in slugs:
                yield f"{path}: SPEC.md has no heading #{slug}"


def _numbers(citation: re.Match[str]) -> list[str]:
    """Return the sections that a citation names: those of its list, or the one that it is."""
    return re.findall(rf"{_SECTION}|[A-D]", next(group for group in citation.groups() if group))


def check_names(spec: str, claims: Iterable[str], exists: Callable[[str], bool]) -> Iterator[str]:
    """Yield each error code, machine-checked claim and file that SPEC.md names and that does not exist."""
    for code in sorted(set(_CODE.findall(spec))):
        if "_" in code and code not in Code.__members__:
            yield f"the catalogue has no {code}"
    known = set(claims)
    for evidence in re.findall(r"^\*Evidence\.\*.*?(?=\n\n)", spec, re.MULTILINE | re.DOTALL):
        for claim in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", evidence):
            if claim not in known:
                yield f"proofs/CLAIMS.toml has no {claim}"
    for path in re.findall(r"`((?:tests|proofs|protocol|docs|vectors)/[\w/.]+)`", spec):
        if not exists(path):
            yield f"there is no {path}"


def check(root: Path = ROOT) -> list[str]:
    """Return all that is wrong in a checkout."""

    def read(path: str) -> str:
        return (root / path).read_text("utf-8")

    def texts(*patterns: str) -> dict[str, str]:
        found = sorted(path for pattern in patterns for path in root.glob(pattern))
        return {str(path.relative_to(root)): path.read_text("utf-8") for path in found}

    spec = read("SPEC.md")
    folders = ("proto", "protocol", "node", "simulations", "tests", "proofs", "benchmarks")
    sources = texts(
        "*.md", "docs/*.md", *(f"{folder}/**/*.{kind}" for folder in folders for kind in ("py", "rs", "md"))
    )
    claims = [claim["id"] for claim in tomllib.loads(read("proofs/CLAIMS.toml"))["claim"]]
    del sources["SPEC.md"]
    return [
        *check_quotes(spec, read),
        *check_requirements(spec, citations(texts("tests/**/test_*.py"))),
        *check_sections(spec, sources),
        *check_names(spec, claims, lambda path: (root / path).exists()),
    ]


def main(arguments: list[str]) -> int:
    """Check this checkout, and print what is wrong; return the exit status."""
    if arguments == ["--write"]:
        path = ROOT / "SPEC.md"
        path.write_text(
            refresh(path.read_text("utf-8"), lambda name: (ROOT / name).read_text("utf-8")), "utf-8"
        )
    elif arguments:
        print(__doc__)
        return 2
    faults = check()
    for fault in faults:
        print(fault)
    print(f"{len(faults)} faults" if faults else "SPEC.md, the code and the tests agree")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
