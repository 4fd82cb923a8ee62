"""The parts of the complaint classifier: word list, clause patterns, trained weights, deciding rules, extraction."""
