"""What the engine shows of itself: a step taken apart in a page, and puzzles.

Uses everything else of minigan; nothing else uses it but the command.
"""
