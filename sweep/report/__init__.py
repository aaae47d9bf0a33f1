"""What a person sees of a sweep: the live view, the leaderboard and the summary at the end.

Everything is computed from the sweep's state by pure functions; only `live.LiveView` writes to a console.
"""
