"""A package, unlike other folders of tests: what its tests share ends with the last of them, not with the session."""
