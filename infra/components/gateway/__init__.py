"""The Gateway: Envoy Gateway, its proxies, and who may use them."""
