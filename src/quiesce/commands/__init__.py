"""What the command ``quiesce`` can do: one module for each subject, imported when it is asked for (quiesce.cli)."""
