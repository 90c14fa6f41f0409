"""Pictures of studies as Vega-Lite charts."""
