"""Records -> effects -> the 5x5 table -> renderings. Never torch, Hydra or MLflow."""
