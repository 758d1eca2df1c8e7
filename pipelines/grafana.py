"""Grafana: dashboards as files that a Grafana server reads when it starts."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def command() -> None:
    """Show what grayscope finds in Grafana.

    \b
    Examples:
      grayscope grafana files --out provisioning
      grayscope grafana files --out provisioning --path /etc/grafana/provisioning
    """


@command.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write; other files in it are left alone.")
@click.option("--path", help="Where Grafana will find that folder; --out itself by default.")
@click.option("--folder", default="grayscope", show_default=True, help="Grafana's folder for the dashboards.")
def files(out: Path, path: str | None, folder: str) -> None:
    """Write the dashboards and the provider that reads them; twice is the same as once."""
    import json

    from grayscope.dashboards import NAMES, load
    from grayscope.errors import UsageError

    place = f"{path.rstrip('/') if path else out.resolve()}/dashboards/grayscope"
    # JSON is YAML: quoting is right for every folder's name.
    provider = {"name": "grayscope", "folder": folder, "type": "file", "allowUiUpdates": False, "options": {"path": place}}
    texts = {f"grayscope/{name}.json": json.dumps(load(name), sort_keys=True, indent=1) + "\n" for name in NAMES}
    texts["grayscope.yaml"] = json.dumps({"apiVersion": 1, "providers": [provider]}, indent=1) + "\n"
    for name, text in texts.items():
        target = out / "dashboards" / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            same = target.is_file() and target.read_text("utf-8") == text
            if not same:
                target.write_text(text, "utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{target}: cannot be written: {error}") from error
        click.echo(f"{'=' if same else '+'} {target}")
