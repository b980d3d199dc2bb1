"""A sentence splitter for packages of Argos Translate, which would download one otherwise, and fail offline.

Argos runs MiniSBD, whose models are ONNX files. A model reads characters as numbers and scores three possibilities for
each: no end, the end of a token, the end of a sentence. This one is no neural network but three rules:

- A sentence ends with ".", "!", "?", "…" or the like, and with two quotes or brackets that follow directly.
- White space or the end of the text must follow. It is no end if a lower-case letter comes next, as in "e.g. this".
- "。", "！", "？" and "｡" end a sentence wherever they stand.

Shapes: B texts in a batch, T characters.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx import NodeProto

PAD = "<PAD>"
"""What stands for the end of a text; MiniSBD has a unit for characters that are not listed, too."""

ENDS, WIDE_ENDS, CLOSING = ".!?…।؟۔", "。！？｡", "\"'”’»)]›“"
LOWER_CASE = "".join(filter(str.islower, map(chr, range(0x2000))))  # Latin, Greek, Cyrillic and others
MAX_CLOSING = 2
"""Number of quotes or brackets that belong to the sentence before them."""

UNITS = [PAD, "<UNK>", " ", *ENDS, *WIDE_ENDS, *CLOSING, *LOWER_CASE]
"""What the model distinguishes; the index in this list is the number that it reads."""

CONFIG = {
    "skip_newline": False,
    "max_seqlen": 1000,
    "no_ssplit": False,
    "batch_size": 1,
    "feat_funcs": ["end_of_para"],
    "use_dictionary": False,
    "num_dict_feat": 0,
}
"""How MiniSBD prepares a text."""


def write_splitter(path: Path, language: str) -> None:
    """Writes the splitter as an ONNX file; `language` is the code of the language."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def is_one_of(units: str | list[str]) -> Any:
        return np.array([unit in units for unit in UNITS], np.float32)  # (number of units,)

    constants: dict[str, Any] = {
        "end_units": is_one_of([*ENDS]),
        "wide_units": is_one_of([*WIDE_ENDS]),
        "closing_units": is_one_of([*CLOSING]),
        "gap_units": is_one_of([" ", PAD]),
        "lower_units": is_one_of([*LOWER_CASE]),
        "zero": np.float32(0),
        "one": np.float32(1),
        "half": np.float32(0.5),
        "characters_axis": np.array([1]),
        "scores_axis": np.array([2]),
        "everything": np.array([2**31]),
    }
    for distance in (1, 2):
        constants[f"from_{distance}"] = np.array([distance])
        constants[f"pad_{distance}_after"] = np.array([0, 0, 0, distance])
    constants |= {"from_0": np.array([0]), "to_last": np.array([-1]), "pad_1_before": np.array([0, 1, 0, 0])}
    graph = helper.make_graph(
        list_nodes(),
        "sentences",
        [
            helper.make_tensor_value_info("units", TensorProto.INT64, ["B", "T"]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["B", "T", "F"]),
        ],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["B", "T", 3])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    numbers = {unit: index for index, unit in enumerate(UNITS)}
    vocabulary = {"lang": language, "idx": 0, "cutoff": 0, "lower": False, "_id2unit": UNITS, "_unit2id": numbers}
    properties = {"config": json.dumps(CONFIG), "vocab": json.dumps(vocabulary, ensure_ascii=False)}
    helper.set_model_props(model, {"lang_code": language, **properties})
    onnx.checker.check_model(model)
    onnx.save(model, path)


def list_nodes() -> list[NodeProto]:
    """The rules as operations on (B, T) tensors with a 1 for each character that has a property."""
    from onnx.helper import make_node

    nodes = [
        make_node("Gather", [f"{kind}_units", "units"], [kind]) for kind in ("end", "wide", "closing", "gap", "lower")
    ]

    def shift_left(kind: str, distance: int, fill: str) -> None:
        """Whether the character at a distance to the right is of a kind."""
        nodes.append(make_node("Slice", [kind, f"from_{distance}", "everything", "characters_axis"], [f"{kind}_cut"]))
        nodes.append(make_node("Pad", [f"{kind}_cut", f"pad_{distance}_after", fill], [f"{kind}_later"]))

    # A sentence can end at a stop, or at a closing quote or bracket that follows one …
    stop = "end"
    for _ in range(MAX_CLOSING):
        nodes.append(make_node("Slice", [stop, "from_0", "to_last", "characters_axis"], [f"{stop}_but_last"]))
        nodes.append(make_node("Pad", [f"{stop}_but_last", "pad_1_before", "zero"], [f"{stop}_before"]))
        nodes.append(make_node("Mul", ["closing", f"{stop}_before"], [f"closing_after_{stop}"]))
        nodes.append(make_node("Max", [stop, f"closing_after_{stop}"], [f"{stop}_or_closing"]))
        stop = f"{stop}_or_closing"
    # … if a gap follows, and no lower-case letter after the gap.
    shift_left("gap", 1, "one")
    shift_left("lower", 2, "zero")
    nodes.append(make_node("Mul", [stop, "gap_later"], ["stop_before_gap"]))
    nodes.append(make_node("Sub", ["one", "lower_later"], ["not_lower"]))
    nodes.append(make_node("Mul", ["stop_before_gap", "not_lower"], ["spaced_end"]))
    nodes.append(make_node("Max", ["spaced_end", "wide"], ["sentence_end"]))
    # The scores of the three possibilities: 1/2, 0, and 1 where a sentence ends.
    nodes.append(make_node("Mul", ["end", "zero"], ["zeros"]))
    nodes.append(make_node("Add", ["zeros", "half"], ["halves"]))
    names = ("halves", "zeros", "sentence_end")
    nodes += [make_node("Unsqueeze", [name, "scores_axis"], [f"{name}_column"]) for name in names]  # (B, T, 1)
    nodes.append(make_node("Concat", [f"{name}_column" for name in names], ["scores"], axis=2))  # (B, T, 3)
    return nodes
