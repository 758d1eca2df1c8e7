"""Wrong maps: file, section and key are named."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from grayscope import plugins
from grayscope.errors import InputError
from tests.collectors.importing import BASE, ROWS, Imported


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[table]", "[tabel]"), r"map\.toml: unknown key 'tabel': did you mean 'table'\?"),
        (('name = "drive"', 'nam = "drive"'), r"\[table\]: unknown key 'nam': did you mean 'name'"),
        (("factor", "facter"), r"\[metrics\.drive_latency_seconds\]: unknown key 'facter': did you mean 'factor'"),
        (("1e-6", '"1e-6"'), r"factor: expected a number, found 1e-6"),
        (("1e-6", "0"), r"factor: expected a number other than 0"),
        (("1e-6", "nan"), r"factor: expected a number other than 0"),
        (("1e-6", "true"), r"factor: expected a number, found True"),
        (("{host}/{disk}", "{host/{disk}"), r"\[subject\] name: template: expected text with columns in braces"),
        (('column = "time"', ""), r"\[time\]: expected exactly one of column, index, rows, found none"),
        (('column = "time"', 'column = "time"\nstep_s = 1'), r"\[time\] with column: expected only column, unit, format, found step_s"),
        (('column = "time"', 'column = "time"\nunit = "min"'), r"\[time\] unit: expected one of s, ms, us, ns, found min"),
        (('column = "time"', 'index = "time"\nstart = "soon"\nstep_s = 1'), r"\[time\] start: expected a time"),
        (('column = "time"', 'index = "time"\nstart = "2024-01-01"\nstep_s = 0'), r"\[time\] step_s: expected seconds above 0"),
        (("keys = {node", "keys = {since"), r"\[subject\] keys: expected names"),
        (("[metrics.drive_latency_seconds]", "[metrics.subject]"), r"\[metrics\]: expected a metric name"),
        (("[metrics.drive_latency_seconds]", '[metrics."a b"]'), r"\[metrics\]: expected a metric name"),
        (("factor = 1e-6", 'worse = "up"'), r"drive_latency_seconds: worse: expected one of higher"),
        (("factor = 1e-6", "unit = 7"), r"unit: expected str, found 7"),
        (("factor = 1e-6", 'load = "nothing"'), r"load: expected a metric of table drive"),
        (("factor = 1e-6", "[where]\nhost = {abov = 1}"), r"\[where\.host\]: unknown key 'abov': did you mean 'above'"),
        (("factor = 1e-6", '[where]\nhost = {above = "1"}'), r"\[where\] host above: expected a number"),
        (("factor = 1e-6", "[where]\nhost = []"), r"\[where\] host in: expected a text"),
        (("factor = 1e-6", '[melt]\nname = "a"\nvalue = "b"'), r"\[melt\]: expected exactly one of columns, prefix, keep"),
        (("factor = 1e-6", '[melt]\nname = "a"\nvalue = "b"\nprefix = "zz"'), r"\[melt\]: expected at least one column"),
        (("factor = 1e-6", '[truth]\nsubject = "x"\nmode = "y"\nstate = "grey"'), r"\[truth\] state: expected one of masked, gray"),
        (("factor = 1e-6", '[metrics.DCGM_FI_DEV_SM_CLOCK]\n[metrics."gpu_clock_hertz{domain=\\"sm\\"}"]'), r"two entries are gpu_clock_hertz"),
        (("factor = 1e-6", '[melt]\nname = "a"\nvalue = "b"\nkeep = ["host"]'), r"column 'time', which \[time\] needs, is melted"),
        (('name = "drive"', 'name = "../drive"'), r"\[table\] name: expected letters"),
        (('name = "drive"', 'name = "roster"'), r"\[table\] name: expected letters"),
        (('"{host}/{disk}"', '" "'), r"\[subject\] name: expected a text, with columns in braces, found an empty text"),
        (("factor = 1e-6", '[input]\nencoding = "hex"'), r"\[input\] encoding: expected a text encoding"),
        (("factor = 1e-6", '[input]\nsplit = {host = {by = "", into = ["x"]}}'), r"\[input\] split host: expected a separator"),
        (("factor = 1e-6", "[where]\nhost = {above = nan}"), r"\[where\] host above: expected a number"),
        (("[time]", "[time"), r"map\.toml: not TOML"),
        (('name = "drive"', 'name = "drive"\nperiod_s = -1'), r"\[table\] period_s: expected seconds above 0"),
        (
            ("factor = 1e-6", '[input]\nsplit = {host = {by = ",", into = ["disk", "x"]}}'),
            r"a new column: expected a name that the file does not have, found disk",
        ),
    ],
)
def test_a_wrong_map_is_answered_with_file_section_and_key(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in BASE
    with pytest.raises(InputError, match=message):
        Imported(tmp_path, ROWS, BASE.replace(*change, 1))


def test_a_map_without_metrics_or_that_is_missing_or_huge(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\[metrics\]: expected at least one metric"):
        Imported(tmp_path, ROWS, BASE.partition("[metrics")[0])
    with pytest.raises(InputError, match=r"none\.toml: cannot be read"):
        plugins.collector("table", tmp_path / "data.csv", tmp_path / "none.toml")
    with pytest.raises(InputError, match="size: expected at most"):
        Imported(tmp_path, ROWS, BASE + "#" * 2_000_000)


def test_the_example_of_the_docstring_is_a_complete_map(tmp_path: Path) -> None:
    doc = importlib.import_module("grayscope.collectors.table").__doc__ or ""
    example = doc.split("::\n", 1)[1].split("\nAll sections", 1)[0]
    (tmp_path / "labels.csv").write_text("host,disk\nh1,d1\n")
    data = "time,host,disk,latency_us,queue,kind\n2024-01-01T00:00:00Z,h1,d1,100,3,ssd\n2024-01-01T00:00:00Z,h1,d2,100,3,tape\n"
    made = Imported(tmp_path, data, "\n".join(line[4:] for line in example.splitlines()))
    assert made.counts == {"read": 2, "filtered": 1, "written": 1, "subjects": 1, "truth": 1}
    assert datetime.fromtimestamp(made.frame["time"][0] / 1e6, UTC).year == 2024
