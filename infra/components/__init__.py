"""The rooms of the platform. None imports another; `infra/program.py` joins them."""
