"""Stand-in for the vendor's pulumi-language-python, used only where that is not installed.

It speaks Pulumi's LanguageRuntime protocol: the engine starts a launcher that `local/engine.py` puts
beside it, and asks it to run the program. `server` answers the engine, `runner` runs the program in a
process of its own. What the vendor's tool does beyond running programs (making SDKs, installing
packages, running policy packs) is refused with a sentence.
"""
