"""A trained system as other programs read it.

    system.py              what is exported: the model, its tokenizer, its languages and its search
    conversion.py          from a system to a verified export; the interface of a format
    verification.py        compares the translations of the other program with ours
    ctranslate2.py         a model of CTranslate2, the fast engine for CPUs
    huggingface.py         a model of transformers, for generating and further training
    marian.py              our weights under the names that transformers gives them
    argos.py               a package of Argos Translate, which LibreTranslate serves
    splitter.py            the sentence splitter in such a package
    onnx.py                any architecture for onnxruntime, and for browsers: two graphs and what is beside them
    onnx_graphs.py         writes the two graphs
    onnx_translator.py     beam search over them, without nmt and torch
    steps.py               recurrent models as the two functions that become graphs
    transformer_steps.py   Transformers as these functions
    page/                  the page that translates in a browser
    engine.py              translating with a model of CTranslate2 in place of a run's
    packages.py            whether the other programs are installed

An export is written into a temporary folder, and gets its name only after the other program has translated as we do.
"""
