"""Measures how fast a configuration trains and translates, compared with a plain model of the same sizes.

The method:

- Machines differ, and the speed of one machine changes from minute to minute. So the result is a ratio: in every round,
  the model and the plain model (`nmt.benchmark.plain`) do the same work one after the other, in the same process. The
  reported ratio is the median over the rounds, and so is every reported rate.
- Training runs complete updates on real batches of the corpus, in the order of training: forward pass, loss, backward
  pass, clipping, optimizer. The plain model gets the same batches, with torch's own cross-entropy, dropout and Adam.
  Both models run some updates before the timing starts.
- The model's time includes waiting for its batches, and the fraction of time spent waiting is reported. The plain model
  never waits: it gets the same batches ready-made.
- Floating-point operations are counted with `torch.utils.flop_counter`: all matrix products of the forward and the
  backward pass, padding included, divided by the number of real target tokens. The reference is the speed of one large
  square matrix product in the same number format, measured again in every round. This is the model FLOPs utilization of
  Chowdhery et al. (2022), Appendix B, https://arxiv.org/abs/2204.02311, but with a measured peak instead of the
  manufacturer's.
- Memory is the peak after the model's first updates, before the plain model exists: of the whole process on a CPU, of
  torch's allocations on a GPU.
- Decoding translates real sentences with the configured search. An untrained model does not know where to end, so
  `eos` is suppressed and every translation reaches its maximum length: the source length times the corpus's ratio of
  target to source lengths. Both models therefore take the same number of steps. Latency is measured from text to text,
  one sentence at a time.
"""
