"""`whimbrel-recorder`, built from this tree, records in an environment that holds nothing else but what it asks for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from email import message_from_string
from importlib.metadata import distribution
from pathlib import Path

import pytest

import whimbrel
from whimbrel.store.sql import connect

RECORDER = Path(__file__).parents[2] / "recorder"


@dataclass(frozen=True)
class Fresh:
    """A new environment that holds the wheel and what the wheel requires."""

    python: Path
    packages: Path
    requires: tuple[str, ...]

    def run(self, code: str, *arguments: object) -> str:
        """What `code` prints there."""
        command = [str(self.python), "-W", "error", "-c", code, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.packages, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """Builds the wheel and installs it without an index: what it requires is copied from the running environment."""
    folder = tmp_path_factory.mktemp("fresh")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=RECORDER, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    where = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip())
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        told = message_from_string(archive.read(metadata).decode()).get_all("Requires-Dist", [])
    requires = tuple(sorted(re.split(r"[^\w-]", line, maxsplit=1)[0] for line in told if "extra ==" not in line))
    for name in requires:
        for file in distribution(name).files or ():
            if ".." not in file.parts:
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(distribution(name).locate_file(file)), packages / file)
    return Fresh(python, packages, requires)


def test_it_requires_msgspec_and_xxhash_and_brings_nothing_of_whimbrels_own_name(fresh: Fresh) -> None:
    assert fresh.requires == ("msgspec", "xxhash")
    assert sorted(p.name for p in fresh.packages.iterdir() if p.name.startswith("whimbrel")) == [
        "whimbrel_recorder", f"whimbrel_recorder-{whimbrel.__version__}.dist-info",
    ]  # fmt: skip
    for path in (fresh.packages / "whimbrel_recorder").rglob("*.py"):
        assert not re.search(r"(from|import) whimbrel\b", path.read_text("utf-8")), path


def test_its_import_loads_nothing_that_takes_long(fresh: Fresh) -> None:
    loaded = json.loads(
        fresh.run(
            "import sys, json, msgspec, xxhash; before = set(sys.modules); import whimbrel_recorder;"
            "whimbrel_recorder.Recorder; print(json.dumps(sorted(set(sys.modules) - before)))"
        )
    )
    own = {name for name in loaded if name.startswith("whimbrel_recorder")}
    assert own
    heavy = {"ast", "asyncio", "dataclasses", "dis", "inspect", "logging", "socket", "subprocess", "tokenize", "http"}
    assert not heavy & {name.partition(".")[0] for name in loaded}


def test_what_it_records_there_is_read_here(fresh: Fresh, tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text("""if True:
        import sys
        import whimbrel_recorder as whimbrel

        recorder = whimbrel.Recorder("fares", home=sys.argv[1], model="fares@7")

        @recorder.step
        def normalize(ride):
            return {"fare": ride["fare"] / 100}

        with recorder.prediction({"fare": 1250}, country="AT") as p:
            p.output(score=normalize({"fare": 1250})["fare"] / 100)
        assert recorder.losses == {}
        print(p.id)
    """)
    id_ = fresh.run("import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')", app, tmp_path).strip()
    log = whimbrel.open(tmp_path)
    assert log.ingest().predictions == 1
    with connect() as con:
        files = str(tmp_path / "predictions" / "fares" / "**" / "*.parquet")
        query = "SELECT id, inputs.fare, outputs.score, code.normalize, model.version FROM read_parquet(?)"
        (row,) = con.execute(query, [files]).fetchall()
    assert row[:3] == (id_, 1250, 0.125)
    assert row[3].startswith("f1-")
    assert row[4] == "7"


def test_the_doors_and_the_sidecar_come_with_it(fresh: Fresh, tmp_path: Path) -> None:
    doors = ("asgi", "batch", "logs", "onnx", "sklearn", "torch", "trace")
    fresh.run("; ".join(f"import whimbrel_recorder.doors.{door}" for door in doors))
    looked = fresh.run(
        "import sys; from pathlib import Path; from whimbrel_recorder.hardware.sidecar import Sidecar\n"
        "with Sidecar(Path(sys.argv[1])) as sidecar: print(sidecar.tick()[0]['subject'])",
        tmp_path,
    )
    assert looked == "host\n"
    log = whimbrel.open(tmp_path)
    log.ingest()
    assert log.layout.hardware.exists


def test_the_rule_that_needs_an_extra_says_so_where_that_is_missing(fresh: Fresh, tmp_path: Path) -> None:
    code = """if True:
        import os, sys
        import whimbrel_recorder as whimbrel

        os.environ["WHIMBREL_ENCRYPT_KEY"] = "A" * 43 + "="
        try:
            whimbrel.Recorder("fares", home=sys.argv[1], policy={"redact": {"inputs.name": "encrypt"}})
        except whimbrel.errors.UsageError as error:
            print(error)
    """
    assert "pip install cryptography" in fresh.run(code, tmp_path)
