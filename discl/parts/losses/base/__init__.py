"""Helpers of losses."""
