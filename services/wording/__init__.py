"""What complainants read: the words, and which event or command makes us say them. Pure; services share it."""
