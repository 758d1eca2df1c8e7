"""Rules: write alerting rules for Prometheus, their tests, and the routing for Alertmanager."""

from __future__ import annotations

import json
from pathlib import Path

import click

from grayscope.alertrules import PATHS

#: Where the pages are that tell what to do, if nobody says.
RUNBOOKS = "docs/runbooks"


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the files; made if need be.")
@click.option("--paths", type=click.Choice(PATHS), help="Who tells of faults: push (receivers, the default) or rules; as in the settings.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file.")
@click.option("--runbooks", default=RUNBOOKS, show_default=True, help="Address under which the pages of what to do are.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(out: Path, paths: str | None, config: Path | None, runbooks: str, as_json: bool) -> None:
    """Write grayscope.rules.yml, and alertmanager.yml with routes and inhibitions to merge into yours.

    With --paths push the rules tell of grayscope's own health only, for the faults are pushed; with rules they tell of the faults too.

    \b
    Examples:
      grayscope rules --out deploy
      grayscope rules --out deploy --paths rules --runbooks https://wiki.example/grayscope
    """
    from grayscope.alertrules import ROUTING, rules
    from grayscope.errors import GrayscopeError
    from grayscope.settings import load_settings

    how = paths or load_settings(config).paths
    files = {"grayscope.rules.yml": text(how, runbooks), "alertmanager.yml": ROUTING}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_text(content, "utf-8")
    except OSError as error:
        raise GrayscopeError(f"{out}: cannot be written: {error.strerror}") from error
    written = [str(out / name) for name in files]
    click.echo(json.dumps({"paths": how, "files": written, "rules": len(rules(how))}) if as_json else "\n".join(written))


def text(paths: str, runbooks: str) -> str:
    """Return the rule file; every string is quoted as JSON is, which YAML reads the same."""
    from grayscope.alertrules import FAULTS, HEALTH

    lines = ["# Written by grayscope rules. Check: promtool check rules grayscope.rules.yml", "groups:"]
    for name, group in (("grayscope", HEALTH), ("grayscope faults", FAULTS if paths == "rules" else ())):
        lines += [f"- name: {name}", "  interval: 30s", "  rules:"] if group else []
        for rule in group:
            labels = {"severity": rule.severity, **rule.labels}
            words = {"summary": rule.summary, "description": rule.description, "runbook_url": f"{runbooks.rstrip('/')}/{rule.runbook}"}
            lines += [f"  - alert: {rule.name}", f"    expr: {json.dumps(rule.expr)}", f"    for: {rule.hold}"]
            for head, pairs in (("labels", labels), ("annotations", words)):
                lines += [f"    {head}:", *(f"      {k}: {json.dumps(v, ensure_ascii=False)}" for k, v in pairs.items())]
    return "\n".join(lines) + "\n"
