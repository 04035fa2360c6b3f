"""Starts the provider: prints the port it listens on and serves until the engine goes away."""

from local.provider.server import main

if __name__ == "__main__":
    main()
