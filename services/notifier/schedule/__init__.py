"""When a message may go."""
