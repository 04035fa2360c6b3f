"""Where the platform's parts and its users' jobs live, and how much they may use."""
