"""Writes the two functions of `steps` as ONNX: encoder.onnx and step.onnx, with any number and length of sentences.

    encoder    source, source_mask                                  ->  memory.…, state.…
    step       token, source_mask, memory.…, state.…                ->  logits, weights, next.state.…

The names of memory and state are those of the dataclasses' fields, and every tensor's first dimension is the batch.
What the encoder and each step return goes into the next step under the same name, so a program that runs the graphs
need not know the architecture. Without attention there are no weights.

Shapes: N hypotheses, S source positions, D hidden size, E input size, G gates.
"""

from __future__ import annotations

import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from nmt.export.steps import RecurrentSteps, Steps
from nmt.export.transformer_steps import DecoderOnlySteps, LinearSteps, TransformerSteps
from nmt.models import DecoderOnly, LinearTransformer, Transformer
from nmt.models.attention import largest_window
from nmt.models.recurrent import BidirectionalEncoder, RecurrentSeq2Seq
from nmt.models.seq2seq import Memory, Seq2Seq

ENCODER_FILE, STEP_FILE = "encoder.onnx", "step.onnx"
"""The graphs in an exported folder."""

OPSET = 20
"""The version of ONNX's operators."""

NEXT = "next."
"""Begins the names of the states that a step returns; a graph's inputs and outputs have different names."""

Tensors = dict[str, Tensor]
"""Tensors by their names in a graph."""


def write_graphs(model: Seq2Seq[Any, Any], folder: Path) -> None:
    """Writes both graphs of a model into a folder.

    Args:
        model: in evaluation mode; it is changed, and of no further use.
        folder: exists.
    """
    if isinstance(model, RecurrentSeq2Seq):
        model.encoder = cast(BidirectionalEncoder, OnnxEncoder(model.encoder))
    steps = make_steps(model)
    with torch.no_grad():
        length = choose_length(model)
        encoder, small, large = EncoderGraph(steps), make_source(3, length), make_source(4, length + 1)
        write_graph(encoder, small, large, folder / ENCODER_FILE)
        step = StepGraph(steps, *steps.encode(**small))
        inputs, others = step_inputs(encoder, step, small, 2), step_inputs(encoder, step, large, 3)
        write_graph(step, inputs, others, folder / STEP_FILE)


def make_steps(model: Seq2Seq[Any, Any]) -> Steps[Any, Any]:
    """The functions of a model, which must be in evaluation mode."""
    if isinstance(model, RecurrentSeq2Seq):
        return RecurrentSteps(model)
    if isinstance(model, DecoderOnly):
        return DecoderOnlySteps(model)
    if isinstance(model, LinearTransformer):
        return LinearSteps(model)
    assert isinstance(model, Transformer), f"no steps for a {type(model).__name__}"
    return TransformerSteps(model)


def choose_length(model: nn.Module) -> int:
    """Number of source positions for tracing: three blocks of sparse attention, since a graph traced with one block
    takes no more."""
    return 2 * largest_window(model) + 5


def make_source(num_sentences: int, length: int) -> Tensors:
    """Inputs of the encoder for tracing: any sentences, which have no padding."""
    source = torch.ones(num_sentences, length, dtype=torch.int64)  # (N, S)
    return {"source": source, "source_mask": torch.ones_like(source, dtype=torch.bool)}  # (N, S)


def step_inputs(encoder: EncoderGraph, step: StepGraph, source: Tensors, num_tokens: int) -> Tensors:
    """Inputs of the step for tracing, after some target tokens."""
    inputs = {"token": source["source"][:, 0], "source_mask": source["source_mask"], **encoder.run(source)}
    for _ in range(num_tokens):
        outputs = step.run(inputs)
        inputs |= {name.removeprefix(NEXT): tensor for name, tensor in outputs.items() if name.startswith(NEXT)}
    return {name: tensor.contiguous() for name, tensor in inputs.items()}  # a graph's inputs have no strides


class Graph(nn.Module, ABC):
    """A function of tensors that have names."""

    @abstractmethod
    def run(self, tensors: Tensors) -> Tensors:
        """The outputs by their names."""

    def forward(self, tensors: Tensors) -> tuple[Tensor, ...]:
        return tuple(self.run(tensors).values())


class EncoderGraph(Graph):
    """The encoder."""

    def __init__(self, steps: Steps[Any, Any]) -> None:
        super().__init__()
        self.steps = steps

    def run(self, tensors: Tensors) -> Tensors:
        memory, state = self.steps.encode(tensors["source"], tensors["source_mask"])
        named = flatten(memory, "memory") | flatten(state, "state")
        del named["memory.source_mask"]  # a step has it as an input of its own
        return named


class StepGraph(Graph):
    """A decoding step.

    Args:
        steps: of the model.
        memory, state: of any sentences; the inputs replace their tensors.
    """

    def __init__(self, steps: Steps[Any, Any], memory: Memory, state: Any) -> None:
        super().__init__()
        self.steps = steps
        self.memory = memory
        self.state = state

    def run(self, tensors: Tensors) -> Tensors:
        tensors = {**tensors, "memory.source_mask": tensors["source_mask"]}
        memory, state = replace_tensors(self.memory, "memory", tensors), replace_tensors(self.state, "state", tensors)
        step = self.steps.step(tensors["token"], state, memory)
        weights = {} if step.weights is None else {"weights": step.weights}
        return {"logits": step.logits, **weights, **flatten(step.state, f"{NEXT}state")}


class OnnxEncoder(nn.Module):
    """The encoder of recurrent models, by ONNX's own LSTM or GRU; see `BidirectionalEncoder`.

    torch's exporter would write a loop over the positions. ONNX's operator runs both directions, and turns each
    sentence around within its own length.
    """

    def __init__(self, encoder: BidirectionalEncoder) -> None:
        super().__init__()
        self.layers = [
            OnnxLayer(cast("nn.LSTM | nn.GRU", forwards), cast("nn.LSTM | nn.GRU", backwards))
            for forwards, backwards in zip(encoder.forwards, encoder.backwards, strict=True)
        ]

    def forward(self, inputs: Tensor, source_mask: Tensor) -> tuple[Tensor, Tensor]:
        lengths = source_mask.sum(1).to(torch.int32)  # (N,)
        outputs, last = inputs.transpose(0, 1), inputs  # (S, N, E)
        for layer in self.layers:
            outputs, last = layer(outputs, lengths)  # (S, N, D), (2, N, D/2)
        return outputs.transpose(0, 1), last.transpose(0, 1).flatten(1)  # (N, S, D), (N, D)


class OnnxLayer(nn.Module):
    """One layer in both directions.

    https://onnx.ai/onnx/operators/onnx__LSTM.html, https://onnx.ai/onnx/operators/onnx__GRU.html
    """

    weights: Tensor
    recurrent: Tensor
    biases: Tensor

    def __init__(self, forwards: nn.LSTM | nn.GRU, backwards: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.operator = "LSTM" if isinstance(forwards, nn.LSTM) else "GRU"
        self.hidden_size = forwards.hidden_size  # D/2
        weights, recurrent, biases = [], [], []
        for layer in (forwards, backwards):
            weight, recurrent_weight, bias, recurrent_bias = map(self.reorder_gates, layer.all_weights[0])
            weights.append(weight)  # (G·D/2, E)
            recurrent.append(recurrent_weight)  # (G·D/2, D/2)
            biases.append(torch.cat([bias, recurrent_bias]))  # (2·G·D/2,)
        self.register_buffer("weights", torch.stack(weights))  # (2, G·D/2, E)
        self.register_buffer("recurrent", torch.stack(recurrent))  # (2, G·D/2, D/2)
        self.register_buffer("biases", torch.stack(biases))  # (2, 2·G·D/2)

    def reorder_gates(self, weight: Tensor) -> Tensor:
        """From torch's order of gates to ONNX's: input, output, forget, candidate; or update, reset, candidate."""
        order = (0, 3, 1, 2) if self.operator == "LSTM" else (1, 0, 2)
        gates = weight.chunk(len(order))
        return torch.cat([gates[number] for number in order])

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (S, N, D), and the last ones of each direction (2, N, D/2), of inputs (S, N, E)."""
        length, num_sentences, _ = inputs.shape
        attributes: dict[str, Any] = {"hidden_size": self.hidden_size, "direction": "bidirectional"}
        if self.operator == "GRU":
            attributes["linear_before_reset"] = 1  # the reset gate after the product, as in torch
        last = (2, num_sentences, self.hidden_size)
        outputs, hidden, *_ = torch.onnx.ops.symbolic_multi_out(
            self.operator,
            (inputs, self.weights, self.recurrent, self.biases, lengths),
            attributes,
            dtypes=(inputs.dtype,) * 2,
            shapes=((length, 2, num_sentences, self.hidden_size), last),
            version=OPSET,
        )
        return outputs.transpose(1, 2).flatten(2), hidden  # (S, N, D), (2, N, D/2)


def write_graph(graph: Graph, inputs: Tensors, others: Tensors, path: Path) -> None:
    """Writes a graph as ONNX.

    Args:
        inputs: an example of its inputs.
        others: another example; every axis in whose size both differ has any size in the graph.
        path: of the file.
    """
    axes = {
        name: [axis for axis in range(each.dim()) if each.size(axis) != others[name].size(axis)]
        for name, each in inputs.items()
    }
    sizes = {name: dict.fromkeys(each, torch.export.Dim.DYNAMIC) for name, each in axes.items()}
    with silenced():
        program = torch.onnx.export(
            graph.eval(),
            kwargs={"tensors": inputs},
            dynamo=True,
            dynamic_shapes={"tensors": sizes},
            input_names=list(inputs),
            output_names=list(graph.run(inputs)),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    program.save(str(path))


@contextmanager
def silenced() -> Iterator[None]:
    """Without the warnings of torch's exporter, which are about its own code and about packages that are not needed."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def flatten(value: Any, name: str) -> Tensors:
    """The tensors in a dataclass or tuple, by the names of its fields or its numbers: `memory.keys.0`."""
    if isinstance(value, Tensor):
        return {name: value}
    tensors: Tensors = {}
    for key, item in parts(value):
        tensors |= flatten(item, f"{name}.{key}")
    return tensors


def replace_tensors(value: Any, name: str, tensors: Tensors) -> Any:
    """A copy of a dataclass or tuple with the tensors of these names, as `flatten` names them."""
    if isinstance(value, Tensor):
        return tensors[name]
    replaced = [replace_tensors(item, f"{name}.{key}", tensors) for key, item in parts(value)]
    if isinstance(value, tuple):
        return tuple(replaced)
    return value if value is None else type(value)(*replaced)


def parts(value: Any) -> Iterator[tuple[str, Any]]:
    """The names and values of the fields of a dataclass, or of the items of a tuple; None has none."""
    if isinstance(value, tuple):
        yield from ((str(index), item) for index, item in enumerate(value))
    elif is_dataclass(value):
        yield from ((field.name, getattr(value, field.name)) for field in fields(value))
