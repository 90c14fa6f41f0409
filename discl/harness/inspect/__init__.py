"""Looking at stored runs: all at a glance, one in detail, two compared."""
