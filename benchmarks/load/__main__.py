"""The command: each measurement prints one table. Needs requirements-dev.txt and a Chromium."""

import click

from benchmarks.load.folder import folder
from benchmarks.load.hours import hours
from benchmarks.load.log import log
from benchmarks.load.servers import servers
from benchmarks.load.tabs import tabs

main = click.Group(help="Measure the desk under load.")
for command in (tabs, servers, log, folder, hours):
    main.add_command(command)

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.load")
