"""Records -> effects -> the 5x5 table -> renderings. Reads records only: no torch, Hydra or MLflow."""
