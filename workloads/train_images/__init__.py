"""Trains a convolutional network: on handwritten digits, or at full size on images made on the device."""
