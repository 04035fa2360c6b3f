"""Starts the language host: prints the port it listens on and serves until the engine goes away."""

from local.language_host.server import main

if __name__ == "__main__":
    main()
