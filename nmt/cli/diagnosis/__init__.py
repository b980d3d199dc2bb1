"""The checks of `nmt doctor`: what it measures of a corpus, a machine and a short training, and how it reports them."""
