"""Write the JSON files of the dashboards and the alert rules anew."""

from __future__ import annotations

from pathlib import Path

from grayscope.dashboards import NAMES, generate, generate_rules

if __name__ == "__main__":
    for name in NAMES:
        Path(__file__).with_name(f"{name}.json").write_text(generate(name), "utf-8")
    Path(__file__).with_name("rules.json").write_text(generate_rules(), "utf-8")
