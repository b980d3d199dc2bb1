"""What `nmt train`, `nmt doctor` and `nmt benchmark` share: settings, building the parts of a run, resuming it."""
