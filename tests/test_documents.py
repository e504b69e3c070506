"""Strict YAML: one meaning for every text, lines for every key, and a sentence for everything else."""

from __future__ import annotations

import json
import os
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from recbench.documents import MAX_LEVELS, load_yaml, read_yaml, yaml_value
from recbench.errors import UsageError

words = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn", "Co"), exclude_characters="\x85\ufeff"), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=12
)


class _WithoutAliases(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


@given(values, st.booleans())
def test_agrees_with_safe_load_where_both_versions_of_yaml_do(value, flow):
    text = yaml.dump(value, Dumper=_WithoutAliases, default_flow_style=flow, allow_unicode=True)
    expected = yaml.safe_load(text)
    assert expected == value
    found = load_yaml(text, "x").value
    if "e" not in text.lower() and "0" not in text:  # texts such as 1e5 and 0o7 are numbers in 1.2 only
        assert found == expected


@given(values)
def test_json_means_what_it_means_in_json(value):
    text = json.dumps(value, ensure_ascii=False)
    if "Infinity" not in text:
        assert load_yaml(text, "x").value == json.loads(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:30", "1:30"),
        ("010", 10),
        ("-7", -7),
        ("0x1F", 31),
        ("0o17", 15),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("1_000", "1_000"),
        ("yes", "yes"),
        ("off", "off"),
        ("2024-01-31", "2024-01-31"),
        ("~", None),
        ("True", True),
        ("'010'", "010"),
        ("[1, a: 2]", [1, {"a": 2}]),
        ("{a: [1, '2']}", {"a": [1, "2"]}),
        ("", ""),
        ("=", "="),
    ],
)
def test_values_of_set(text, value):
    found = yaml_value(text, "--set a.b")
    assert found == value
    assert type(found) is type(value)


def test_lines():
    document = load_yaml("title: x\ncells:\n  - {model: a,\n     loss: b}\n  - model: c\n", "suite x")
    assert document.value == {"title": "x", "cells": [{"model": "a", "loss": "b"}, {"model": "c"}]}
    assert document.line("title") == 1
    assert document.line("cells") == 2
    assert document.line("cells", 0) == 3
    assert document.line("cells", 0, "loss") == 4
    assert document.line("cells", 1, "model") == 5
    assert document.line("cells", 2) is None


LAUGHS = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", r"f, line 3: the key 'a' occurs twice \(first in line 1\)\."),
        ("x:\n  a: 1\n  a: 1\n", r"line 3: the key 'a' occurs twice \(first in line 2\)"),
        ("1: a\n01: b\n", r"line 2: the key '01' occurs twice \(first in line 1\)"),
        (LAUGHS, "line 1: anchors such as &a are not allowed"),
        ("a: *b\n", r"line 1: aliases such as \*b are not allowed"),
        ("a: 1\n<<: {b: 2}\n", r"line 2: merge keys \(<<\) are not allowed"),
        ("a: !!python/object:os.system x\n", "line 1: tags such as .*os.system are not allowed"),
        ("? [a]\n: 1\n", "line 1: a key must be a word or a number"),
        ("a: [\n", "line 2: this is not YAML .expected the node content"),
        ("a: b: c\n", "line 1: this is not YAML .mapping values are not allowed here"),
        ("--- 1\n--- 2\n", "line 2: this is not YAML .but found another document"),
        ("a: 1\nb: \x00\n", r"line 2: the character U\+0000 is not allowed"),
        ("[" * 100_000, f"line 1: it is nested more than {MAX_LEVELS} levels deep"),
        ("- " * 400 + "1", f"line 1: it is nested more than {MAX_LEVELS} levels deep"),
        ("{a: " * 100_000, f"line 1: it is nested more than {MAX_LEVELS} levels deep"),
        ("a: " + "9" * 5000, "line 1: a number of 5000 digits is too long"),
        ("a: " + "x" * 1_000_001, "f has more than 1 MB"),
    ],
)
def test_what_is_refused(text, message):
    begun = time.process_time()
    with pytest.raises(UsageError, match=message):
        load_yaml(text, "f")
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("text", ["a: b", "- a", "a:", "*x", "&x 1", "[1", "\x00"])
def test_set_refuses_what_is_not_one_value(text):
    with pytest.raises(UsageError, match=r"--set a\.b"):
        yaml_value(text, "--set a.b")


def test_files(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(path).value == {"a": 1}
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(UsageError, match=r"x\.yaml is not UTF-8 text \(byte 3\)"):
        read_yaml(path)
    with pytest.raises(UsageError, match="--config none: no such file or directory"):
        read_yaml(tmp_path / "none", "--config none")
    with pytest.raises(UsageError, match="is a folder: a YAML file is needed"):
        read_yaml(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="pipe is not a regular file"):  # and does not wait for a writer
        read_yaml(tmp_path / "pipe")
    path.write_text("a: " + "x" * 1_000_001)
    with pytest.raises(UsageError, match="more than 1 MB"):
        read_yaml(path)
