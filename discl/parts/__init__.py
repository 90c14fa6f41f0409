"""The plug-ins: one file each, found by name. A part imports its heavy library where it uses it."""
