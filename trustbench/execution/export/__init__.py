"""One model of an arm, as deployed, apart from its data: what `trustbench export` writes.

spec.py      what an export says about itself, as JSON
rowless.py   a problem without rows
writing.py   a deployed replicate -> a folder
loading.py   the folder -> a deployed system
model.py     raw rows in, decisions out
given.py     the same as a given model, which `trustbench audit` measures
refit.py     the same arm on every row of the training pool
"""
