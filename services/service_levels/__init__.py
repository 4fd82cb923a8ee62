"""How time limits are written, counted and kept: what the SLA monitor and the desk share."""
