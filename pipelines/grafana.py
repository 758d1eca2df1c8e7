"""Grafana: dashboards put in place, through its HTTP interface or as files that it reads when it starts."""

from __future__ import annotations

from pathlib import Path

import click

SIGNS = {"created": "+", "updated": "~", "same": "=", "kept": "!", "checked": "="}


@click.group()
def command() -> None:
    """Show what grayscope finds in Grafana.

    \b
    Examples:
      grayscope grafana apply --url http://grafana:3000 --dry-run
      grayscope grafana files --out provisioning
      grayscope grafana files --out provisioning --path /etc/grafana/provisioning --datasource prom1
    """


@command.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write; other files in it are left alone.")
@click.option("--path", help="Where Grafana will find that folder; --out itself by default.")
@click.option("--folder", default="grayscope", show_default=True, help="Grafana's folder for the dashboards.")
@click.option("--datasource", default="", help="uid of the Prometheus data source: writes the alert rules too.")
@click.option("--paths", type=click.Choice(("push", "rules")), default="push", show_default=True, help="Rules for grayscope's own health, or for faults too.")
@click.option("--runbooks", default="docs/runbooks", show_default=True, help="Address under which the pages of what to do are.")
def files(out: Path, path: str | None, folder: str, datasource: str, paths: str, runbooks: str) -> None:
    """Write the dashboards, the provider that reads them, and with --datasource the alert rules; twice is the same as once."""
    import json

    from grayscope.dashboards import NAMES, load
    from grayscope.errors import UsageError

    from ._grafanarules import provisioned

    place = f"{path.rstrip('/') if path else out.resolve()}/dashboards/grayscope"
    # JSON is YAML: quoting is right for every folder's name.
    provider = {"name": "grayscope", "folder": folder, "type": "file", "allowUiUpdates": False, "options": {"path": place}}
    texts = {f"dashboards/grayscope/{name}.json": json.dumps(load(name), sort_keys=True, indent=1) + "\n" for name in NAMES}
    texts["dashboards/grayscope.yaml"] = json.dumps({"apiVersion": 1, "providers": [provider]}, indent=1) + "\n"
    if datasource:
        texts["alerting/grayscope.yaml"] = json.dumps(provisioned(paths, datasource, runbooks, folder), sort_keys=True, indent=1) + "\n"
    for name, text in texts.items():
        target = out / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            same = target.is_file() and target.read_text("utf-8") == text
            if not same:
                target.write_text(text, "utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{target}: cannot be written: {error}") from error
        click.echo(f"{'=' if same else '+'} {target}")


@command.command()
@click.option("--url", envvar="GRAYSCOPE_GRAFANA_URL", required=True, help="Grafana's start page; also GRAYSCOPE_GRAFANA_URL.")
@click.option(
    "--token", default="", help="Token of a service account (role Editor). Better in GRAYSCOPE_GRAFANA_TOKEN or a file: command lines are seen by all."
)
@click.option("--token-file", envvar="GRAYSCOPE_GRAFANA_TOKEN_FILE", default="", help="File that holds the token; also GRAYSCOPE_GRAFANA_TOKEN_FILE.")
@click.option("--ca", default="", help="File with the certificates to trust.")
@click.option("--timeout", type=click.FloatRange(0.1, 600), default=10.0, show_default=True, help="Seconds to wait for an answer.")
@click.option("--folder", default="grayscope", show_default=True, help="Title of Grafana's folder, where it is made.")
@click.option("--datasource", default="", help="Name or uid of the Prometheus data source; the default one otherwise.")
@click.option("--rules/--no-rules", "with_rules", default=True, help="Alert rules too (default), or none: for those who let Prometheus evaluate them.")
@click.option(
    "--paths", type=click.Choice(("push", "rules")), default="push", show_default=True, help="push: rules for grayscope's own health; rules: for faults too."
)
@click.option("--runbooks", default="docs/runbooks", show_default=True, help="Address under which the pages of what to do are.")
@click.option("--contact-point", "contact", default="", help="Contact point that gets the alerts; without it Grafana's policies decide.")
@click.option("--contact-webhook", "webhook", default="", help="Make that contact point, posting to this URL, where there is none.")
@click.option("--force", is_flag=True, help="Overwrite what a person changed.")
@click.option("--dry-run", is_flag=True, help="Show what would change; write nothing.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything changes or is kept from changing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def apply(
    url: str, token: str, token_file: str, ca: str, timeout: float, folder: str, datasource: str, with_rules: bool,
    paths: str, runbooks: str, contact: str, webhook: str, force: bool, dry_run: bool, exit_code: bool, as_json: bool,
) -> None:  # fmt: skip
    """Put the dashboards and alert rules in place through Grafana's HTTP interface; twice is the same as once.

    What a person saved there is kept and named; --force overwrites it (Grafana's history keeps it).

    \b
    Examples:
      grayscope grafana apply --url http://grafana:3000 --dry-run
      GRAYSCOPE_GRAFANA_TOKEN=glsa_… grayscope grafana apply --url http://grafana:3000
      grayscope grafana apply --url https://grafana.example.org/sub --token-file /run/secrets/grafana --json
      grayscope grafana apply --url http://grafana:3000 --paths rules --contact-point oncall
    """
    import dataclasses
    import itertools
    import json
    import sys

    from grayscope.errors import UsageError
    from grayscope.grafana import Server

    from ._grafanaapply import Apply
    from ._grafanarules import rules

    if (contact or webhook) and not (with_rules and contact):
        raise UsageError("--contact-webhook needs --contact-point, and both need the rules")
    server = Server(url, token=token, token_file=token_file, timeout=timeout, ca=ca)
    steps = []
    try:
        to = Apply(server, folder, datasource, force=force, dry_run=dry_run)
        for step in itertools.chain(to.dashboards(), rules(to, paths, runbooks, contact, webhook) if with_rules else ()):
            steps.append(step)
            if not as_json:
                click.echo(f"{SIGNS[step.done]} {step.kind} {step.name}{f': {step.why}' if step.why else ''}")
                for line in step.diff:
                    click.secho(f"    {line}", fg="red" if line[0] == "-" else "green" if line[0] == "+" else None)
    finally:
        server.close()
    if as_json:
        click.echo(json.dumps({"grafana": server.url, "dry_run": dry_run, "steps": [dataclasses.asdict(s) for s in steps]}))
    elif dry_run:
        click.echo("nothing was written (--dry-run)")
    if exit_code and any(s.done not in ("same", "checked") for s in steps):
        sys.exit(1)
