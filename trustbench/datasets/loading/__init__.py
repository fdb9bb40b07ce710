"""Building blocks of loaders, also for your own: columns, files, splits, tables, images.

A loader of a table declares its columns (`columns`), reads its file (`tables`), draws its splits
(`splits`) and puts the parts together (`tabular`); images have `pixels` and `torchvision_sets`.
Files that no loader knows are read by `frames`, and become problems by `own`.
"""
