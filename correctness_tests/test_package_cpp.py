"""Packages of variants that are called from C++: those of their Python variants."""

import json
from types import SimpleNamespace

import pytest
from decision_files import bench, content

from eagerbench import backends, cli
from eagerbench.backends.cpp_runner import CppBackend
from eagerbench.packaging import command


@pytest.mark.parametrize("variant", [name for name, (_, backend) in backends.variants().items()
                                     if isinstance(backend, CppBackend)])
def test_a_variant_called_from_cpp_is_packed_as_its_python_variant(variant, tmp_path, monkeypatch, capsys):
    """Whether its runner can be built here or not: the package has the source of that call."""
    asked = []

    def make(chosen, name, spec, seen, target):
        asked.append((name, [one.record.identity.variant for one in seen]))
        return SimpleNamespace(model=spec.name, variant=name, given="texts", gives="arrays"), "it has no labels"

    twin = variant.removesuffix("-cpp")
    monkeypatch.setattr(command, "_make", make)
    saved = content(bench("eager", 1.0, model="tiny-bert"), bench(variant, 2.0, model="tiny-bert"),
                    bench(twin, 2.0, model="tiny-bert"))
    (tmp_path / "run.json").write_text(json.dumps(saved))
    assert cli.main(["package", variant, "--model", "tiny-bert", "-o", str(tmp_path / "made"), "--record",
                     str(tmp_path / "run.json")]) == 0
    assert asked == [(twin, [twin])]
    said = capsys.readouterr().out
    assert f"tiny-bert as {twin}, texts in, arrays out (it has no labels; {variant} is the artifact of {twin}" in said
