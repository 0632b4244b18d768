"""The page on which people meet DRAG."""
