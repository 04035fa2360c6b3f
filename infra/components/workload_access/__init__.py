"""What a user's job needs to reach the platform."""
