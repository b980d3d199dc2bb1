"""How fast a configuration trains and translates, beside a plain model of the same sizes.

The method:

- Machines differ, and one machine differs from minute to minute. So what counts is a ratio: in every round the model
  and the plain one (`nmt.benchmark.plain`) do the same work in turn, in one process, and the ratio is the median of the
  rounds' ratios. Rates are medians of the rounds' rates.
- Training is whole steps on the corpus's real batches, in the order in which training would see them: forward, loss,
  gradient, clipping, optimizer. The plain model gets the same batches, with torch's own cross-entropy, dropout and
  Adam. Both run some steps before anything is timed.
- The model's time includes the wait for its batches, whose share is stated; the plain model gets them for nothing.
- A model's operations are counted (`torch.utils.flop_counter`): those of all matrix products of a step, forwards and
  backwards, of the round's batches with their padding, divided by the real target tokens. The same products in the same
  number format, one big square one, measured in each round, are the peak that they are held against.
- Memory is the peak after the model's first steps, before there is a plain one: of the process on a CPU, of the
  device's allocations on a GPU.
- Decoding translates real sentences with the configured search. A model that has learned nothing does not know where to
  end: so no translation ends before its limit, which is the length of the source times the corpus's own ratio of target
  to source. Both models so take the same number of steps. Latency is one sentence at a time, from text to text.
"""
