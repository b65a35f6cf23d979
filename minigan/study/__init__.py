"""What the engine shows of itself: a step taken apart in a page, puzzles, and games in the plane.

Uses everything else of minigan; nothing else uses it but the command.
"""
