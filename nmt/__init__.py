"""Neural machine translation, to read, to trust and to change.

The way of the data, which is also the order of the packages:

    corpus → tokenizer → batches → model → trainer → run folder → search → translator → metrics → report
"""
