"""Helpers of second stages."""
