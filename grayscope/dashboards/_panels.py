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
#: One of several clocks and sensors of a GPU; an import may have one without a label.
CLOCK, HEAT = 'gpu_clock_hertz{domain=~"sm|"}', 'gpu_temperature_celsius{sensor=~"gpu|"}'
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


def of_each(metric: str, match: str, *, rate: bool = False, by: str = "subject") -> str:
    """Return one value of a metric per subject: the greatest of its series.

    Examples
    --------
    >>> of_each('gpu_clock_hertz{domain="sm"}', 'subject="a"')
    'max by (subject) (gpu_clock_hertz{domain="sm",subject="a"})'
    """
    name, _, inner = metric.partition("{")
    chosen = ",".join(x for x in (inner.rstrip("}"), match) if x)
    series = f"{name}{{{chosen}}}" if chosen else name
    return f"max by ({by}) (rate({series}[$__rate_interval]))" if rate else f"max by ({by}) ({series})"


def or_none(expr: str, where: str) -> str:
    """Return a count that is 0 where nothing is counted, and nothing only where no detector runs.

    Examples
    --------
    >>> or_none("count(x)", 'cluster="c"')
    'count(x) or 0 * max(grayscope_build_info{cluster="c"})'
    """
    return f"{expr} or 0 * max(grayscope_build_info{{{where}}})"


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


def band(number: int, title: str, says: str, metric: str, *, unit: str, nothing: str, width: int = 12, rate: bool = False,
         peers: str = "sku", me: str = "subject") -> Any:  # fmt: skip
    """Return the suspect on top of the band of its peers (5th to 95th percentile) and their median.

    Peers are all that have the suspect's values of the labels `peers`; they are matched in the query, so that no further variable is needed. `me` is the
    label by which the suspect's GPU is found. Of several series of one subject the greatest is taken.
    """
    own, all_ = (of_each(metric, match, rate=rate, by=f"{me}, {peers}") for match in (f'{me}="$gpu"', ""))
    same = f"({all_} and on({peers}) group by ({peers}) ({own}))"
    asked = [
        (f"quantile(0.05, {same})", "peers, 5th percentile"),
        (f"quantile(0.95, {same})", "peers, 95th percentile"),
        (f"quantile(0.5, {same})", "peers, median"),
        (own, "$gpu"),
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
