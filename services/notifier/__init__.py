"""The complainant hears from us, once per moment."""
