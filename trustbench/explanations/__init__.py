"""Local explanations of the replicates: neighbourhoods, surrogates, faithfulness.

Words: a *unit* is what an explanation gives one number to: a numeric column, a whole one-hot
block, or a patch of an image. An *attribution* spreads units over the d input columns.
"""
