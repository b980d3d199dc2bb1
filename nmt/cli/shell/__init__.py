"""What the commands share: the program `nmt`, its configuration, help, completion and error messages."""
