"""The numerical heart of the stages, one kernel a file, as plain array functions. Installed as `lungscan.kernels`."""
