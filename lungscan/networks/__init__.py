"""The networks: as torch modules for training (`unet`, `cnn3d`), as an ONNX graph for every engine (`graph`)."""
