"""The checks of a `verify` as JUnit XML: the form in which GitLab, GitHub and Jenkins show findings.

Rules: pure; a check is a test case; one that failed says in its message what was expected and found, and in its text
the details and what to run. What XML can't hold (control signs in somebody's data) becomes U+FFFD.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from tradecap.proof.checks import Check

SUITE: Final = "tradecap.verify"
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(checks: Sequence[Check], *, seconds: float, at: str, properties: Mapping[str, object]) -> bytes:
    """The XML. at: when the checks began, UTC, without a zone, as the format has it; properties: what was verified."""
    failures = sum(not check.ok for check in checks)
    totals = {"tests": len(checks), "failures": failures, "errors": 0, "skipped": 0, "time": f"{seconds:.3f}"}
    root = Element("testsuites", _texts({"name": SUITE, **totals}))
    suite = SubElement(root, "testsuite", _texts({"name": SUITE, **totals, "timestamp": at}))
    named = SubElement(suite, "properties")
    for name, value in properties.items():
        SubElement(named, "property", _texts({"name": name, "value": value}))
    for check in checks:
        _case(suite, check)
    indent(root)
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _case(suite: Element, check: Check) -> None:
    case = SubElement(suite, "testcase", _texts({"classname": SUITE, "name": check.name, "time": "0.000"}))
    expected, actual = check.texts
    lines = [f"expected: {expected}", f"found: {actual}"]
    lines += [f"detail: {check.detail}"] if check.detail else []
    lines += [f"fix: {check.fix}"] if check.fix else []
    if check.ok:
        SubElement(case, "system-out").text = _clean("\n".join(lines))
    else:
        message = f"expected {expected}, found {actual}"
        SubElement(case, "failure", _texts({"type": check.name, "message": message})).text = _clean("\n".join(lines))


def _texts(attributes: Mapping[str, object]) -> dict[str, str]:
    return {name: _clean(str(value)) for name, value in attributes.items()}


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
