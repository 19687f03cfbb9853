"""The documents say what the code says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from jobs_grpc.controlplane.core.state.states import mermaid

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return [ROOT / name for name in listed if (ROOT / name).exists()]


def test_the_architecture_draws_the_state_table_of_the_code() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    drawn = re.search(r"```mermaid\n(stateDiagram-v2.*?)\n```", text, re.DOTALL)
    assert drawn is not None
    assert drawn.group(1) == mermaid()


def test_every_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    readme = (ROOT / "README.md").read_text()
    for target in set(re.findall(r"(?:^|`)make ([a-z-]+)", readme, re.MULTILINE)):
        assert f"\n{target}:" in makefile, target


def test_links_between_documents_lead_somewhere() -> None:
    for document in tracked("*.md"):
        for link in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_nothing_names_a_place_outside_the_project() -> None:
    outside = re.compile("/work" + r"/|\.\./" + "shared|farm" + "-studio")
    for path in tracked(
        "*.py", "*.md", "*.toml", "*.proto", "*.yaml", "Makefile", ".ci/run"
    ):
        assert not outside.search(path.read_text()), path.relative_to(ROOT)


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    long = [
        str(path.relative_to(ROOT))
        for root in ("proto", "controlplane", "worker", "client")
        for path in tracked(f"{root}/*.py")
        if not path.name.endswith(("_pb2.py", "_pb2_grpc.py"))
        and len(path.read_text().splitlines()) > 450
    ]
    assert long == []
