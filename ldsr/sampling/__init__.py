"""The mathematics of diffusion: knows a denoiser only as a function."""
