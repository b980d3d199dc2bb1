"""`torch.compile` for training: fewer and larger kernels of what a model says is worth it (`compiled_readouts`).

What is compiled serves batches of all sizes (dynamic=True) as one graph or two (see SIZES); a recurrent decoder's
step, which begins from tensors of another kind than it goes on from, takes twice as many. It is compiled before the
first batch, and always from the same sizes: made from those of the first batch, it might round otherwise in a run that
goes on, whose first batch is another. For a GPU two more things are decided, by what torch documents, and not tried on
one:

- No CUDA graphs (mode="reduce-overhead"). They are recorded for each size that a batch has, of which an epoch has over
  a hundred. And torch 2.13 spoils gradients that are added up over several of their runs, as trainer.accumulate has it
  (https://github.com/pytorch/pytorch/issues/169545).
- In several processes, the gradients of what is one graph come all at once: their exchange does not hide behind the
  backward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import torch
from torch import Tensor

from nmt.failure import Failure
from nmt.models.seq2seq import Readouts, Seq2Seq

SIZES = ((131, 29, 23), (131, 40, 37))
"""Sentences, source and target positions from which is compiled. No two of a batch are alike (unless the model takes
fewer), and hardly one and a layer's width, for these would be taken for the same.

Two batches, because torch makes two graphs: on a CPU, one adds otherwise in a side of over 4,096 positions; on a GPU,
the kernel of attention may have its own for sources whose length is a multiple of 8. Only a batch with one side of
over 4,096 positions and one of fewer, on a CPU, is compiled when it comes.
"""

BACKEND = "inductor"


def compile_readouts(model: Seq2Seq, autocast: Callable[[], AbstractContextManager[object]]) -> Readouts:
    """The readouts of `model` for training, with what is worth it compiled, here and now: that may take minutes.

    The model stays as it is, but for its being set to train.

    Args:
        autocast: the number format of the forward pass.

    Raises:
        Failure: there is no compiler on this machine, or it fails.
    """
    from torch._dynamo.exc import ShortenTraceback  # a second to import, which others need not wait for

    readouts = model.compiled_readouts(partial(torch.compile, fullgraph=True, dynamic=True, backend=BACKEND))
    model.train()
    try:
        for rows, *lengths in SIZES:
            source, target = (
                torch.zeros(rows, min(length, model.max_length or length), dtype=torch.int64, device=model.device)
                for length in lengths
            )
            with autocast():
                outputs = readouts(source, torch.ones_like(source, dtype=torch.bool), target)
            torch.autograd.grad(outputs.sum(), list(model.parameters()), allow_unused=True)
    except ShortenTraceback as error:  # of the compiler itself, or that there is none for this device
        reason = str(getattr(error, "inner_exception", error)).partition("\n")[0].rstrip(".")
        raise Failure(
            f"trainer.compile=true does not work on this machine: {reason}. It takes a C++ compiler (g++, or the one "
            f"that the environment's CXX names), and Triton for a GPU; trainer.compile=false does without"
        ) from None

    def compiled(source: Tensor, source_mask: Tensor, target_input: Tensor) -> Tensor:
        # torch would compile sizes of one anew, and they are rare.
        chosen = model.readouts if 1 in (*source.shape, target_input.size(1)) else readouts
        return chosen(source, source_mask, target_input)

    return compiled
