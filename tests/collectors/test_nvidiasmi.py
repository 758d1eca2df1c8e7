"""nvidia-smi -q -x: values and units of old and new drivers, loops, cards that go, hostile XML, captured files of real cards."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given

from grayscope import plugins
from grayscope.errors import GrayscopeError, InputError
from grayscope.replaying import replay
from grayscope.settings import Settings
from tests.mutations import MANY, mutated
from tests.traced import Traced, imported

CARD = """<gpu id="{bus}"><product_name>NVIDIA H100 80GB HBM3</product_name><uuid>{uuid}</uuid>
<pci><pci_gpu_link_info><pcie_gen><max_link_gen>5</max_link_gen><current_link_gen>5</current_link_gen></pcie_gen>
<link_widths><max_link_width>16x</max_link_width><current_link_width>{width}x</current_link_width></link_widths></pci_gpu_link_info>
<replay_counter>{replays}</replay_counter><replay_rollover_counter>0</replay_rollover_counter></pci>
<clocks_event_reasons><clocks_event_reason_gpu_idle>Not Active</clocks_event_reason_gpu_idle>
<clocks_event_reason_sw_thermal_slowdown>Active</clocks_event_reason_sw_thermal_slowdown></clocks_event_reasons>
<clocks_event_reasons_counters><clocks_event_reasons_counters_sw_therm_slowdown>{throttled} us</clocks_event_reasons_counters_sw_therm_slowdown>
</clocks_event_reasons_counters>
<fb_memory_usage><used>70000 MiB</used></fb_memory_usage><utilization><gpu_util>98 %</gpu_util></utilization>
<ecc_mode><current_ecc>Enabled</current_ecc></ecc_mode>
<ecc_errors><volatile><sram_correctable>0</sram_correctable><sram_uncorrectable_parity>1</sram_uncorrectable_parity>
<sram_uncorrectable_secded>2</sram_uncorrectable_secded><dram_correctable>17</dram_correctable><dram_uncorrectable>0</dram_uncorrectable></volatile></ecc_errors>
<remapped_rows><remapped_row_corr>0</remapped_row_corr><remapped_row_unc>3</remapped_row_unc><remapped_row_pending>Yes</remapped_row_pending>
<remapped_row_failure>No</remapped_row_failure><row_remapper_histogram><row_remapper_histogram_max>637 bank(s)</row_remapper_histogram_max>
<row_remapper_histogram_low>1 bank(s)</row_remapper_histogram_low></row_remapper_histogram></remapped_rows>
<temperature><gpu_temp>{temp} C</gpu_temp><gpu_temp_tlimit>31 C</gpu_temp_tlimit><memory_temp>N/A</memory_temp></temperature>
<gpu_power_readings><average_power_draw>610.25 W</average_power_draw><current_power_limit>700.00 W</current_power_limit></gpu_power_readings>
<clocks><sm_clock>1650 MHz</sm_clock><mem_clock>2619 MHz</mem_clock></clocks>
<fabric><state>Completed</state><health><summary>Healthy</summary><bandwidth>Full</bandwidth></health></fabric></gpu>"""
HEAD = '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v13.dtd">\n'


def card(number: int, **given: Any) -> str:
    told = {"bus": f"00000000:{number:02X}:00.0", "uuid": f"GPU-{number}", "width": 16, "replays": 4, "throttled": 0, "temp": 60}
    return CARD.format(**{**told, **given})


def look(second: int, *cards: str) -> str:
    stamp = f"Mon Jan  5 00:00:{second:02d} 2026"
    return f"{HEAD}<nvidia_smi_log>\n<timestamp>{stamp}</timestamp><driver_version>580.65.06</driver_version>{''.join(cards)}</nvidia_smi_log>\n"


def written(path: Path, text: str | bytes, **settings: Any) -> tuple[Traced, dict[str, int]]:
    file = path / "n017.xml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return imported(plugins.collector("nvidiasmi", [file], **settings), path / "trace")


def test_one_look_in_our_units(tmp_path: Path) -> None:
    trace, counts = written(tmp_path, look(0, card(0), card(1, temp=71)))
    assert counts == {"files": 1, "looks": 1, "samples": 66, "rows": 4, "roster": 4, "events": 0}
    expected = {
        "gpu_power_watts": 610.25, 'gpu_clock_hertz{domain="sm"}': 1.65e9, "gpu_active_ratio": 0.98, "gpu_memory_used_bytes": 70000 * 1048576,
        'gpu_temperature_celsius{sensor="gpu"}': 71, "gpu_temperature_margin_celsius": 31, "gpu_row_remap_pending": 1, "gpu_row_remap_failed": 0,
        'gpu_row_remap_banks{availability="max"}': 637, 'gpu_clock_event_active{reason="thermal_software"}': 1, "gpu_fabric_healthy": 1,
        "gpu_ecc_mode_enabled": 1, "pcie_link_width_lanes": 16, "pcie_link_generation": 5, "gpu_power_limit_watts": 700, "gpu_present": 1,
        'gpu_rows_remapped{cause="uncorrected"}': 3,
    }  # fmt: skip
    for metric, wanted in expected.items():
        assert trace.values(metric, "n017/gpu1/pcie" if metric.startswith("pcie") else "n017/gpu1") == pytest.approx([wanted]), metric
    row = next(r for r in trace.trace.roster.rows if r.subject == "n017/gpu1")
    assert row.keys == {"node": "n017", "slot": "1", "sku": "NVIDIA H100 80GB HBM3", "serial": "GPU-1", "driver": "580.65.06"}


def test_a_loop_gives_increments_and_its_own_times(tmp_path: Path) -> None:
    text = look(0, card(0)) + look(10, card(0, replays=9, throttled=2_500_000)) + look(20, card(0, replays=2, throttled=0))
    trace, _ = written(tmp_path, text, utc_offset=3_600_000_000)
    assert trace.values("pcie_replays_total", "n017/gpu0/pcie")[1:] == [5, 2]  # at last the driver was loaded again
    assert trace.values('gpu_clock_limit_seconds_total{reason="thermal_software"}', "n017/gpu0")[1] == 2.5
    assert trace.cells("gpu_present", "n017/gpu0")[0][0] == 1_767_571_200_000_000 - 3_600_000_000


def test_counts_of_sram_and_of_older_drivers() -> None:
    smi: Any = __import__("grayscope.collectors._smipaths", fromlist=["values"])
    found, odd = smi.values({
        "ecc_errors/volatile/sram_uncorrectable_parity": "1", "ecc_errors/volatile/sram_uncorrectable_secded": "2",
        "ecc_errors/aggregate/single_bit/total": "12", "ecc_errors/volatile/double_bit/device_memory": "1",
        "clocks_throttle_reasons/clocks_throttle_reason_hw_slowdown": "Active", "power_readings/power_draw": "[Not Supported]",
        "power_readings/enforced_power_limit": "300.00 kW", "retired_pages/double_bit_retirement/retired_count": "5",
    })  # fmt: skip
    assert odd == 1
    assert found == {
        ("gpu_ecc_uncorrected_errors_total", (("location", "sram"), ("retention", "volatile"))): 3.0,
        ("DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", ()): 12.0, ("DCGM_FI_DEV_ECC_DBE_VOL_DEV", ()): 1.0,
        ("gpu_clock_event_active", (("reason", "hardware"),)): 1.0, ("DCGM_FI_DEV_RETIRED_DBE", ()): 5.0,
    }  # fmt: skip


def test_a_card_that_goes_is_an_event_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    lost = card(1).replace("60 C", "GPU is lost")
    trace, counts = written(tmp_path, look(0, card(0), card(1), card(2)) + look(10, card(0), lost, card(2)) + look(20, card(0), card(2, temp=80)))
    assert trace.values("gpu_present", "n017/gpu1") == [1, 0, 0]
    assert trace.values('gpu_temperature_celsius{sensor="gpu"}', "n017/gpu2") == [60, 60, 80]
    assert [(e.subject, e.source, e.code) for e in trace.trace.events()] == [("n017/gpu1", "health", "unhealthy")]
    assert counts["roster"] == 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not XML"),
        (b"Failed to initialize NVML: Driver/library version mismatch", "not XML"),
        (b"<html></html>", "root: element: expected nvidia_smi_log, found html"),
        (f"{HEAD}<nvidia_smi_log>".encode(), "not XML"),
        (b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><nvidia_smi_log>&b;</nvidia_smi_log>', "an entity"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><nvidia_smi_log>&x;</nvidia_smi_log>', "an entity"),
        (b"<nvidia_smi_log>" + b"<a>" * 40, "depth: expected at most 24"),
        (b"<nvidia_smi_log>" + b'<gpu id="1"></gpu>' * 300, "cards: expected at most 256"),
        (b'<?xml version="1.0" encoding="klingon"?><nvidia_smi_log/>', "not XML"),
    ],
)
def test_what_is_no_look_is_one_clear_error(text: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        written(tmp_path, text)
    assert "n017.xml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_loop_that_was_cut_off_keeps_what_is_whole(tmp_path: Path) -> None:
    _, counts = written(tmp_path, (look(0, card(0)) + look(10, card(0)))[:-500])
    assert (counts["looks"], counts["rejected: broken_look"]) == (1, 1)


def test_the_command_line_and_a_replay(tmp_path: Path) -> None:
    (tmp_path / "n1.xml").write_text("".join(look(10 * i, card(0), card(1)) for i in range(5)))
    command = plugins.load("pipelines", "import")
    done = CliRunner().invoke(command, ["nvidiasmi", str(tmp_path / "n1.xml"), "--out", str(tmp_path / "t"), "--step", "10s", "--json"])
    assert done.exit_code == 0, done.output
    assert '"looks": 5' in done.output
    assert replay(tmp_path / "t", settings=Settings()).counts["rows"] == 20


def test_captured_files_of_real_cards(shared: Path, tmp_path: Path) -> None:
    files = sorted((shared / "data" / "fixtures" / "telegraf" / "nvidia_smi" / "testdata").glob("*.xml"))
    if not files:
        pytest.skip("no captured nvidia-smi files")
    trace, counts = imported(plugins.collector("nvidiasmi", files), tmp_path / "t")
    assert counts["looks"] == len(files) == 9
    assert not [k for k in counts if k.startswith("rejected")]
    assert trace.values("gpu_power_watts", "a10g/gpu0") == pytest.approx([25.58])
    assert trace.values("pcie_link_width_lanes", "a10g/gpu0/pcie") == [8]
    assert trace.values('gpu_row_remap_banks{availability="max"}', "a10g/gpu0") == [192]


def test_a_captured_file_of_another_option_is_refused(shared: Path, tmp_path: Path) -> None:
    found = sorted((shared / "data" / "fixtures").rglob("nvidia-smi.nvlink.status.*"))
    if not found:
        pytest.skip("no captured nvidia-smi nvlink files")
    with pytest.raises(InputError, match="not XML"):
        imported(plugins.collector("nvidiasmi", found), tmp_path / "t")


GOOD = tuple(text.encode() for text in (look(0, card(0)), look(0, card(0)) + look(10, card(0, replays=9))))


@MANY
@given(mutated(*GOOD))
def test_no_mutation_crashes_the_parser(data: bytes) -> None:
    xml: Any = __import__("grayscope.collectors._smixml", fromlist=["documents"])
    paths: Any = __import__("grayscope.collectors._smipaths", fromlist=["values"])
    for document, wrong in xml.documents(data, Path("n.xml")):
        assert (document is None) == bool(wrong)
        for one in document.cards if document is not None else ():
            found, odd = paths.values(one.texts)
            assert odd >= 0
            assert np.isfinite(list(found.values())).all()


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(GrayscopeError, match="cannot be read"):
        imported(plugins.collector("nvidiasmi", [tmp_path / "none.xml"]), tmp_path / "t")
