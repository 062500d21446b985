"""`emer-edge annotate`: its flags, and the clips of a folder as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from emer_edge.cli.asking_options import asking_options, running_options
from emer_edge.cli.border import debug_option
from emer_edge.cli.eval_options import data_options
from emer_edge.cli.options import PathText, engine_options

if TYPE_CHECKING:
    from emer_edge.cli.carrying import Request
    from emer_edge.evaluate.datasets import DataSet


@click.command(short_help="Label and explain the clips of a whole corpus.")
@click.argument("source", type=PathText(), metavar="SOURCE")
@data_options
@asking_options
@engine_options
@running_options
@debug_option
def annotate(**flags: Any) -> int:
    """Label and explain every clip of a folder or a list; what was done survives any kill.

    SOURCE is a folder of clips, read at any depth, or a csv or jsonl with id and any of media and subtitle
    (or any other data set that `eval run` reads). The output folder gets run.json and outputs.jsonl, one line
    a clip; --parquet writes outputs.parquet as well. The same command goes on where it was ended. With --ray
    the clips are spread over a cluster, whose nodes have to see media and pack under the same paths.

    \b
    Examples:
      emer-edge annotate clips/ -o labels --question labels --max-tokens 0
      emer-edge annotate corpus.csv --media /nfs/corpus --at-once 8 --parquet -o labels
      emer-edge annotate /nfs/corpus --ray 10.0.0.5:6379 --parquet -o labels
    """
    from emer_edge.cli.carrying import Request, annotate

    request = Request.of(flags)
    return annotate(request, _rows(request))


def _rows(request: Request) -> DataSet:
    from pathlib import Path

    from emer_edge.cli.carrying import with_media
    from emer_edge.cli.eval_options import take_data
    from emer_edge.evaluate.datasets_media import folder_of_clips

    source = Path(request.flags["source"])
    if source.is_dir() and not request.flags["kind"]:
        return folder_of_clips(source).only("", request.flags["limit"])
    return with_media(take_data(str(source), request.flags), request)
