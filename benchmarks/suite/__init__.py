"""The benchmarks, one file each: what it gives, how it is measured, how what its program prints is read."""
