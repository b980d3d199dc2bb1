"""Parts of `nmt translate` that are not needed in a pipe."""
