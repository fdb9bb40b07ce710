"""Local explanations of the replicates: neighbourhoods, surrogates, faithfulness.

A surrogate has one coefficient per regressor (a column, or a patch of an image); an attribution
spreads them over the d input columns; a *part* is what can be removed from an input: a feature with
all its columns, or a patch.
"""
