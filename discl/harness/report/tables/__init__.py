"""Tables of the report beside that of the leaderboard, one module each."""
