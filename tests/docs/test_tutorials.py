"""The plugins of the tutorials form a package that keeps every contract."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

TUTORIALS = Path(__file__).resolve().parents[2] / "docs/tutorials"
PLUGINS = ("loss", "backbone", "decoder", "identifier", "source")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_example_runs_and_keeps_its_contract(tmp_path: Path) -> None:
    chapters = [(TUTORIALS / f"{name}.md").read_text(encoding="utf-8") for name in PLUGINS]
    blocks = [block for chapter in chapters for block in BLOCK.findall(chapter)]
    projects = [tomllib.loads(text)["project"] for language, text in blocks if language == "toml"]
    for language, text in blocks:
        if language == "python":
            path = tmp_path / text.partition("\n")[0].removeprefix("# ")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    info = tmp_path / "my_package-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 0.1\n")
    groups = {group: named for project in projects for group, named in project["entry-points"].items()}
    assert len(groups) == len(PLUGINS)
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()) for group, entries in groups.items()]
    (info / "entry_points.txt").write_text("".join(lines))
    named = {
        value.partition(":")[0].replace(".", "/") + ".py" for entries in groups.values() for value in entries.values()
    }
    assert named == {str(path.relative_to(tmp_path)) for path in tmp_path.glob("my_package/*.py")}

    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", "."]
    done = subprocess.run([*command, "."], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 60
