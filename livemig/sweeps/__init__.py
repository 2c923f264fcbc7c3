"""Many scenarios at once: grids, the three models that answer for a row, and the driver on any executor (`sweep`)."""
