"""Reports: the comparison of several runs, learning curves, and pictures of the attention."""
