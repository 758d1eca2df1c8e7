"""The few kinds of panel that the dashboards are made of, each with a unit, thresholds and a text for no data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import bargauge, dashboard, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.common import GraphThresholdsStyleConfig, ReduceDataOptions
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    DataSourceRef,
    GraphThresholdsStyleMode,
    VisibilityMode,
    VizOrientation,
)  # fmt: skip
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
#: Colours by what they mean; the text says it too, for who sees no colour.
CALM, TICKET, PAGE, UNKNOWN = "green", "orange", "red", "gray"
#: One number per state, so that a time line can show them; worst highest.
STATES = {"unknown": (1, UNKNOWN), "masked": (2, TICKET), "gray": (3, PAGE), "failed": (4, "dark-red")}
#: Leads from a subject in a table to the incident dashboard, with the same time.
SHOW = "/d/grayscope-incident?var-subject=${__value.raw:percentencode}&${datasource:queryparam}&${__url_time_range}"
Steps = Sequence[tuple[float | None, str]]
Asked = str | Sequence[tuple[str, str]]


def thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    """Return thresholds: (from this value on, colour), the first from None."""
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps([models.Threshold(v, c) for v, c in steps])


def _targets(panel: Any, asked: Asked, *, instant: bool = False, as_table: bool = False) -> Any:
    pairs = [(asked, "__auto")] if isinstance(asked, str) else asked
    for n, (expr, legend) in enumerate(pairs):
        query = prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(chr(65 + n)).datasource(SOURCE)
        query = query.instant() if instant else query.range()
        panel.with_target(query.format(PromQueryFormat.TABLE) if as_table else query)
    return panel


def _frame(panel: Any, number: int, title: str, says: str, width: int, height: int, unit: str, nothing: str, steps: Steps) -> Any:
    panel.id(number).title(title).description(says).datasource(SOURCE).span(width).height(height)
    return panel.unit(unit).no_value(nothing).thresholds(thresholds(steps))


def line(number: int, title: str, says: str, asked: Asked, *, width: int = 12, height: int = 8, unit: str = "short",
         nothing: str = "no data", steps: Steps = ((None, CALM),), low: float | None = None, high: float | None = None) -> Any:  # fmt: skip
    """Return lines over time; thresholds beyond the first are drawn as lines."""
    panel = _targets(_frame(timeseries.Panel(), number, title, says, width, height, unit, nothing, steps), asked)
    if len(steps) > 1:
        panel.thresholds_style(GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    for setter, value in ((panel.min, low), (panel.max, high)):
        if value is not None:
            setter(value)
    return panel.show_points(VisibilityMode.AUTO)


def band(number: int, title: str, says: str, metric: str, *, unit: str, nothing: str, width: int = 12, rate: bool = False, group: str = "sku") -> Any:
    """Return the suspect on top of the band of its peers (5th to 95th percentile) and their median.

    Peers are all subjects with the suspect's value of `group`; the label is matched in the query, so that no second variable is needed.
    """
    own, all_ = (f"rate({m}[$__rate_interval])" if rate else m for m in (f'{metric}{{subject="$subject"}}', metric))
    same = f'({all_} and on({group}) group by ({group}) ({metric}{{subject="$subject"}}))'
    asked = [
        (f"quantile(0.05, {same})", "peers, 5th percentile"),
        (f"quantile(0.95, {same})", "peers, 95th percentile"),
        (f"quantile(0.5, {same})", "peers, median"),
        (own, "$subject"),
    ]
    panel = line(number, title, says, asked, unit=unit, nothing=nothing, width=width)
    value = models.DynamicConfigValue
    panel.override_by_name("peers, 5th percentile", [value("custom.lineWidth", 0)])
    panel.override_by_name("peers, 95th percentile", [
        value("custom.lineWidth", 0), value("custom.fillBelowTo", "peers, 5th percentile"), value("custom.fillOpacity", 25),
        value("color", {"mode": "fixed", "fixedColor": "blue"}),
    ])  # fmt: skip
    panel.override_by_name(
        "peers, median", [value("color", {"mode": "fixed", "fixedColor": "blue"}), value("custom.lineStyle", {"fill": "dash", "dash": [6, 6]})]
    )
    return panel.override_by_query("D", [value("color", {"mode": "fixed", "fixedColor": PAGE}), value("custom.lineWidth", 3)])


def number(ident: int, title: str, says: str, expr: str, *, width: int = 4, unit: str = "short", nothing: str = "none", steps: Steps = ((None, CALM),)) -> Any:
    """Return one number with its recent course."""
    panel = _targets(_frame(stat.Panel(), ident, title, says, width, 4, unit, nothing, steps), expr)
    panel.color_mode(BigValueColorMode.BACKGROUND).graph_mode(BigValueGraphMode.AREA)
    return panel.reduce_options(ReduceDataOptions().calcs(["lastNotNull"]).values(False))


def states(ident: int, title: str, says: str, where: str, *, width: int = 24, height: int = 8) -> Any:
    """Return the states of subjects over time, by name and colour."""
    asked = [("max by (subject) (" + " or ".join(
        f'label_replace({n} * max by (subject) (grayscope_subject_state{{{where},state="{s}"}}), "state", "{s}", "", "")' for s, (n, _) in STATES.items()
    ) + ")", "{{subject}}")]  # fmt: skip
    panel = _frame(statetimeline.Panel(), ident, title, says, width, height, "short", "all normal", ((None, CALM),))
    options = {str(n): models.ValueMappingResult(text=s, color=c, index=i) for i, (s, (n, c)) in enumerate(STATES.items())}
    panel.mappings([models.ValueMap(options=options)]).show_value(VisibilityMode.ALWAYS).merge_values(True).fill_opacity(80)
    return _targets(panel, asked)


def listing(ident: int, title: str, says: str, expr: str, columns: dict[str, str], *, width: int = 24, height: int = 8, unit: str = "short",
            nothing: str = "none", link: tuple[str, str] | None = None, steps: Steps = ((None, CALM),)) -> Any:  # fmt: skip
    """Return a table of the latest values: label -> heading in order; `link` leads from a column to an address."""
    panel = _targets(_frame(table.Panel(), ident, title, says, width, height, unit, nothing, steps), expr, instant=True, as_table=True)
    organise: dict[str, Any] = {
        "renameByName": columns, "indexByName": {name: n for n, name in enumerate(columns)}, "includeByName": dict.fromkeys(columns, True),
    }  # fmt: skip
    panel.with_transformation(models.DataTransformerConfig(id_val="organize", options=organise))
    if link is not None:
        column, url = link
        panel.override_by_name(column, [models.DynamicConfigValue("links", [{"title": "Show it", "url": url}])])
    return panel


def bars(ident: int, title: str, says: str, expr: str, legend: str, *, width: int = 12, height: int = 8, unit: str = "percentunit", nothing: str = "none",
         steps: Steps = ((None, CALM),), low: float = 0, high: float | None = 1) -> Any:  # fmt: skip
    """Return one horizontal bar per series, latest value."""
    panel = _targets(_frame(bargauge.Panel(), ident, title, says, width, height, unit, nothing, steps), [(expr, legend)], instant=True).min(low)
    if high is not None:
        panel.max(high)
    panel.orientation(VizOrientation.HORIZONTAL).display_mode(BarGaugeDisplayMode.BASIC)
    return panel.reduce_options(ReduceDataOptions().calcs(["lastNotNull"]).values(False))
