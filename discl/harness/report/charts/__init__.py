"""The charts of the report and of figures for papers, one module each."""
