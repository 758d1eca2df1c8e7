"""Write the dashboards' JSON files anew."""

from __future__ import annotations

from pathlib import Path

from grayscope.dashboards import NAMES, generate

if __name__ == "__main__":
    for name in NAMES:
        Path(__file__).with_name(f"{name}.json").write_text(generate(name), "utf-8")
