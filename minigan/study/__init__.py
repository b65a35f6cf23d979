"""What the engine shows of itself: a step taken apart, puzzles, games in the plane, a lab.

Uses everything else of minigan; nothing else uses it but the command.
"""
