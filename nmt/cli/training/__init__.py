"""What `nmt train`, `nmt doctor` and `nmt benchmark` share: the settings of a run, its parts, and resuming it."""
