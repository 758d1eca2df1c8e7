"""What all dashboards share: variables, links between them, and the incidents as annotations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import DataSourceRef

from grayscope.dashboards import uid
from grayscope.dashboards._panels import SOURCE

OWN = DataSourceRef(type_val="grafana", uid="-- Grafana --")


def asked(name: str, label: str, query: str, *, everything: bool = False) -> Any:
    """Return a variable whose values a query gives; `everything` allows several and begins with all."""
    variable = dashboard.QueryVariable(name).label(label).datasource(SOURCE).refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    variable.query({"query": query, "refId": name}).sort(models.VariableSort.NATURAL_ASC)
    if everything:
        variable.include_all(True).all_value(".*").multi(True).current(models.VariableOption(text="All", value="$__all"))
    return variable


def board(name: str, title: str, says: str, variables: Iterable[Any], *, past: str = "now-6h") -> Any:
    """Return an empty dashboard with the data source, the cluster and the variables named."""
    made = dashboard.Dashboard(f"grayscope / {title}").uid(uid(name)).description(says).tags(["grayscope"]).editable()
    made.time(past, "now").refresh("1m").timezone("browser").tooltip(models.DashboardCursorSync.CROSSHAIR)
    made.with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    made.with_variable(asked("cluster", "Cluster", "label_values(grayscope_last_tick_timestamp_seconds, cluster)", everything=True))
    for variable in variables:
        made.with_variable(variable)
    link = dashboard.DashboardLink("grayscope").type(models.DashboardLinkType.DASHBOARDS).tags(["grayscope"])
    made.link(link.as_dropdown(True).keep_time(True).include_vars(True).icon("external link").tooltip("The other dashboards, with the same time"))
    tags = {"limit": 100, "matchAny": False, "tags": ["grayscope"], "type": "tags"}
    return made.annotation(_Incidents().name("Incidents").datasource(OWN).enable(True).icon_color("red").tags(tags))


class _Incidents(dashboard.AnnotationQuery):
    """Annotations by tag: the generator's query knows panels only, the schema also tags."""

    def tags(self, target: dict[str, Any]) -> _Incidents:
        self._internal.target = target  # type: ignore[assignment]
        return self
