"""Cli: the ``grayscope`` command; its sub-commands are the pipelines, imported when they are called."""

from __future__ import annotations

import os
import sys

import click

from grayscope import __version__, plugins
from grayscope.errors import GrayscopeError, UsageError


class Lazy(click.Group):
    """A group whose help reads the pipelines' first lines and imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all pipelines."""
        del ctx
        return plugins.names("pipelines")

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one pipeline and return its command; unknown names are answered with the nearest."""
        del ctx
        try:
            command: click.Command = plugins.load("pipelines", cmd_name)
        except UsageError as error:
            raise UsageError(str(error).replace("no pipeline is", "no command is")) from None
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        rows = [(name, plugins.summary("pipelines", name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="grayscope")
def app() -> None:
    """Find what redundancy hides: gray failures of an AI cluster.

    \b
    Examples:
      grayscope demo                                  see the line at work on a generated fleet
      grayscope watch --url http://n017:9400/metrics  watch an exporter live
      grayscope replay mytrace --out results          what would it have said about last month?
    """


def main(argv: list[str] | None = None) -> None:
    """Run the command line; errors are one line on standard error and exit status 2."""
    try:
        status = app.main(args=argv, prog_name="grayscope", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("grayscope: stopped", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except GrayscopeError as error:
        click.echo(f"grayscope: error: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        # The reader of our output has left: nothing to say, and nowhere to say it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(status if isinstance(status, int) else 0)
