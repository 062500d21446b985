"""Writes ONNX graphs whole: weights inside, or where one file can't hold them, in a second file beside it.

Knows ONNX's external data, and how both files get their names in the end. Does not know how graphs are made,
nor packs; which place a manifest gives the second file is said in `encoder_artefacts`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnxscript import ir

# One protobuf message, whose format ends at 2 GiB; a graph's nodes need far less than the rest.
SINGLE_FILE_BYTES = 2**31 - 2**20
"""Weights that one ONNX file can hold."""
ALIGNMENT = 4096
"""Where weights begin in the data, so that they can be mapped: onnx/docs/ExternalData.md."""
KEPT_INSIDE_BYTES = 1024
"""Smaller tensors stay in the graph, among them all shapes: readers of a graph alone go by these."""


def data_path(graph: Path) -> Path:
    """The file beside a graph that holds its weights, if one file can't.

    >>> data_path(Path("vision.fp32.onnx")).name
    'vision.fp32.onnx.data'
    """
    return graph.with_name(f"{graph.name}.data")


@contextmanager
def graph_in_place(path: Path) -> Iterator[Path]:
    """A path of the same name in a folder of its own; what is there at the end goes to `path`, whole.

    The data goes first: a graph that has its name has its data. An older graph and its data are replaced.
    """
    folder = path.with_name(f"{path.name}.partial")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    made = folder / path.name
    try:
        yield made
        if data_path(made).exists() or data_path(path).exists():
            # Never an older graph beside newer data.
            path.unlink(missing_ok=True)
            data_path(path).unlink(missing_ok=True)
        if data_path(made).exists():
            data_path(made).replace(data_path(path))
        made.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def graph_from(source: Path, path: Path) -> Iterator[tuple[Path, bool]]:
    """Where to write a graph made from `source`, and whether with external data, as one whose source has it.

    What was written with external data ends up at `path` as any other graph: in one file where one can hold
    it. The maker holds all weights in memory, not this.
    """
    apart = data_path(source).exists()
    with graph_in_place(path) as made:
        loose = made.with_name("loose.onnx") if apart else made
        yield loose, apart
        if apart:
            _settle(loose, made)


def write_graph(model: ir.Model, path: Path) -> None:
    """Write a graph and check it; its large weights go straight from where they are to the data, one by one.

    Where there is data, `model` names it afterwards in the place of the weights.
    """
    if not _fits_one_file(model):
        _set_apart(model, data_path(path))
    onnx.save(ir.to_proto(model), str(path))
    onnx.checker.check_model(str(path), full_check=True)


def _fits_one_file(model: ir.Model) -> bool:
    weights = (value.const_value for value in model.graph.initializers.values())
    return sum(tensor.nbytes for tensor in weights if tensor is not None) <= SINGLE_FILE_BYTES


def _set_apart(model: ir.Model, data: Path) -> None:
    with data.open("xb") as file:
        for name, value in model.graph.initializers.items():
            tensor = value.const_value
            if tensor is None or tensor.nbytes < KEPT_INSIDE_BYTES:
                continue
            file.write(bytes(-file.tell() % ALIGNMENT))
            offset = file.tell()
            file.write(tensor.tobytes())
            value.const_value = ir.ExternalTensor(
                data.name,
                offset,
                file.tell() - offset,
                tensor.dtype,
                shape=ir.Shape(tensor.shape.numpy()),
                name=name,
                base_dir=data.parent,
            )


def _settle(loose: Path, path: Path) -> None:
    """Write a graph with external data again, where and as it is to be."""
    model = ir.load(loose)
    if not _fits_one_file(model):
        write_graph(model, path)
        return
    onnx.save(onnx.load(str(loose)), str(path))
    onnx.checker.check_model(str(path), full_check=True)
